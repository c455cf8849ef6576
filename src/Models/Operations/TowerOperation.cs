using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Operations;

/// <summary>
/// A tower on inputs from a file, forward and, with the upstream gradient <c>R</c> of the vectors, backward. Takes <c>input_ids</c> with
/// <c>attention_mask</c> and <c>token_type_ids</c>, or <c>pixel_values</c>; gives <c>hidden.i</c> (zeros at padding, and in
/// CLIP's text tower behind a text's first end, which nothing before it sees), <c>last_hidden</c>, <c>pooled</c> (head and normalisation included where they are asked for) and <c>gradient.PARAMETER</c> under published names.
/// </summary>
public sealed class TowerOperation
{
    private const long FirstArenaByteCount = 1 << 20;

    private readonly PoolingKind? _pooling;
    private readonly bool _project;
    private readonly bool _normalize;

    /// <summary>Reads the settings: <c>pooling</c>, <c>project</c>, <c>normalize</c>.</summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown or has another value.</exception>
    public TowerOperation(OperationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        string? pooling = settings.Text("pooling");
        _pooling = pooling is null ? null
            : PoolingModes.Find(pooling) ?? throw new UserErrorException($"--set pooling={pooling}: there is no '{pooling}'", $"give one of {PoolingModes.KnownNames}");
        _project = settings.Flag("project", false);
        _normalize = settings.Flag("normalize", false);
        settings.RefuseOthers();
    }

    /// <summary>Computes.</summary>
    /// <param name="file">The inputs.</param>
    /// <param name="model">The model; its gradients are overwritten.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">An input is missing or has another shape, or the model has no tower or head for it.</exception>
    public SafetensorsWriter Run(SafetensorsFile file, TwoTowerModel model)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(model);
        bool isText = file.Contains("input_ids");
        EncoderTower tower = (isText ? (EncoderTower?)model.Text : model.Image)
            ?? throw new UserErrorException($"the model has no {(isText ? "text" : "image")} tower for what is in '{file.Path}'", "give input_ids for a text tower, pixel_values for an image tower");
        Projection? head = isText ? model.TextHead : model.ImageHead;
        if (_project && head is null)
        {
            throw new UserErrorException("the model has no head", "leave out --set project=true");
        }

        using TensorArena arena = new(model.Device, FirstArenaByteCount);
        Tensor pooled = isText ? ForwardText(file, model, arena, out int[] places, out long[] shape) : ForwardImages(file, model, arena, out places, out shape);
        Tensor vectors = _project ? head!.Forward(pooled, arena) : pooled;
        Tensor norms = default;
        if (_normalize)
        {
            Tensor unit = arena.Take(DType.Float32, vectors.Shape);
            norms = arena.Take(DType.Float32, new Shape(vectors.Shape[0]));
            L2Norm.Forward(vectors, unit, norms);
            vectors = unit;
        }

        SafetensorsWriter writer = new();
        for (int i = 0; i <= tower.Config.Layers; i++)
        {
            writer.Add(FormattableString.Invariant($"hidden.{i}"), shape, Spread(tower.HiddenState(i), places, shape));
        }

        if (tower.LastHidden.IsPresent)
        {
            writer.Add("last_hidden", shape, Spread(tower.LastHidden, places, shape));
        }

        writer.Add("pooled", InputTensors.ShapeOf(vectors), vectors.ToArray<float>());
        if (file.Contains("R"))
        {
            Backward(file, model, tower, _project ? head : null, vectors, norms, arena);
            AddGradients(writer, tower, _project ? head : null);
        }

