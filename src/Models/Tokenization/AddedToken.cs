namespace CrossAlign.Models.Tokenization;

/// <summary>A token that is cut out of a text before anything else is done with it.</summary>
internal sealed record AddedToken
{
    /// <summary>Its id.</summary>
    public required int Id { get; init; }

    /// <summary>How it is spelled.</summary>
    public required string Content { get; init; }

    /// <summary>Only where it is not part of a longer word.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Swallows the white space on its left.</summary>
    public bool StripLeft { get; init; }

    /// <summary>Swallows the white space on its right.</summary>
    public bool StripRight { get; init; }

    /// <summary>Looked for in the normalised text, not in the text as it came.</summary>
    public bool Normalized { get; init; }

    /// <summary>Left out when ids are put together to a text.</summary>
    public bool Special { get; init; }
}
