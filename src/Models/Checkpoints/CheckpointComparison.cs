using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>What a checkpoint has of the parameters that it is to fill, by name and shape: nothing is read or taken for it, so that it comes before both.</summary>
internal sealed class CheckpointComparison
{
    private readonly string _what;

    private CheckpointComparison(string source, string what)
    {
        Source = source;
        _what = what;
    }

    /// <summary>The checkpoint's folder or file.</summary>
    public string Source { get; }

    /// <summary>A line for every tensor that is missing, unexpected or of another shape or type.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>The parameters that the checkpoint has, and what it calls them.</summary>
    public List<(Parameter Parameter, string Name)> Found { get; } = [];

    /// <summary>Tensors of the checkpoint that belong to heads or buffers which are not used here.</summary>
    public List<string> Ignored { get; } = [];

    /// <summary>Compares.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <param name="parameters">What is to be filled.</param>
    /// <param name="nameOf">The name of a parameter in the checkpoint, without a task model's prefix.</param>
    /// <param name="what">What is loaded, for messages.</param>
    /// <param name="extras">What may stand beside the parameters, and before their names.</param>
    /// <returns>The comparison; it outlives the checkpoint.</returns>
    public static CheckpointComparison Of(
        CheckpointTensors tensors, IReadOnlyList<Parameter> parameters, Func<Parameter, string> nameOf, string what, PublishedExtras extras)
    {
        CheckpointComparison comparison = new(tensors.Source, what);
        string prefix = extras.Prefixes.MaxBy(p => parameters.Count(q => Find(tensors, p + nameOf(q)) is not null))!;

        // A pooler computes nothing here: where there is none it is no loss, but a part of one is a broken file.
        bool hasCarried = parameters.Any(p => p.Kind == ParameterKind.Carried && Find(tensors, prefix + nameOf(p)) is not null);
        HashSet<string> used = new(StringComparer.Ordinal);
        foreach (Parameter parameter in parameters)
        {
            string wanted = prefix + nameOf(parameter);
            if (Find(tensors, wanted) is SafetensorsEntry entry)
            {
                used.Add(entry.Name);
                comparison.Take(parameter, entry);
            }
            else if (parameter.Kind != ParameterKind.Carried || hasCarried)
            {
                comparison.Faults.Add($"missing: {wanted} {TextOf(parameter.Shape)}");
            }
        }

        foreach (string name in tensors.Names.Where(n => !used.Contains(n)))
        {
            if (extras.Contains(name, prefix))
            {
                comparison.Ignored.Add(name);
            }
            else
            {
                comparison.Faults.Add($"unexpected: {name}");
            }
        }

        return comparison;
    }

    /// <summary>Refuses what does not fit, all of it at once.</summary>
    /// <param name="folder">The folder that all of the checkpoints lie in.</param>
    /// <param name="comparisons">What was compared.</param>
    /// <exception cref="UserErrorException">Something does not fit: every tensor is listed, with its folder where there are several.</exception>
    public static void RequireAll(string folder, params ReadOnlySpan<CheckpointComparison> comparisons)
    {
        const string Remedy = "take the config.json that belongs to these weights";
        List<CheckpointComparison> faulty = [];
        foreach (CheckpointComparison comparison in comparisons)
        {
            if (comparison.Faults.Count > 0)
            {
                faulty.Add(comparison);
            }
        }

        switch (faulty)
        {
            case []:
                return;
            case [CheckpointComparison one]:
                throw new UserErrorException($"the tensors of '{one.Source}' do not fit {one._what}", Remedy) { Details = one.Faults };
            default:
                throw new UserErrorException($"the tensors in '{folder}' do not fit: {string.Join(", ", faulty.Select(c => $"{Place(c)} not {c._what}"))}", Remedy)
                {
                    Details = [.. faulty.SelectMany(c => c.Faults.Select(f => $"{Place(c)}: {f}"))],
                };
        }

        string Place(CheckpointComparison comparison) => Path.GetRelativePath(folder, comparison.Source);
    }

    private static SafetensorsEntry? Find(CheckpointTensors tensors, string name)
    {
        if (tensors.TryGetEntry(name, out SafetensorsEntry? entry))
        {
            return entry;
        }

        // The first BERT checkpoints call a LayerNorm's weight gamma and its bias beta.
        string older = name.EndsWith("LayerNorm.weight", StringComparison.Ordinal) ? name[..^"weight".Length] + "gamma"
            : name.EndsWith("LayerNorm.bias", StringComparison.Ordinal) ? name[..^"bias".Length] + "beta"
            : name;
        return tensors.TryGetEntry(older, out entry) ? entry : null;
    }

    private static bool SameShape(SafetensorsEntry entry, Shape shape)
    {
        // A scalar is written with no extent or with one of 1, depending on the program.
        if (shape.Rank == 0)
        {
            return entry.Count == 1 && entry.Shape.Count <= 1;
        }

        if (entry.Shape.Count != shape.Rank)
        {
            return false;
        }

        for (int i = 0; i < shape.Rank; i++)
        {
            if (entry.Shape[i] != shape[i])
            {
                return false;
            }
        }

        return true;
    }

    private static string TextOf(Shape shape) => shape.ToString().Replace('(', '[').Replace(')', ']');

    private void Take(Parameter parameter, SafetensorsEntry entry)
    {
        Found.Add((parameter, entry.Name));
        if (!SameShape(entry, parameter.Shape))
        {
            Faults.Add($"mis-shaped: {entry.Name} is {entry.ShapeText}, must be {TextOf(parameter.Shape)}");
        }
        else if (!entry.DType.IsFloating())
        {
            Faults.Add($"wrong type: {entry.Name} is {entry.DType.HeaderName()}, must be floating-point");
        }
    }
}
