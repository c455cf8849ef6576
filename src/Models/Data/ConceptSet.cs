namespace CrossAlign.Models.Data;

/// <summary>The sets of concepts that figures are reported on.</summary>
public enum ConceptSet
{
    /// <summary>Train concepts whose short names are shown in training.</summary>
    Seen,

    /// <summary>Train concepts whose short names are shown in no language, only their keywords.</summary>
    HeldOutCaptions,

    /// <summary>Validation concepts.</summary>
    Validation,

    /// <summary>Test concepts: neither picture nor caption was met in training.</summary>
    Unseen,
}
