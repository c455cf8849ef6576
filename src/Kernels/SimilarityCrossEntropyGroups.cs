namespace CrossAlign.Kernels;

/// <summary>What captions and images of one group (captions of one picture, say) are to each other.</summary>
public enum SimilarityCrossEntropyGroups
{
    /// <summary>There are no groups: all but the target is a negative.</summary>
    None,

    /// <summary>Members of the row's group other than its target leave the denominator.</summary>
    Masked,

    /// <summary>All members of the row's group are positives, equally shared (each one a positive of its own for the sigmoid).</summary>
    Shared,
}
