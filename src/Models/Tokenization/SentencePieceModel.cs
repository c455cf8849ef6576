namespace CrossAlign.Models.Tokenization;

/// <summary>What a SentencePiece <c>.model</c> file holds, as far as encoding and decoding need it.</summary>
internal sealed class SentencePieceModel
{
    /// <summary>The pieces in the file's numbering.</summary>
    public required IReadOnlyList<Piece> Pieces { get; init; }

    /// <summary>Replaces character sequences before anything else; null where there is nothing to replace.</summary>
    public CharacterMap? CharacterMap { get; init; }

    /// <summary>Puts a visible space in front of the text.</summary>
    public bool AddDummyPrefix { get; init; } = true;

    /// <summary>Makes runs of spaces one and takes those at the ends away.</summary>
    public bool RemoveExtraWhiteSpace { get; init; } = true;

    /// <summary>Writes spaces as visible spaces.</summary>
    public bool EscapeWhiteSpace { get; init; } = true;

    /// <summary>The visible space stands behind a word, not in front.</summary>
    public bool WhiteSpaceAsSuffix { get; init; }

    /// <summary>Unknown characters become byte pieces.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>What an unknown piece is decoded to.</summary>
    public string UnknownSurface { get; init; } = " \u2047 ";

    /// <summary>What a piece is there for; the numbers of the file format.</summary>
    public enum PieceKind
    {
        /// <summary>Matches text.</summary>
        Normal = 1,

        /// <summary>Stands for what no piece spells.</summary>
        Unknown = 2,

        /// <summary>Never matches text: the beginning and end of a sentence.</summary>
        Control = 3,

        /// <summary>Always cut out as a whole.</summary>
        UserDefined = 4,

        /// <summary>Matches nothing.</summary>
        Unused = 5,

        /// <summary>Stands for one byte.</summary>
        Byte = 6,
    }

    /// <summary>One piece.</summary>
    /// <param name="Text">Its spelling.</param>
    /// <param name="Utf8">Its spelling in UTF-8.</param>
    /// <param name="Score">The logarithm of its probability.</param>
    /// <param name="Kind">What it is there for.</param>
    public readonly record struct Piece(string Text, byte[] Utf8, float Score, PieceKind Kind);
}
