using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// Fills parameters from a published checkpoint, strictly: every tensor that is missing, unexpected or of another shape is listed,
/// and then nothing is loaded. What published checkpoints have beyond a tower (task heads, position buffers, CLIP's other tower) is
/// known name by name and reported as ignored; a pooler that a checkpoint lacks altogether is not loaded.
/// </summary>
public static class CheckpointLoader
{
    /// <summary>Whether a checkpoint has the tower's published pooler, or a part of one, which loading then refuses.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <param name="config">The tower's configuration.</param>
    /// <returns>True when its weight or its bias is there, in whatever shape.</returns>
    public static bool HasPooler(CheckpointTensors tensors, EncoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(config);
        return PublishedExtras.Of(config).Prefixes.Any(p => tensors.TryGetEntry(p + "pooler.dense.weight", out _) || tensors.TryGetEntry(p + "pooler.dense.bias", out _));
    }

    /// <summary>Loads a tower.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <param name="tower">Its parameters are overwritten.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="UserErrorException">Tensors are missing, unexpected or mis-shaped; all are listed, nothing is changed.</exception>
    public static CheckpointReport Load(CheckpointTensors tensors, EncoderTower tower)
    {
        ArgumentNullException.ThrowIfNull(tower);
        return Load(tensors, [.. tower.OwnParameters], p => p.PublishedName, tower.Config.ModelType, PublishedExtras.Of(tower.Config));
    }

    /// <summary>Loads parameters under their names from a file that holds them and nothing else; on a device that plans (<see cref="Device.IsPlan"/>) only compares names and shapes, so that no memory of a hostile configuration's size is taken.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <param name="parameters">Overwritten.</param>
    /// <param name="nameOf">The name of a parameter in the checkpoint.</param>
    /// <param name="what">What is loaded, for messages.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="UserErrorException">Tensors are missing, unexpected or mis-shaped; all are listed, nothing is changed.</exception>
    public static CheckpointReport Load(CheckpointTensors tensors, IReadOnlyList<Parameter> parameters, Func<Parameter, string> nameOf, string what) =>
        Load(tensors, parameters, nameOf, what, PublishedExtras.None);

    /// <summary>Loads as the others do, with what may stand beside the parameters and before their names.</summary>
    internal static CheckpointReport Load(
        CheckpointTensors tensors, IReadOnlyList<Parameter> parameters, Func<Parameter, string> nameOf, string what, PublishedExtras extras)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(nameOf);
        CheckpointComparison comparison = CheckpointComparison.Of(tensors, parameters, nameOf, what, extras);
        CheckpointComparison.RequireAll(tensors.Source, comparison);
        foreach ((Parameter parameter, string name) in comparison.Found.Where(f => !f.Parameter.Value.Device.IsPlan))
        {
            tensors.ReadSingles(name, parameter.Value);
        }

        return new CheckpointReport(tensors.Source, [.. comparison.Found.Select(f => f.Parameter.Name)], comparison.Ignored);
    }
}
