using CrossAlign.Models.Data;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>What to train, on what, and where the run's folder is.</summary>
/// <param name="Config">The complete configuration.</param>
/// <param name="Data">The data set that the configuration names.</param>
/// <param name="Device">Where to compute; it outlives the run.</param>
/// <param name="Folder">The run's folder; made where it is missing.</param>
public sealed record TrainingRequest(RunConfig Config, CaptionedPictures Data, Device Device, string Folder)
{
    /// <summary>Whether to go on with the run that is in the folder.</summary>
    public bool Resume { get; init; }

    /// <summary>The step after which to stop with a checkpoint, as if interrupted; null for the last.</summary>
    public int? StopAfter { get; init; }
}
