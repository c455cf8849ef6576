using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Training;

/// <summary>
/// The files of a checkpoint: the towers as published checkpoint folders, <c>heads.safetensors</c>, <c>optimizer.safetensors</c>,
/// <c>state.json</c>. Equal states give equal bytes.
/// </summary>
internal static class TrainingCheckpoint
{
    /// <summary>Moments.</summary>
    public const string OptimizerFile = "optimizer.safetensors";

    /// <summary>Where the run stands.</summary>
    public const string StateFile = "state.json";

    /// <summary>Writes all files into a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="model">Weights.</param>
    /// <param name="companions">Go beside the towers.</param>
    /// <param name="optimizer">Moments.</param>
    /// <param name="state">Where the run stands.</param>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public static void Save(string folder, TwoTowerModel model, TowerCompanions companions, Optimizer optimizer, TrainingState state)
    {
        ModelFolder.Save(model, folder);
        companions.Write(folder, model);
        optimizer.Save(Path.Combine(folder, OptimizerFile));
        state.Write(Path.Combine(folder, StateFile));
    }
}
