using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// The cases of <c>profile --kernels</c>: each operation with a CUDA backend, at the widths of a base-size tower and as many tokens as are
/// asked for, and what it takes besides so that every kernel has a row. Counts grow with the tokens; the shape of the picture does not
/// change.
/// </summary>
public static class KernelProfileCases
{
    /// <summary>The tokens of the documentation's table.</summary>
    public const int DefaultTokens = 256;

    private const int C = 768;
    private const int FeedForward = 3072;
    private const int HeadSize = 64;
    private const int FewHeads = 2;
    private const int E = 512;
    private const int Vocabulary = 4096;
    private const int SequenceLength = 128;
    private const int ImageSize = 64;
    private const int PatchSize = 16;
    private const int OddWidth = 147;
    private const int NarrowWidth = 32;
    private const int ManyTokens = 8;
    private const int LargeVocabulary = 70_000;

    /// <summary>Makes the cases.</summary>
    /// <param name="tokens">Rows of activations, at least 1.</param>
    /// <returns>A case an operation and storage, in the order of the operations' names.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="tokens"/> is below 1.</exception>
    public static IReadOnlyList<KernelProfileCase> For(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        List<KernelProfileCase> cases = [];
        Both(nameof(Attention), $"{Tokens(tokens)}, {C / HeadSize} heads of {HeadSize}, sequences of {SequenceLength}", (device, dtype) => RunAttention(device, dtype, tokens, C / HeadSize, HeadSize));
        foreach (int size in (int[])[32, 80, 96, 128])
        {
            Both(nameof(Attention), $"{Tokens(tokens)}, {FewHeads} heads of {size}, sequences of {SequenceLength}", (device, dtype) => RunAttention(device, dtype, tokens, FewHeads, size));
        }

        Add(nameof(AdamW), $"{FeedForward} x {C} weights", DType.Float32, RunAdamW);
        Both(nameof(Cast), $"{Tokens(tokens)} x {C}", (device, dtype) => Kernels.Cast.Run(
            device.NewTensor(dtype, new Shape(tokens, C)), device.NewTensor(dtype == DType.Float32 ? DType.BFloat16 : DType.Float32, new Shape(tokens, C))));
        Both(nameof(Dropout), $"{Tokens(tokens)} x {C}", (device, dtype) => RunDropout(device, dtype, tokens));
        Both(nameof(Embedding), $"{Tokens(tokens)} x {C}, {Vocabulary} words", (device, dtype) => RunEmbedding(device, dtype, tokens, C, Vocabulary));
        Add(
            nameof(Embedding),
            $"{Tokens(ManyTokens * tokens)} x {NarrowWidth}, {LargeVocabulary} words, one type: several tiles to sort",
            DType.Float32,
            device => RunEmbedding(device, DType.Float32, ManyTokens * tokens, NarrowWidth, LargeVocabulary, hasType: true));
        Both(nameof(Embedding), $"{Tokens(tokens)} x {C}, bfloat16 tables, gradients of the rows that occur", (device, dtype) => RunSparseEmbedding(device, dtype, tokens, C));
        Add(
            nameof(Embedding),
            $"{Tokens(ManyTokens * tokens)} x {NarrowWidth}, gradients of the rows that occur: several tiles to sort",
            DType.Float32,
            device => RunSparseEmbedding(device, DType.Float32, ManyTokens * tokens, NarrowWidth));
        Both(nameof(Gelu), $"{Tokens(tokens)} x {FeedForward}", (device, dtype) => RunGelu(device, dtype, tokens));
        Add(nameof(GradientNorm), $"{FeedForward} x {C} weights", DType.Float32, RunGradientNorm);
        Both(nameof(L2Norm), $"{Tokens(tokens)} x {E}", (device, dtype) => RunL2Norm(device, dtype, tokens));
        Both(nameof(LayerNorm), $"{Tokens(tokens)} x {C}", (device, dtype) => RunLayerNorm(device, dtype, tokens));
        Both(nameof(Linear), $"{Tokens(tokens)} x {C} to {C}", (device, dtype) => RunLinear(device, dtype, tokens, C, C));
        Add(nameof(Linear), $"{Tokens(tokens)} x {C} to {C}", DType.Float32, device => RunLinear(device, DType.Float32, tokens, C, C), MatMulPrecision.Tf32);
        Add(nameof(Linear), $"{Tokens(tokens)} x {C} to {C}", DType.Float32, device => RunLinear(device, DType.Float32, tokens, C, C), MatMulPrecision.BFloat16);
        Add(nameof(Linear), $"{Tokens(tokens)} x {C} to {C}, float32 weights and products", DType.BFloat16, device => RunLinear(device, DType.BFloat16, tokens, C, C, DType.Float32));
        Both(nameof(Linear), $"{Tokens(tokens)} x {OddWidth} to {OddWidth}: rows of no whole number of 16 bytes", (device, dtype) => RunLinear(device, dtype, tokens, OddWidth, OddWidth));
        Both(nameof(Linear), $"room for {Tokens(2 * tokens)} x {C}, {Tokens(tokens)} live, the products by cuBLAS", (device, dtype) => RunLiveLinear(device, dtype, tokens), engine: MatMulEngine.Cublas);
        Both(nameof(PatchEmbedding), $"4 pictures of {ImageSize}, patches of {PatchSize}, {C} columns", (device, dtype) => RunPatchEmbedding(device, dtype, default, default), InStorage);
        Both(
            nameof(PatchEmbedding),
            $"room for 4 pictures of {ImageSize}, 2 live, patches of {PatchSize}, {C} columns",
            RunLivePatchEmbedding,
            InStorage);
        Both(nameof(Pooling), $"{Tokens(tokens)} x {C}, sequences of {SequenceLength}", (device, dtype) => RunPooling(device, dtype, dtype, tokens));
        Add(nameof(Pooling), $"{Tokens(tokens)} x {C}, sequences of {SequenceLength}, float32 vectors", DType.BFloat16, device => RunPooling(device, DType.BFloat16, DType.Float32, tokens));
        Both(nameof(Pooling), $"{Tokens(tokens)} x {C}, sequences of {SequenceLength}, maxima", (device, dtype) => RunPooling(device, dtype, DType.Float32, tokens, PoolingKind.Max));
        Both(nameof(Residual), $"{Tokens(tokens)} x {C}", (device, dtype) => RunResidual(device, dtype, tokens));
        Both(nameof(RetrievalRanks), $"{Tokens(tokens)} queries, as many in the pool, {E} columns", (device, dtype) => RunRetrievalRanks(device, dtype, tokens));
        Both(nameof(SimilarityCrossEntropy), $"{Tokens(tokens)} captions and images x {E}", (device, dtype) => RunLoss(device, dtype, tokens, new()), InStorage);
        Add(nameof(SimilarityCrossEntropy), $"{Tokens(tokens)} captions and images x {E}", DType.Float32, device => RunLoss(device, DType.Float32, tokens, new()), MatMulPrecision.Tf32);
        SimilarityCrossEntropyOptions sigmoid = new() { Objective = SimilarityCrossEntropyObjective.Sigmoid };
        SimilarityCrossEntropyOptions plain = new() { FalseNegativeMargin = 0.1f, Prefixes = [new(E / 2, 0.5f), new(E, 1)] };
        SimilarityCrossEntropyOptions recomputing = new() { MemoryBudgetBytes = LossProjector.OneSuperTile(Math.Min(tokens, 4096), E) };
        Both(
            nameof(SimilarityCrossEntropy),
            $"{Tokens(tokens)} captions and images x {E}, similarities not kept",
            (device, dtype) => RunLoss(device, dtype, tokens, recomputing),
            InStorage);
        Add(
            nameof(SimilarityCrossEntropy),
            $"{Tokens(tokens)} captions and images x {E}, similarities not kept",
            DType.Float32,
            device => RunLoss(device, DType.Float32, tokens, recomputing),
            MatMulPrecision.Tf32);
        Add(nameof(SimilarityCrossEntropy), $"{Tokens(tokens)} captions and images x {E}, sigmoid, weighted rows", DType.BFloat16, device => RunLoss(device, DType.BFloat16, tokens, sigmoid), MatMulPrecision.BFloat16);
        Add(
            nameof(SimilarityCrossEntropy),
            $"{Tokens(tokens)} captions and images x {E}, without likely false negatives, and of {E / 2} columns besides",
            DType.BFloat16,
            device => RunLoss(device, DType.BFloat16, tokens, plain),
            MatMulPrecision.BFloat16);
        return [.. cases.Where(c => KernelCatalog.Operations.Any(o => o.Operation == c.Operation && o.HasCuda)).OrderBy(c => c.Operation, StringComparer.Ordinal)];

        // Where a step stores bfloat16, its products round to it as well.
        static MatMulPrecision InStorage(DType dtype) => dtype == DType.BFloat16 ? MatMulPrecision.BFloat16 : MatMulPrecision.Float32;

        void Both(string operation, string shape, Action<Device, DType> run, Func<DType, MatMulPrecision>? precision = null, MatMulEngine engine = MatMulEngine.Own)
        {
            foreach (DType dtype in (DType[])[DType.BFloat16, DType.Float32])
            {
                Add(operation, shape, dtype, device => run(device, dtype), precision?.Invoke(dtype) ?? MatMulPrecision.Float32, engine);
            }
        }

        void Add(
            string operation, string shape, DType dtype, Action<Device> run, MatMulPrecision precision = MatMulPrecision.Float32, MatMulEngine engine = MatMulEngine.Own) =>
            cases.Add(new KernelProfileCase(operation, shape, dtype, run) { Precision = precision, Engine = engine });
    }

