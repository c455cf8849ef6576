using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Operations;

/// <summary>
/// The contrastive loss on tensors from a file, forward and backward: <c>captions</c> (B, E), <c>images</c> (K, E), <c>scale</c> (the
/// multiplier) or <c>logScale</c> (its logarithm, with an upper bound of the multiplier) and, as wanted, <c>bias</c>, <c>targets</c>, <c>groups</c> and <c>imageGroups</c>, <c>rowWeights</c>, <c>extraNegatives</c>.
/// Gives <c>loss</c>, <c>rowLoss</c>, <c>columnLoss</c>, <c>dCaptions</c>, <c>dImages</c>, <c>dScale</c> (of <c>scale</c>), <c>dLogScale</c>, <c>dBias</c>, <c>dExtraNegatives</c>.
/// </summary>
public sealed class LossOperation
{
    private static readonly (string, (SimilarityCrossEntropyObjective, SimilarityCrossEntropyDirection, bool))[] s_variants =
    [
        ("captionToImage", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.CaptionToImage, false)),
        ("captionToImageNormalized", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.CaptionToImage, true)),
        ("imageToCaption", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.ImageToCaption, false)),
        ("imageToCaptionNormalized", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.ImageToCaption, true)),
        ("symmetric", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric, false)),
        ("symmetricNormalized", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric, true)),
        ("sigmoid", (SimilarityCrossEntropyObjective.Sigmoid, SimilarityCrossEntropyDirection.Symmetric, false)),
        ("sigmoidNormalized", (SimilarityCrossEntropyObjective.Sigmoid, SimilarityCrossEntropyDirection.Symmetric, true)),
    ];

    private const int MaxBudgetMiB = 1 << 24;

    private readonly SimilarityCrossEntropyOptions _options;
    private readonly Tower _locked;
    private readonly bool _hasMaxScale;

    /// <summary>Reads the settings: <c>variant</c> as in a run's configuration, <c>groups</c>, <c>smoothing</c>, <c>falseNegativeMargin</c>, <c>divideByRowCount</c>,
    /// <c>prefixes</c> (<c>WIDTH:WEIGHT,...</c>), <c>maxScale</c> (of <c>logScale</c>), <c>locked</c> (none, captions, images), <c>memoryBudgetMiB</c>.</summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown, out of range, or goes with no other.</exception>
    public LossOperation(OperationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        float? maxScale = settings.Number("maxScale");
        float budgetMiB = settings.Number("memoryBudgetMiB") ?? SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes >> 20;
        if (!(budgetMiB > 0 && budgetMiB <= MaxBudgetMiB))
        {
            throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"--set memoryBudgetMiB={budgetMiB}: no such budget"), $"give MiB above 0, at most {MaxBudgetMiB}");
        }

        _hasMaxScale = maxScale is not null;
        _locked = settings.Choice("locked", Tower.None, ("none", Tower.None), ("captions", Tower.Captions), ("images", Tower.Images));
        (SimilarityCrossEntropyObjective objective, SimilarityCrossEntropyDirection direction, bool normalize) = settings.Choice(
            "variant", (SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric, true), s_variants);
        _options = new SimilarityCrossEntropyOptions
        {
            Objective = objective,
            Direction = direction,
            Normalize = normalize,
            Scale = SimilarityCrossEntropyScale.Multiplier,
            Groups = settings.Choice(
                "groups",
                SimilarityCrossEntropyGroups.None,
                ("none", SimilarityCrossEntropyGroups.None),
                ("masked", SimilarityCrossEntropyGroups.Masked),
                ("shared", SimilarityCrossEntropyGroups.Shared)),
            LabelSmoothing = settings.Number("smoothing") ?? 0,
            FalseNegativeMargin = settings.Number("falseNegativeMargin"),
            DivideByRowCount = settings.Flag("divideByRowCount", false),
            Prefixes = PrefixesOf(settings.Text("prefixes")),
            MaxScale = maxScale ?? 100,
            MemoryBudgetBytes = (long)((double)budgetMiB * (1 << 20)),
        };
        settings.RefuseOthers();
        if (_options.Refusal() is string refusal)
        {
            throw new UserErrorException(refusal.TrimEnd('.'), "change --set");
        }
    }

    /// <summary>The tensors that are read where a file has them.</summary>
    public static IReadOnlyList<string> Inputs { get; } =
        ["captions", "images", "scale", "logScale", "bias", "targets", "rowWeights", "groups", "imageGroups", "extraNegatives"];

    /// <summary>Computes.</summary>
    /// <param name="file">The inputs.</param>
    /// <param name="device">Where to compute.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">An input is missing, has another shape, or does not go with the settings.</exception>
    public SafetensorsWriter Run(SafetensorsFile file, Device device)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(device);
        using InputTensors inputs = new(file, device);
        Tensor captions = inputs.Matrix("captions");
        Tensor images = inputs.Matrix("images");
        Tensor extra = inputs.Has("extraNegatives") ? inputs.Matrix("extraNegatives") : default;
        Tensor bias = inputs.Has("bias") ? inputs.Scalar("bias") : default;
        Tensor groups = inputs.Has("groups") ? inputs.Int32s("groups") : default;
        bool isLogarithm = inputs.Has("logScale");
        if (isLogarithm && inputs.Has("scale"))
        {
            throw new UserErrorException($"'{file.Path}' has both 'scale' and 'logScale'", "give the multiplier or its logarithm");
        }

        if (_hasMaxScale && !isLogarithm)
        {
            throw new UserErrorException($"--set maxScale bounds the exponential of 'logScale', which '{file.Path}' has not", "give logScale in place of scale, or leave maxScale out");
        }

        Tensor scale = inputs.Scalar(isLogarithm ? "logScale" : "scale");
        SimilarityCrossEntropyOptions options = _options with { Scale = isLogarithm ? SimilarityCrossEntropyScale.Logarithm : SimilarityCrossEntropyScale.Multiplier };
        SimilarityCrossEntropyInputs given = new()
        {
            Captions = captions,
            Images = images,
            Scale = scale,
            Bias = bias,
            Targets = inputs.Has("targets") ? inputs.Int32s("targets") : default,
            RowWeights = inputs.Has("rowWeights") ? inputs.Singles("rowWeights") : default,
            CaptionGroups = groups,
            ImageGroups = inputs.Has("imageGroups") ? inputs.Int32s("imageGroups") : groups,
            ExtraNegatives = extra,
        };
        SimilarityCrossEntropyOutputs outputs = new()
        {
            Loss = inputs.Zeros(new Shape(1)),
            RowLoss = inputs.Zeros(new Shape(captions.Shape[0])),
            ColumnLoss = inputs.Zeros(new Shape(images.Shape[0])),
        };
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = _locked == Tower.Captions ? default : inputs.Zeros(captions.Shape),
            DImages = _locked == Tower.Images ? default : inputs.Zeros(images.Shape),
            DExtraNegatives = extra.IsPresent ? inputs.Zeros(extra.Shape) : default,
            DScale = inputs.Zeros(new Shape(1)),
            DBias = bias.IsPresent ? inputs.Zeros(new Shape(1)) : default,
        };
        try
        {
            using SimilarityCrossEntropyWorkspace workspace = new(
                device, options, captions.Shape[0], images.Shape[0], captions.Shape[1], extra.IsPresent ? extra.Shape[0] : 0);
            SimilarityCrossEntropy.ForwardBackward(workspace, given, outputs, gradients);
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException($"'{file.Path}': {Said(e)}", "correct the tensors or --set", e);
        }

        SafetensorsWriter writer = new();
        Put(writer, "loss", outputs.Loss);
        Put(writer, "rowLoss", outputs.RowLoss);
        Put(writer, "columnLoss", outputs.ColumnLoss);
        if (_locked != Tower.Captions)
        {
            Put(writer, "dCaptions", gradients.DCaptions);
        }

        if (_locked != Tower.Images)
        {
            Put(writer, "dImages", gradients.DImages);
        }

        if (isLogarithm)
        {
            Put(writer, "dLogScale", gradients.DScale);
        }
        else
        {
            // The chain rule of scale = exp(logScale).
            Put(writer, "dScale", gradients.DScale);
            writer.Add("dLogScale", [1], new[] { gradients.DScale.ToArray<float>()[0] * scale.ToArray<float>()[0] });
        }

        if (bias.IsPresent)
        {
            Put(writer, "dBias", gradients.DBias);
        }

        if (extra.IsPresent)
        {
            Put(writer, "dExtraNegatives", gradients.DExtraNegatives);
        }

        return writer;
    }

    // Without the name of a parameter, which is nobody's who gave a file.
    private static string Said(ArgumentException e) =>
        (e.ParamName is null ? e.Message : e.Message.Replace($" (Parameter '{e.ParamName}')", string.Empty, StringComparison.Ordinal)).ReplaceLineEndings(" ").TrimEnd('.');

    private static SimilarityCrossEntropyPrefix[] PrefixesOf(string? text)
    {
        if (text is null)
        {
            return [];
        }

        return [.. text.Split(',').Select(term =>
        {
            string[] parts = term.Split(':');
            float weight = 1;
            return parts.Length <= 2
                && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int width)
                && (parts.Length == 1 || float.TryParse(parts[1], NumberStyles.Float, CultureInfo.InvariantCulture, out weight))
                ? new SimilarityCrossEntropyPrefix(width, weight)
                : throw new UserErrorException($"--set prefixes={text}: '{term}' is no prefix", "write WIDTH or WIDTH:WEIGHT, as in prefixes=128:0.5,512");
        })];
    }

    // Copied: the tensors are given back before the file is written.
    private static void Put(SafetensorsWriter writer, string name, in Tensor tensor) => writer.Add(name, InputTensors.ShapeOf(tensor), tensor.ToArray<float>());

    private enum Tower
    {
        None,
        Captions,
        Images,
    }
}
