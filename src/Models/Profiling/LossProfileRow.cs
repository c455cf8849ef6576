namespace CrossAlign.Models.Profiling;

/// <summary>What was measured of one size and form of the loss; forward and backward unless a name says otherwise. Null: not measured.</summary>
public sealed record LossProfileRow
{
    /// <summary>B.</summary>
    public required int BatchSize { get; init; }

    /// <summary>E.</summary>
    public required int Width { get; init; }

    /// <summary>f32, tf32 or bf16.</summary>
    public required string Precision { get; init; }

    /// <summary>The form of the loss.</summary>
    public required string Variant { get; init; }

    /// <summary>Why this one was not measured; null where it was.</summary>
    public string? Refusal { get; init; }

    /// <summary>How many calls were timed.</summary>
    public int Calls { get; init; }

    /// <summary>Median time.</summary>
    public double? Milliseconds { get; init; }

    /// <summary>The time that a fifth of the calls stayed below.</summary>
    public double? MillisecondsP20 { get; init; }

    /// <summary>The time that four fifths of the calls stayed below.</summary>
    public double? MillisecondsP80 { get; init; }

    /// <summary>Median time of the loss without gradients.</summary>
    public double? ForwardMilliseconds { get; init; }

    /// <summary>Additions and multiplications of the matrix products of one call.</summary>
    public long? Arithmetic { get; init; }

    /// <summary>What one call takes at least, as it was known before: its operations at the rate of a plain matrix product.</summary>
    public double? PredictedSeconds { get; init; }

    /// <summary><see cref="Arithmetic"/> over <see cref="Milliseconds"/>.</summary>
    public double? Gflops { get; init; }

    /// <summary>The rate of a plain matrix product, measured between the calls; see <c>MatMulRate</c>.</summary>
    public double? PeakGflops { get; init; }

    /// <summary>The median over calls of the share of the rate measured beside each.</summary>
    public double? ShareOfPeak { get; init; }

    /// <summary>Bytes of embeddings and gradients.</summary>
    public long TensorBytes { get; init; }

    /// <summary>The most bytes held beside them at once, measured.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>The same as predicted before the start.</summary>
    public long PredictedBytes { get; init; }

    /// <summary>The most that is allowed: the budget and 32 bytes a row.</summary>
    public long BoundBytes { get; init; }

    /// <summary>Median time of the naive loss.</summary>
    public double? NaiveMilliseconds { get; init; }

    /// <summary>The most bytes that the naive loss held beside embeddings and gradients, measured; predicted where it did not run.</summary>
    public long? NaiveBytes { get; init; }

    /// <summary>Why the naive loss did not run; null where it did.</summary>
    public string? NaiveRefusal { get; init; }

    /// <summary>The difference of both losses' gradients, by relative norm: checked before anything is timed.</summary>
    public double? NaiveDifference { get; init; }
}