    private static string Tokens(int tokens) => tokens.ToString(CultureInfo.InvariantCulture);

    private static Tensor New(Device device, DType dtype, int d0) => device.NewTensor(dtype, new Shape(d0));

    private static Tensor New(Device device, DType dtype, int d0, int d1) => device.NewTensor(dtype, new Shape(d0, d1));

    // Sequences of 128 tokens; the last has what is left.
    private static Tensor Ends(Device device, int tokens)
    {
        int sequences = (tokens + SequenceLength - 1) / SequenceLength;
        int[] ends = [.. Enumerable.Range(0, sequences + 1).Select(s => Math.Min(s * SequenceLength, tokens))];
        Tensor tensor = New(device, DType.Int32, ends.Length);
        tensor.CopyFrom<int>(ends);
        return tensor;
    }

    private static Tensor Numbers(Device device, int count, int below)
    {
        Tensor tensor = New(device, DType.Int32, count);
        tensor.CopyFrom<int>([.. Enumerable.Range(0, count).Select(i => i * 7 % below)]);
        return tensor;
    }

    private static void RunAttention(Device device, DType dtype, int tokens, int heads, int size)
    {
        int c = heads * size;
        Tensor qkv = New(device, dtype, tokens, 3 * c);
        Tensor output = New(device, dtype, tokens, c);
        Tensor lse = New(device, DType.Float32, tokens, heads);
        Tensor ends = Ends(device, tokens);
        Attention.Forward(qkv, ends, output, lse, heads);
        Attention.Backward(output, qkv, ends, output, lse, New(device, dtype, tokens, 3 * c), heads);
    }

