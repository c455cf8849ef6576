using System.Runtime.InteropServices;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>
/// The pieces of a vocabulary as a trie over their UTF-8 bytes, laid out in one array: the child of a node for byte b stands at
/// (base of the node) xor b. All children of a node lie within one aligned block of 256 cells.
/// </summary>
/// <remarks>Source: Aoe (1989), "An efficient digital search algorithm by using a double-array structure"; the xor layout and the
/// closing of old blocks follow the darts-clone library.</remarks>
internal sealed class PieceTrie
{
    private readonly Unit[] _units;

    /// <summary>Builds a trie.</summary>
    /// <param name="keys">The keys in UTF-8, none empty.</param>
    /// <param name="values">A value for each, not negative; of equal keys the last one counts.</param>
    /// <exception cref="ArgumentException">The keys have more bytes than the layout can address.</exception>
    public PieceTrie(IReadOnlyList<byte[]> keys, IReadOnlyList<int> values) => _units = new PieceTrieBuilder(keys, values).Build();

    /// <summary>The cells; the first one is the root.</summary>
    public ReadOnlySpan<Unit> Units => _units;

    /// <summary>The value of a key.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value, or -1 where the key is not there.</returns>
    public int Find(ReadOnlySpan<byte> key)
    {
        Unit unit = _units[0];
        foreach (byte b in key)
        {
            unit = _units[unit.Child(b)];
            if (!unit.Is(b))
            {
                return -1;
            }
        }

        return unit.Value;
    }

    /// <summary>The longest key that a text begins with.</summary>
    /// <param name="text">The text.</param>
    /// <param name="value">Its value; -1 where there is none.</param>
    /// <returns>Its length; 0 where there is none.</returns>
    public int LongestPrefix(ReadOnlySpan<byte> text, out int value)
    {
        value = -1;
        Unit unit = _units[0];
        int longest = 0;
        for (int i = 0; i < text.Length; i++)
        {
            unit = _units[unit.Child(text[i])];
            if (!unit.Is(text[i]))
            {
                break;
            }

            if (unit.Value >= 0)
            {
                longest = i + 1;
                value = unit.Value;
            }
        }

        return longest;
    }

    /// <summary>One cell.</summary>
    /// <param name="baseAndLabel">The base of its children, shifted by <see cref="LabelBits"/>, and one more than the byte that leads here (0: free).</param>
    /// <param name="value">The value of the key that ends here.</param>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct Unit(uint baseAndLabel, int value)
    {
        /// <summary>Bits of the label.</summary>
        public const int LabelBits = 9;

        /// <summary>One more than the largest base.</summary>
        public const int BaseLimit = 1 << (32 - LabelBits);

        private readonly uint _baseAndLabel = baseAndLabel;
        private readonly int _valuePlusOne = value + 1;

        /// <summary>The value of the key that ends here, or -1.</summary>
        public int Value => _valuePlusOne - 1;

        /// <summary>Where the child for a byte stands, if there is one.</summary>
        /// <param name="label">The byte.</param>
        /// <returns>Its index.</returns>
        public int Child(byte label) => (int)((_baseAndLabel >> LabelBits) ^ label);

        /// <summary>Whether this is a child for a byte.</summary>
        /// <param name="label">The byte.</param>
        /// <returns>Whether it is.</returns>
        public bool Is(byte label) => (_baseAndLabel & ((1 << LabelBits) - 1)) == (uint)label + 1;
    }
}
