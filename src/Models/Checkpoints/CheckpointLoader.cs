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
    // What the published task models put before the names of their encoder.
    private static readonly string[] s_encoderPrefixes =
        ["", "roberta.", "bert.", "vit.", "roberta_prelayernorm.", "model.", "text_encoder.", "image_encoder."];

    /// <summary>Whether a checkpoint has the tower's published pooler, or a part of one, which loading then refuses.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <returns>True when its weight or its bias is there, in whatever shape.</returns>
    public static bool HasPooler(CheckpointTensors tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        return s_encoderPrefixes.Any(p => tensors.TryGetEntry(p + "pooler.dense.weight", out _) || tensors.TryGetEntry(p + "pooler.dense.bias", out _));
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
    /// <param name="nameOf">The name of a parameter in the checkpoint, without a task model's prefix.</param>
    /// <param name="what">What is loaded, for messages.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="UserErrorException">Tensors are missing, unexpected or mis-shaped; all are listed, nothing is changed.</exception>
    public static CheckpointReport Load(CheckpointTensors tensors, IReadOnlyList<Parameter> parameters, Func<Parameter, string> nameOf, string what) =>
        Load(tensors, parameters, nameOf, what, PublishedExtras.None);

    /// <summary>Loads as the others do, with what may stand beside the parameters.</summary>
    internal static CheckpointReport Load(
        CheckpointTensors tensors, IReadOnlyList<Parameter> parameters, Func<Parameter, string> nameOf, string what, PublishedExtras extras)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(nameOf);
        string prefix = s_encoderPrefixes.MaxBy(p => parameters.Count(q => Find(tensors, p + nameOf(q)) is not null))!;

        // A pooler computes nothing here: where there is none it is no loss, but a part of one is a broken file.
        bool hasCarried = parameters.Any(p => p.Kind == ParameterKind.Carried && Find(tensors, prefix + nameOf(p)) is not null);
        List<string> wrong = [];
        List<(Parameter Parameter, string Name)> found = [];
        HashSet<string> used = new(StringComparer.Ordinal);
        foreach (Parameter parameter in parameters)
        {
            string wanted = prefix + nameOf(parameter);
            if (Find(tensors, wanted) is not SafetensorsEntry entry)
            {
                if (parameter.Kind == ParameterKind.Carried && !hasCarried)
                {
                    continue;
                }

                wrong.Add($"missing: {wanted} {TextOf(parameter.Shape)}");
                continue;
            }

            used.Add(entry.Name);
            found.Add((parameter, entry.Name));
            if (!SameShape(entry, parameter.Shape))
            {
                wrong.Add($"mis-shaped: {entry.Name} is {entry.ShapeText}, must be {TextOf(parameter.Shape)}");
            }
            else if (!entry.DType.IsFloating())
            {
                wrong.Add($"wrong type: {entry.Name} is {entry.DType.HeaderName()}, must be floating-point");
            }
        }

        List<string> ignored = [];
        foreach (string name in tensors.Names.Where(n => !used.Contains(n)))
        {
            if (extras.Contains(name, prefix))
            {
                ignored.Add(name);
            }
            else
            {
                wrong.Add($"unexpected: {name}");
            }
        }

        if (wrong.Count > 0)
        {
            throw new UserErrorException(
                $"the tensors of '{tensors.Source}' do not fit {what}", "take the config.json that belongs to these weights")
            { Details = wrong };
        }

        foreach ((Parameter parameter, string name) in found.Where(f => !f.Parameter.Value.Device.IsPlan))
        {
            tensors.ReadSingles(name, parameter.Value);
        }

        return new CheckpointReport(tensors.Source, [.. found.Select(f => f.Parameter.Name)], ignored);
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
}