    private static AdamWParameters Parameters(Device device)
    {
        Tensor Table() => New(device, DType.Float32, FeedForward, C);
        return new AdamWParameters(device, new AdamWParameter(Table(), Table(), Table(), Table(), New(device, DType.BFloat16, FeedForward, C)));
    }

    private static void RunAdamW(Device device)
    {
        using AdamWParameters parameters = Parameters(device);
        AdamW.Step(parameters, new AdamWSettings(1e-3, 1));
        device.Synchronize();
    }

    private static void RunGradientNorm(Device device)
    {
        using AdamWParameters parameters = Parameters(device);
        GradientNorm.Run(parameters, 1, New(device, DType.Float32, GradientNorm.ResultLength));
        device.Synchronize();
    }

    private static void RunDropout(Device device, DType dtype, int tokens)
    {
        Tensor x = New(device, dtype, tokens, C);
        Dropout.Forward(x, x, new DropoutSite(0.1f, 1, 2, New(device, DType.Int32, tokens, 2)));
    }

    private static void RunEmbedding(Device device, DType dtype, int tokens, int c, int vocabulary, bool hasType = false)
    {
        Tensor ids = Numbers(device, tokens, vocabulary);
        Tensor positions = Numbers(device, tokens, SequenceLength);
        Tensor word = New(device, DType.Float32, vocabulary, c);
        Tensor position = New(device, DType.Float32, SequenceLength, c);
        Tensor type = hasType ? New(device, DType.Float32, 1, c) : default;
        Tensor output = New(device, dtype, tokens, c);
        Embedding.Forward(ids, positions, default, word, position, type, output);
        Embedding.Backward(output, ids, positions, default, word, position, type);
    }

