using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>How the rows of a packed batch hang together, on the device: what attention, pooling and dropout need of it.</summary>
/// <param name="CuSeqlens">(S + 1), int32: where each sequence begins, and where the last ends.</param>
/// <param name="TokenKeys">(N, 2), int32: example and position; absent without dropout.</param>
/// <param name="Pass">What the pass is for.</param>
/// <param name="Sequences">How many of the S sequences count, read from the device; null where all do.</param>
internal readonly record struct PackedRows(Tensor CuSeqlens, Tensor TokenKeys, TowerPass Pass, LiveRows? Sequences = null)
{
    /// <summary>A place where dropout acts in this pass.</summary>
    /// <param name="rate">The share that is dropped.</param>
    /// <param name="site">The place.</param>
    public DropoutSite Site(float rate, uint site) => new(rate, Pass.DropoutKey, site, TokenKeys) { StoredKey = Pass.StoredDropoutKey };
}
