namespace CrossAlign.Models.Profiling;

/// <summary>Where the time of a training step goes, and what it holds.</summary>
public sealed record StepProfile
{
    /// <summary>The recipe, set-up and data.</summary>
    public required string Configuration { get; init; }

    /// <summary>Pictures a step.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Captions of each picture.</summary>
    public required int CaptionsPerPicture { get; init; }

    /// <summary>Steps that were timed, after those that warm up.</summary>
    public required int Steps { get; init; }

    /// <summary>Mean time of a step.</summary>
    public required double Milliseconds { get; init; }

    /// <summary>Captions a second.</summary>
    public required double CaptionsPerSecond { get; init; }

    /// <summary>Mean time that the thread of the data needs to prepare a step, beside the training.</summary>
    public required double PreparationMilliseconds { get; init; }

    /// <summary>The parts; their times add up to the step's.</summary>
    public required IReadOnlyList<PartTime> Parts { get; init; }

    /// <summary>The operations, the longest first; empty where they were not asked for.</summary>
    public required IReadOnlyList<OperationTime> Operations { get; init; }

    /// <summary>The most bytes that tensors held at once.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>The same as predicted before anything was allocated.</summary>
    public required long PredictedBytes { get; init; }
}