    private static void RunSparseEmbedding(Device device, DType dtype, int tokens, int c)
    {
        Tensor ids = Numbers(device, tokens, Vocabulary);
        Tensor output = New(device, dtype, tokens, c);
        Embedding.Forward(
            ids, Numbers(device, tokens, SequenceLength), default, New(device, DType.BFloat16, Vocabulary, c), New(device, DType.BFloat16, SequenceLength, c), default, output);
        RowSparseGradient rows = new(New(device, DType.Int32, tokens), New(device, DType.Float32, tokens, c), New(device, DType.Int32, 1));
        Embedding.BackwardSparse(output, ids, Vocabulary, rows);
    }

    private static void RunGelu(Device device, DType dtype, int tokens)
    {
        Tensor x = New(device, dtype, tokens, FeedForward);
        Tensor y = New(device, dtype, tokens, FeedForward);
        Tensor bias = New(device, DType.Float32, FeedForward);
        Gelu.Forward(GeluKind.Erf, x, bias, y);
        Gelu.Backward(GeluKind.Erf, y, x, bias, y, bias);
    }

    private static void RunL2Norm(Device device, DType dtype, int tokens)
    {
        Tensor x = New(device, dtype, tokens, E);
        Tensor y = New(device, dtype, tokens, E);
        Tensor norm = New(device, DType.Float32, tokens);
        L2Norm.Forward(x, y, norm);
        L2Norm.Backward(x, y, norm, x);
    }

    private static void RunLayerNorm(Device device, DType dtype, int tokens)
    {
        Tensor x = New(device, dtype, tokens, C);
        Tensor y = New(device, dtype, tokens, C);
        Tensor weight = New(device, DType.Float32, C);
        Tensor bias = New(device, DType.Float32, C);
        Tensor mean = New(device, DType.Float32, tokens);
        Tensor rstd = New(device, DType.Float32, tokens);
        LayerNorm.Forward(x, weight, bias, y, mean, rstd, 1e-5f);
        LayerNorm.Backward(y, x, weight, mean, rstd, x, weight, bias);
    }

    private static void RunLinear(Device device, DType dtype, int tokens, int inputs, int outputs, DType? weights = null)
    {
        Tensor x = New(device, dtype, tokens, inputs);
        Tensor y = New(device, dtype, tokens, outputs);
        Tensor weight = New(device, weights ?? dtype, outputs, inputs);
        Tensor bias = New(device, DType.Float32, outputs);
        Linear.Forward(x, weight, bias, y);
        Linear.Backward(y, x, weight, New(device, dtype, tokens, inputs), New(device, DType.Float32, outputs, inputs), bias);
    }

    // What a replayed graph does whose batch fills half of its room: cuBLAS multiplies all rows.
    private static void RunLiveLinear(Device device, DType dtype, int tokens)
    {
        Tensor count = New(device, DType.Int32, 1);
        count.CopyFrom<int>([tokens]);
        LiveRows live = new(2 * tokens, count);
        Tensor x = New(device, dtype, 2 * tokens, C).WithLiveRows(live);
        Tensor y = New(device, dtype, 2 * tokens, C).WithLiveRows(live);
        Linear.Backward(y, x, New(device, dtype, C, C), default, New(device, DType.Float32, C, C), default);
    }

