using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>One problem for the fused loss: options and inputs on the host, so that it can go to the operation, the reference and the twin.</summary>
public sealed record SimilarityCrossEntropyCase(SimilarityCrossEntropyOptions Options, int B, int K, int E, float[] Captions, float[] Images, float Scale)
{
    public DType DType { get; init; } = DType.Float32;

    public float? Bias { get; init; }

    public float[] Extra { get; init; } = [];

    public int[]? Targets { get; init; }

    public float[]? RowWeights { get; init; }

    public int[]? CaptionGroups { get; init; }

    public int[]? ImageGroups { get; init; }

    public bool LockCaptions { get; init; }

    public bool LockImages { get; init; }

    public int X => Extra.Length / E;

    /// <summary>Seeded embeddings whose matching rows look alike.</summary>
    public static SimilarityCrossEntropyCase Seeded(SimilarityCrossEntropyOptions options, int b, int k, int e, uint seed, float spread = 1, DType dtype = DType.Float32)
    {
        float[] captions = TestData.Normal(dtype, (long)b * e, seed, spread);
        float[] images = TestData.Normal(dtype, (long)k * e, seed + 1, spread);
        for (int i = 0; i < Math.Min(b, k) * e; i++)
        {
            float mixed = images[i] + (0.5f * captions[i]);
            images[i] = dtype == DType.BFloat16 ? BFloat16.FromSingle(mixed).ToSingle() : mixed;
        }

        bool logarithm = options.Scale == SimilarityCrossEntropyScale.Logarithm;
        float scale = options.Normalize ? 14 : 0.8f / MathF.Sqrt(e) / (spread * spread);
        return new SimilarityCrossEntropyCase(options, b, k, e, captions, images, logarithm ? MathF.Log(scale) : scale) { DType = dtype };
    }

    public SimilarityCrossEntropyProblem<double> ToDouble() => To(v => (double)v);

    public SimilarityCrossEntropyProblem<float> ToFloat() => To(v => v);

    public SimilarityCrossEntropyResult<float> Run(Backend backend, out double discrepancy)
    {
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, Options, B, K, E, X);
        return Run(backend, workspace, out discrepancy);
    }

    /// <summary>Forward and backward on a device; everything that is to be overwritten is poisoned first.</summary>
    public SimilarityCrossEntropyResult<float> Run(Backend backend, SimilarityCrossEntropyWorkspace workspace, out double discrepancy)
    {
        SimilarityCrossEntropyInputs inputs = Inputs(backend);
        Tensor loss = backend.Poisoned(DType.Float32, new Shape(1));
        SimilarityCrossEntropyOutputs outputs = new()
        {
            Loss = loss,
            RowLoss = backend.Poisoned(DType.Float32, new Shape(B)),
            ColumnLoss = backend.Poisoned(DType.Float32, new Shape(K)),
        };
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = LockCaptions ? default : backend.Poisoned(DType.Float32, new Shape(B, E)),
            DImages = LockImages ? default : backend.Poisoned(DType.Float32, new Shape(K, E)),
            DExtraNegatives = X == 0 ? default : backend.Poisoned(DType.Float32, new Shape(X, E)),
            DScale = backend.Upload(DType.Float32, new Shape(1), [0f]),
            DBias = Bias is null ? default : backend.Upload(DType.Float32, new Shape(1), [0f]),
        };
        SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
        discrepancy = workspace.ScaleGradientDiscrepancy;
        SimilarityCrossEntropyResult<float> result = new(B, K, X, E)
        {
            Loss = backend.Download(loss)[0],
            DScale = backend.Download(gradients.DScale)[0],
            DBias = Bias is null ? 0 : backend.Download(gradients.DBias)[0],
        };
        Copy(backend, outputs.RowLoss, result.RowLoss);
        Copy(backend, outputs.ColumnLoss, result.ColumnLoss);
        Copy(backend, gradients.DCaptions, result.DCaptions);
        Copy(backend, gradients.DImages, result.DImages);
        Copy(backend, gradients.DExtraNegatives, result.DExtra);
        return result;
    }

    public float RunForward(Backend backend)
    {
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, Options, B, K, E, X);
        Tensor loss = backend.Poisoned(DType.Float32, new Shape(1));
        SimilarityCrossEntropy.Forward(workspace, Inputs(backend), new SimilarityCrossEntropyOutputs { Loss = loss });
        return backend.Download(loss)[0];
    }

    public SimilarityCrossEntropyInputs Inputs(Backend backend) => new()
    {
        Captions = backend.Upload(DType, new Shape(B, E), Captions),
        Images = backend.Upload(DType, new Shape(K, E), Images),
        Scale = backend.Upload(DType.Float32, new Shape(1), [Scale]),
        Bias = Bias is float bias ? backend.Upload(DType.Float32, new Shape(1), [bias]) : default,
        ExtraNegatives = X == 0 ? default : backend.Upload(DType, new Shape(X, E), Extra),
        Targets = Targets is null ? default : backend.Upload(new Shape(B), Targets),
        RowWeights = RowWeights is null ? default : backend.Upload(DType.Float32, new Shape(B), RowWeights),
        CaptionGroups = CaptionGroups is null ? default : backend.Upload(new Shape(B), CaptionGroups),
        ImageGroups = ImageGroups is null ? default : backend.Upload(new Shape(K), ImageGroups),
    };

    private static void Copy(Backend backend, in Tensor tensor, float[] destination)
    {
        if (tensor.IsPresent)
        {
            backend.Download(tensor).CopyTo(destination, 0);
        }
    }

    private SimilarityCrossEntropyProblem<T> To<T>(Converter<float, T> convert)
        where T : System.Numerics.IFloatingPointIeee754<T> =>
        new(B, K, E, Array.ConvertAll(Captions, convert), Array.ConvertAll(Images, convert), convert(Scale))
        {
            Extra = Array.ConvertAll(Extra, convert),
            Rows = Options.Direction != SimilarityCrossEntropyDirection.ImageToCaption,
            Columns = Options.Direction != SimilarityCrossEntropyDirection.CaptionToImage,
            Sigmoid = Options.Objective == SimilarityCrossEntropyObjective.Sigmoid,
            Normalize = Options.Normalize,
            LogScale = Options.Scale == SimilarityCrossEntropyScale.Logarithm,
            MaxScale = convert(Options.MaxScale),
            Bias = convert(Bias ?? 0),
            Targets = Targets,
            RowWeights = RowWeights is null ? null : Array.ConvertAll(RowWeights, convert),
            DivideByRowCount = Options.DivideByRowCount,
            CaptionGroups = CaptionGroups,
            ImageGroups = ImageGroups,
            SharedGroups = Options.Groups == SimilarityCrossEntropyGroups.Shared,
            LabelSmoothing = convert(Options.LabelSmoothing),
            FalseNegativeMargin = convert(Options.FalseNegativeMargin ?? float.PositiveInfinity),
            Prefixes = [.. Options.Prefixes.Select(p => (p.Width, convert(p.Weight)))],
        };
}
