using System.Runtime.CompilerServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>The factors of a <see cref="DropoutSite"/> on the CPU: 0 for what is dropped, 1 / (1 - rate) for what is kept.</summary>
internal readonly unsafe struct DropoutMask
{
    private const uint ElementwiseHead = DropoutSite.MaxHeads;

    private readonly ulong _key;
    private readonly uint _site;
    private readonly uint _threshold;
    private readonly int* _tokenKeys;

    public DropoutMask(in DropoutSite site)
    {
        _key = site.Key;
        _site = site.Site << 10;

        // k 2^-24 >= rate for whole k just if k >= ceil(rate 2^24); the product is exact in double.
        _threshold = (uint)Math.Ceiling(site.Rate * (double)(1 << 24));
        Scale = (float)(1 / (1 - (double)site.Rate));
        _tokenKeys = site.IsActive ? site.TokenKeys.Pointer<int>() : null;
    }

    public float Scale { get; }

    public bool IsActive => _tokenKeys != null;

    /// <summary>The factors of channels 4 * <paramref name="quad"/> to 4 * <paramref name="quad"/> + 3 of a token.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Quad(int token, int quad, float* factors)
    {
        (uint x, uint y, uint z, uint w) = CounterRng.Block(
            _key, (uint)quad, (uint)_tokenKeys[(2L * token) + 1], (uint)_tokenKeys[2L * token], _site | ElementwiseHead);
        factors[0] = Factor(x);
        factors[1] = Factor(y);
        factors[2] = Factor(z);
        factors[3] = Factor(w);
    }

    /// <summary>
    /// The factors of one query token's attention probabilities over the keys of its sequence, stored with a stride.
    /// </summary>
    /// <param name="query">The query's row in the packed batch.</param>
    /// <param name="firstKey">The row of the sequence's first token.</param>
    /// <param name="keys">How many keys.</param>
    /// <param name="head">The head.</param>
    /// <param name="factors">Where the first key's factor goes.</param>
    /// <param name="stride">The distance between the factors of neighbouring keys.</param>
    public void Probabilities(int query, int firstKey, int keys, int head, float* factors, int stride)
    {
        uint example = (uint)_tokenKeys[2L * query];
        uint position = (uint)_tokenKeys[(2L * query) + 1];
        uint* words = stackalloc uint[4];
        long block = -1;
        for (int j = 0; j < keys; j++)
        {
            uint keyPosition = (uint)_tokenKeys[(2L * (firstKey + j)) + 1];
            if (keyPosition / 4 != block)
            {
                block = keyPosition / 4;
                (words[0], words[1], words[2], words[3]) = CounterRng.Block(_key, (uint)block, position, example, _site | (uint)head);
            }

            factors[(long)j * stride] = Factor(words[keyPosition % 4]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float Factor(uint word) => word >> 8 >= _threshold ? Scale : 0;
}
