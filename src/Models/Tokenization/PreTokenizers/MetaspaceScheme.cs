namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Where a visible space is put in front of a part that does not begin with one.</summary>
internal enum MetaspaceScheme
{
    /// <summary>In front of every part.</summary>
    Always,

    /// <summary>In front of the part at the beginning of the text.</summary>
    First,

    /// <summary>Nowhere.</summary>
    Never,
}