    // A replayed graph, half full.
    private static void RunLivePatchEmbedding(Device device, DType dtype)
    {
        const int Rows = 1 + (ImageSize / PatchSize * (ImageSize / PatchSize));
        Tensor pictures = New(device, DType.Int32, 1);
        Tensor rows = New(device, DType.Int32, 1);
        pictures.CopyFrom<int>([2]);
        rows.CopyFrom<int>([2 * Rows]);
        RunPatchEmbedding(device, dtype, new LiveRows(4, pictures), new LiveRows(4 * Rows, rows));
    }

    private static void RunPatchEmbedding(Device device, DType dtype, LiveRows? livePictures, LiveRows? liveRows)
    {
        const int Pictures = 4;
        const int Patches = ImageSize / PatchSize * (ImageSize / PatchSize);
        Tensor pixels = device.NewTensor(DType.Float32, new Shape(Pictures, 3, ImageSize, ImageSize)).WithLiveRows(livePictures);
        Tensor weight = New(device, DType.Float32, C, 3 * PatchSize * PatchSize);
        Tensor bias = New(device, DType.Float32, C);
        Tensor position = New(device, DType.Float32, 1 + Patches, C);
        Tensor output = New(device, dtype, Pictures * (1 + Patches), C).WithLiveRows(liveRows);
        PatchEmbedding.Forward(pixels, weight, bias, bias, position, output, PatchSize);
        PatchEmbedding.Backward(output, pixels, weight, bias, New(device, DType.Float32, C), position, PatchSize);
    }

    private static void RunPooling(Device device, DType dtype, DType vectors, int tokens, PoolingKind kind = PoolingKind.Mean)
    {
        Tensor x = New(device, dtype, tokens, C);
        Tensor ends = Ends(device, tokens);
        Tensor pooled = New(device, vectors, ends.Shape[0] - 1, C);
        Tensor chosen = kind == PoolingKind.Max ? New(device, DType.Int32, ends.Shape[0] - 1, C) : default;
        Pooling.Forward(kind, x, ends, pooled, chosen);
        Pooling.Backward(kind, pooled, ends, x, chosen);
    }

    private static void RunResidual(Device device, DType dtype, int tokens)
    {
        Tensor x = New(device, dtype, tokens, C);
        Residual.Add(x, New(device, dtype, tokens, C), x);
    }

    private static void RunRetrievalRanks(Device device, DType dtype, int tokens)
    {
        Tensor queries = New(device, dtype, tokens, E);
        Tensor pool = New(device, dtype, tokens, E);
        RetrievalRanks.Run(queries, pool, Numbers(device, tokens, tokens), New(device, DType.Int32, tokens));
        RetrievalRanks.TopK(queries, pool, New(device, DType.Int32, tokens, Math.Min(tokens, 10)));
    }

    private static void RunLoss(Device device, DType dtype, int tokens, SimilarityCrossEntropyOptions options)
    {
        using SimilarityCrossEntropyWorkspace workspace = new(device, options, tokens, tokens, E);
        Tensor One() => New(device, DType.Float32, 1);
        SimilarityCrossEntropyInputs inputs = new()
        {
            Captions = New(device, dtype, tokens, E),
            Images = New(device, dtype, tokens, E),
            Scale = One(),
            Bias = options.Objective == SimilarityCrossEntropyObjective.Sigmoid ? One() : default,
            RowWeights = options.Objective == SimilarityCrossEntropyObjective.Sigmoid ? New(device, DType.Float32, tokens) : default,
        };
        SimilarityCrossEntropyOutputs outputs = new() { Loss = One() };
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = New(device, DType.Float32, tokens, E),
            DImages = New(device, DType.Float32, tokens, E),
            DScale = One(),
            DBias = inputs.Bias.IsPresent ? One() : default,
        };
        SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
        device.Synchronize();
    }
}
