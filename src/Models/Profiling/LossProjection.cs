namespace CrossAlign.Models.Profiling;

/// <summary>What one forward and backward of the fused loss could cost on a GPU; see <see cref="LossProjector"/>.</summary>
public sealed record LossProjection
{
    /// <summary>Of the products: <c>bf16</c>, <c>tf32</c> or <c>f32</c>.</summary>
    public required string Precision { get; init; }

    /// <summary>B, captions and images.</summary>
    public required int Rows { get; init; }

    /// <summary>E, the width of the embeddings.</summary>
    public required int Width { get; init; }

    /// <summary>Super-tiles of the matrix.</summary>
    public required int SuperTiles { get; init; }

    /// <summary>The kernels, in the order of the call.</summary>
    public required IReadOnlyList<LossProjectionPart> Parts { get; init; }

    /// <summary>The parts' sum.</summary>
    public required IReadOnlyList<PortTimes> Total { get; init; }
}
