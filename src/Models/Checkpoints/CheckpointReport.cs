using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Checkpoints;

/// <summary>What loading a checkpoint did, by name.</summary>
/// <param name="Source">The folder or file.</param>
/// <param name="Loaded">Names in the store of the parameters that the checkpoint gave.</param>
/// <param name="Ignored">Tensors of the checkpoint that belong to heads or buffers which are not used here.</param>
public sealed record CheckpointReport(string Source, IReadOnlyList<string> Loaded, IReadOnlyList<string> Ignored)
{
    /// <summary>The parameters of a model that no checkpoint gave: heads that are new, for example.</summary>
    /// <param name="store">The model's parameters.</param>
    /// <param name="reports">What was loaded into it.</param>
    /// <returns>Their names, in order.</returns>
    public static IReadOnlyList<string> NewlyInitialized(ParameterStore store, params IEnumerable<CheckpointReport> reports)
    {
        ArgumentNullException.ThrowIfNull(store);
        HashSet<string> loaded = new(reports.SelectMany(r => r.Loaded), StringComparer.Ordinal);
        return [.. store.Parameters.Select(p => p.Name).Where(n => !loaded.Contains(n))];
    }
}