        return writer;
    }

    private static float[] Spread(in Tensor packed, int[] places, long[] shape)
    {
        float[] rows = packed.ToArray<float>();
        int width = (int)shape[2];
        float[] padded = new float[checked((int)(shape[0] * shape[1] * width))];
        for (int row = 0; row < places.Length; row++)
        {
            rows.AsSpan(row * width, width).CopyTo(padded.AsSpan(places[row] * width));
        }

        return padded;
    }

    private static void AddGradients(SafetensorsWriter writer, EncoderTower tower, Projection? head)
    {
        IEnumerable<Parameter> heads = head is null ? [] : new[] { head.Weight, head.Bias }.OfType<Parameter>();
        foreach (Parameter parameter in tower.OwnParameters.Where(p => p.Kind != ParameterKind.Carried).Concat(heads))
        {
            writer.Add("gradient." + parameter.PublishedName, InputTensors.ShapeOf(parameter.Gradient), parameter.Gradient.ToArray<float>());
        }
    }

    private void Backward(SafetensorsFile file, TwoTowerModel model, EncoderTower tower, Projection? head, in Tensor vectors, in Tensor norms, TensorArena arena)
    {
        using InputTensors inputs = new(file, model.Device);
        Tensor upstream = inputs.Matrix("R");
        if (upstream.Shape[0] != vectors.Shape[0] || upstream.Shape[1] != vectors.Shape[1])
        {
            throw new UserErrorException($"'{file.Path}': 'R' is {upstream.Shape}, the vectors are {vectors.Shape}", "give the gradient of the vectors, in their shape");
        }

        model.Parameters.AllocateGradients();
        model.Parameters.ZeroGradients();
        Tensor gradient = upstream;
        if (_normalize)
        {
            gradient = arena.Take(DType.Float32, vectors.Shape);
            L2Norm.Backward(upstream, vectors, norms, gradient);
        }

        gradient = head is null ? gradient : head.Backward(gradient, arena);
        if (tower is TextTower text)
        {
            text.Backward(gradient, arena);
        }
        else
        {
            ((ImageTower)tower).Backward(gradient, arena);
        }
    }

    private Tensor ForwardText(SafetensorsFile file, TwoTowerModel model, TensorArena arena, out int[] places, out long[] shape)
    {
        TextTower tower = model.Text!;
        TokenRow[] rows = TokenRowsFile.Read(file, tower);
        SafetensorsEntry entry = file.Entry("input_ids");
        int length = (int)entry.Shape[1];
        int[] types = TokenRowsFile.Beside(file, entry, "token_type_ids");
        if (rows.Length == 0)
        {
            throw new UserErrorException($"'{file.Path}': 'input_ids' has no row", "give at least one text");
        }

        TokenBatch batch = new(tower.Packing);
        for (int i = 0; i < rows.Length; i++)
        {
            if (rows[i].Truncated)
            {
                throw new UserErrorException(FormattableString.Invariant($"'{file.Path}': row {i} is longer than the {tower.Packing.MaxTokens} tokens of the tower"), "cut the row");
            }

            if (types.Length > 0 && types.AsSpan(i * length, length).ContainsAnyExceptInRange(0, Math.Max(0, tower.Config.TypeVocabularySize - 1)))
            {
                throw new UserErrorException(FormattableString.Invariant($"'{file.Path}': row {i} has a token type that the tower does not know"), "correct token_type_ids");
            }

            batch.Add(rows[i].Ids, i, rows[i].Mask, types.Length == 0 ? default : types.AsSpan(i * length, length));
        }

        places = new int[batch.TokenCount];
        for (int row = 0; row < places.Length; row++)
        {
            places[row] = (batch.TokenKeys[2 * row] * length) + batch.TokenKeys[(2 * row) + 1];
        }

        shape = [rows.Length, length, tower.Config.Width];
        return tower.Forward(batch, _pooling ?? model.Options.TextPooling.Only, arena, TowerPass.Training);
    }

    private Tensor ForwardImages(SafetensorsFile file, TwoTowerModel model, TensorArena arena, out int[] places, out long[] shape)
    {
        ImageTower tower = model.Image!;
        PixelValues pixels = PixelValues.Read(file, tower);
        Tensor uploaded = arena.Take(DType.Float32, new Shape(pixels.Count, 3, pixels.Height, pixels.Width));
        uploaded.CopyFrom(pixels.Slice(0, pixels.Count));
        places = [.. Enumerable.Range(0, pixels.Count * pixels.TokensEach)];
        shape = [pixels.Count, pixels.TokensEach, tower.Config.Width];
        return tower.Forward(uploaded, _pooling ?? model.Options.ImagePooling, arena, TowerPass.Training);
    }
}
