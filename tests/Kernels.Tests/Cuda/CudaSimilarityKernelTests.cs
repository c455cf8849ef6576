using CrossAlign.Kernels.Cuda;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>What only the kernels of the fused loss promise: precisions, counters, memory, replays.</summary>
public sealed class CudaSimilarityKernelTests
{
    public static TheoryData<MatMulPrecision, ulong, string, int> Precisions()
    {
        TheoryData<MatMulPrecision, ulong, string, int> data = [];
        ulong seed = 0;
        foreach (MatMulPrecision precision in (MatMulPrecision[])[MatMulPrecision.BFloat16, MatMulPrecision.Tf32])
        {
            foreach ((string variant, int b) in ((string, int)[])[
                ("symmetric", 203), ("paper", 64), ("raw symmetric", 33), ("image to caption", 64), ("sigmoid", 97), ("masked", 64), ("shared", 40),
                ("smoothing", 64), ("weights", 64), ("ignored", 33), ("extra negatives", 64), ("prefixes", 64), ("locked captions", 64), ("locked images", 64)])
            {
                data.Add(precision, seed++ % 5, variant, b);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Precisions))]
    public void EachPrecisionHasABudgetOfItsOwn(MatMulPrecision precision, ulong seed, string variant, int b)
    {
        using EmulatedCuda backend = new(seed);
        backend.Device.MatMulPrecision = precision;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, b);
        SimilarityCrossEntropyResult<float> actual = x.Run(backend, out double discrepancy);
        SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, expected, actual, precision);
        Assert.True(wrong is null, wrong);

        // In TF32 the inner products take the embeddings as they are, the products take them rounded.
        double most = precision == MatMulPrecision.Tf32 ? 1e-3 : 3e-6;
        Assert.True(x.LockCaptions || x.LockImages ? double.IsNaN(discrepancy) : discrepancy < most, $"{discrepancy}");

        // The products are rounded at all: float32's budget is broken.
        Assert.NotNull(SimilarityCrossEntropyBudget.Explain(x, expected, actual));
        backend.CheckGuards();
    }

    [Theory]
    [InlineData("symmetric")]
    [InlineData("rows")]
    [InlineData("columns")]
    [InlineData("raw")]
    [InlineData("weights")]
    [InlineData("more images")]
    [InlineData("a column less than two tiles")]
    [InlineData("a row less than a tile")]
    [InlineData("extra negatives")]
    [InlineData("extra negatives behind an odd number")]
    public void TilesInsideTheMatrixAreWithinTheBudgetWhenTheyAreComputedTwice(string form)
    {
        // One tile of 128 x 128 lies inside, and one of extra negatives; or none, for want of a line. The workspace is planned for more rows, so it keeps nothing.
        const int E = 12;
        int b = form == "a row less than a tile" ? 127 : 130;
        SimilarityCrossEntropyOptions options = new()
        {
            MemoryBudgetBytes = 950_000,
            Normalize = form != "raw",
            Direction = form switch
            {
                "rows" => SimilarityCrossEntropyDirection.CaptionToImage,
                "columns" => SimilarityCrossEntropyDirection.ImageToCaption,
                _ => SimilarityCrossEntropyDirection.Symmetric,
            },
        };
        foreach (MatMulPrecision precision in (MatMulPrecision[])[MatMulPrecision.BFloat16, MatMulPrecision.Tf32])
        {
            int k = form switch
            {
                "more images" => 300,
                "a column less than two tiles" => 255,
                "a row less than a tile" => 130,
                "extra negatives behind an odd number" => b + 1,
                _ => b,
            };
            SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, b, k, E, 3) with
            {
                Extra = form.StartsWith("extra", StringComparison.Ordinal) ? TestData.Normal(DType.Float32, 150L * E, 77) : [],
                RowWeights = form == "weights" ? [.. Enumerable.Range(0, b).Select(i => 0.5f + (i % 3))] : null,
            };
            using EmulatedCuda backend = new((ulong)k);
            backend.Device.MatMulPrecision = precision;
            using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, options, 600, 900, E, form.StartsWith("extra", StringComparison.Ordinal) ? 300 : 0);
            Assert.False(workspace.KeepsSimilarities);
            SimilarityCrossEntropyResult<float> actual = x.Run(backend, workspace, out _);
            string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), actual, precision);
            Assert.True(wrong is null, $"{precision}: {wrong}");
            backend.CheckGuards();
        }
    }

    [Theory]
    [InlineData("symmetric")]
    [InlineData("sigmoid")]
    [InlineData("masked + smoothing + weights + ignored + extra + prefixes")]
    public void CublasMayMultiplyTheGradients(string variant)
    {
        using EmulatedCudaCublas backend = new();
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 70);
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), x.Run(backend, out _));
        Assert.True(wrong is null, wrong);
        Assert.Contains("cublas_gemm_f32", backend.Cuda.Emulation!.ReadCounters().Keys);
    }

    [Theory]
    [InlineData(MatMulPrecision.BFloat16, "bf16")]
    [InlineData(MatMulPrecision.Tf32, "tf32")]
    [InlineData(MatMulPrecision.Float32, "f32")]
    public void TilesHaveNoBankConflictAndMoveWhatTheCommentsSay(MatMulPrecision precision, string suffix)
    {
        const int B = 256;
        const int E = 256;
        DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { MemoryBudgetBytes = 950_000 }, B, B, E, 3, dtype: dtype);
        using EmulatedCuda backend = new(0);
        backend.Device.MatMulPrecision = precision;

        // One super-tile, and no room to keep the similarities besides.
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, B, B, E);
        Assert.False(workspace.KeepsSimilarities);
        x.Run(backend, workspace, out _);
        backend.Device.Synchronize();
        IReadOnlyDictionary<string, KernelCounters> all = backend.Cuda.Emulation!.ReadCounters();
        KernelCounters stats = all["similarity_stats_" + suffix];
        KernelCounters gradients = all["similarity_gradients_" + suffix];
        long products = precision == MatMulPrecision.Float32 ? 0 : 2L * B * B * E;
        foreach (KernelCounters counters in (KernelCounters[])[stats, gradients])
        {
            Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
            Assert.InRange(counters.GlobalSectorCount, 1, (long)(1.05 * counters.MinGlobalSectorCount));
            Assert.Equal(products, counters.MmaOperationCount);
        }

        // Four tiles, as the header of similarity_cross_entropy.cu counts their sectors.
        long size = dtype.ByteSize();
        (int statsLines, int gradientLines) = precision == MatMulPrecision.Float32 ? (272, 1040) : (112, 432);
        AssertNear(4 * ((8L * E * size) + statsLines + 144), stats.GlobalSectorCount);
        AssertNear(4 * ((8L * E * size) + gradientLines + (512 * size)), gradients.GlobalSectorCount);
        Assert.Equal(4 * 128L * (4 + 5) * sizeof(float), stats.GlobalWriteByteCount);
        Assert.Equal((long)B * B * dtype.ByteSize(), gradients.GlobalWriteByteCount);

        // 4 products of 2 B K E: two of similarities here, two in matmul.cu.
        Assert.Equal(4 * 2L * B * B * E, workspace.OperationCount);
        Assert.Equal(products, all["matmul_nn_" + suffix].MmaOperationCount);
        Assert.Equal(products, all["matmul_tn_" + suffix].MmaOperationCount);
    }

    [Theory]
    [InlineData(MatMulPrecision.BFloat16)]
    [InlineData(MatMulPrecision.Tf32)]
    [InlineData(MatMulPrecision.Float32)]
    public void MergesLinesAndKeptLogitsMoveWhatTheCommentsSay(MatMulPrecision precision)
    {
        const int B = 256;
        const int E = 256;
        const int Tiles = 4;
        const int TilesAcross = 2;
        const int Warps = 2 * B / 32;
        DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
        int size = dtype.ByteSize();
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Prefixes = [new(E, 1), new(E / 2, 1)] }, B, B, E, 3, dtype: dtype);
        using EmulatedCuda backend = new(0);
        backend.Device.MatMulPrecision = precision;
        using (SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, B, B, E))
        {
            Assert.True(workspace.KeepsSimilarities);
            x.Run(backend, workspace, out _);
        }

        // Two prefixes: E and E / 2. Of both sides, so 2 B lines; what is launched once a prefix counts twice.
        IReadOnlyDictionary<string, KernelCounters> all = backend.Cuda.Emulation!.ReadCounters();
        long size2 = 2L * E * size;
        Sectors("similarity_merge", 2 * ((((B * (24 + (12 * TilesAcross))) + (B * (32 + (20 * TilesAcross)))) / 32) + (2 * Warps)));
        Sectors("similarity_reset", 2 * ((2 * B * 12 / 32) + Warps));
        Sectors("similarity_columns", 2 * ((B * (28 + 4) / 32) + (2 * Warps / 2)));
        Sectors("similarity_softmax_lines", 2 * ((B * (20 + 16 + 4) / 32) + (2 * Warps)));
        Sectors("similarity_norms", 2 * B * ((size2 / 32) + (size2 / 2 / 32) + 4));
        Sectors("similarity_keep", 2 * B * ((((E / 2 * size) + (4 * E / 2)) / 32) + 2));

        // The last prefix writes the whole gradient: what lies behind the prefix is read once.
        Sectors("similarity_finish", 2 * B * (((size2 + (12 * E)) / 32) + 4 + (((size2 / 2) + (4 * E / 2) + (8 * E)) / 32) + 5));
        Sectors("similarity_gradients_kept", 2 * Tiles * (2048 + (512 * size) + 1024 + 512));
        Near(2L * 2 * B * TilesAcross * 2 / 32, Special("similarity_merge"), "similarity_merge");
        Near(2L * Tiles * 2 * 128 * 128 / 32, Special("similarity_gradients_kept"), "similarity_gradients_kept");
        Assert.All(["similarity_merge", "similarity_gradients_kept", "similarity_keep"], k => Assert.InRange(all[k].GlobalSectorCount, 1, (long)(1.05 * all[k].MinGlobalSectorCount)));

        long Special(string kernel) => all[kernel].Instructions[(int)InstructionClass.Special];

        void Sectors(string kernel, long expected) => Near(expected, all[kernel].GlobalSectorCount, kernel);

        static void Near(long expected, long actual, string kernel) =>
            Assert.True(Math.Abs(actual - expected) <= 0.05 * expected, $"{kernel}: {actual}, the comment says {expected}");
    }

    [Theory]
    [InlineData(MatMulPrecision.BFloat16, "bf16")]
    [InlineData(MatMulPrecision.Float32, "f32")]
    public void TheSigmoidMovesWhatTheCommentsSay(MatMulPrecision precision, string suffix)
    {
        const int B = 256;
        const int E = 256;
        const int Tiles = 4;
        DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Objective = SimilarityCrossEntropyObjective.Sigmoid }, B, B, E, 3, dtype: dtype) with { Bias = -3 };
        using EmulatedCuda backend = new(0);
        backend.Device.MatMulPrecision = precision;
        x.Run(backend, out _);
        IReadOnlyDictionary<string, KernelCounters> all = backend.Cuda.Emulation!.ReadCounters();
        KernelCounters gradients = all["similarity_gradients_" + suffix];
        AssertNear(Tiles * ((8L * E * dtype.ByteSize()) + 432 + (512 * dtype.ByteSize())), gradients.GlobalSectorCount);
        AssertNear(Tiles * 3L * 128 * 128 / 32, gradients.Instructions[(int)InstructionClass.Special]);

        // Rows alone: two tiles across, a warp of 32 rows two sectors more.
        AssertNear((B * (16 + (8 * 2)) / 32) + (2 * B / 32), all["similarity_merge"].GlobalSectorCount);
    }

    [Fact]
    public void MemoryStaysWithinTheBoundAndThePrediction()
    {
        const int B = 400;
        const int E = 20;
        foreach (SimilarityCrossEntropyObjective objective in Enum.GetValues<SimilarityCrossEntropyObjective>())
        {
            SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Objective = objective, MemoryBudgetBytes = Recomputing }, B, B, E, 3);
            using EmulatedCuda backend = new(0);
            SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
            SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
            SimilarityCrossEntropyGradients gradients = new()
            {
                DCaptions = backend.Poisoned(DType.Float32, new Shape(B, E)),
                DImages = backend.Poisoned(DType.Float32, new Shape(B, E)),
                DScale = backend.Upload(DType.Float32, new Shape(1), [0f]),
            };
            long before = backend.Cuda.Pool.LiveByteCount;
            Assert.Equal(before, backend.Cuda.Pool.PeakByteCount);
            using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, B, B, E);
            SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
            long taken = backend.Cuda.Pool.PeakByteCount - before;
            Assert.False(workspace.KeepsSimilarities);
            Assert.InRange(taken, workspace.ByteCount, Recomputing + (32L * B));
            Assert.InRange(taken, 0, SimilarityCrossEntropyWorkspace.PredictByteCount(x.Options, B, B, E, kind: DeviceKind.Cuda));
        }
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric)]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.CaptionToImage)]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.ImageToCaption)]
    [InlineData(SimilarityCrossEntropyObjective.Sigmoid, SimilarityCrossEntropyDirection.Symmetric)]
    public void TheDefaultBudgetHasRoomForAnyBatch(SimilarityCrossEntropyObjective objective, SimilarityCrossEntropyDirection direction)
    {
        // Embeddings and gradients of the last alone, 8 numbers wide, are 51 GB.
        SimilarityCrossEntropyOptions options = new() { Objective = objective, Direction = direction };
        foreach (int b in (int[])[1, 1000, 65536, 131072, 500_000, 1 << 20, (1 << 20) + 1, 2_000_003, 1 << 22, 1 << 24, 1 << 28])
        {
            foreach (int e in (int[])[8, 768])
            {
                long predicted = SimilarityCrossEntropyWorkspace.PredictByteCount(options, b, b, e, kind: DeviceKind.Cuda);
                Assert.InRange(predicted, 1, SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes + (32L * b));
            }
        }

        Assert.InRange(SimilarityCrossEntropyWorkspace.PredictByteCount(options, 1 << 24, 1 << 24, 32_768, kind: DeviceKind.Cuda), 1, SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes + (32L << 24));
    }

    [Theory]
    [InlineData("symmetric", 32)]
    [InlineData("targets both ways", 32)]
    [InlineData("weights", 32)]
    [InlineData("sigmoid", 32)]
    [InlineData("masked", 32)]
    [InlineData("shared", 40)]
    [InlineData("false negatives", 40)]
    [InlineData("smoothing", 56)]
    [InlineData("prefixes", 48)]
    public void ARowTakesSoManyBytesMore(string variant, int expected)
    {
        // With the least budget, so that both sizes have the same super-tile. Beside its arrays a line has a share of the terms of sums and of the pieces'
        // counts; each of some eight arrays begins at a multiple of 256 bytes.
        SimilarityCrossEntropyCase small = SimilarityCrossEntropyVariants.Case(variant, 256);
        SimilarityCrossEntropyCase large = SimilarityCrossEntropyVariants.Case(variant, 768);
        double lines = large.B + large.K - small.B - small.K;
        Assert.InRange(Planned(large) - Taken(small), (expected / 2.0 * lines) - 2048, (((expected / 2.0) + 0.2) * lines) + 2048);

        static long Planned(SimilarityCrossEntropyCase x)
        {
            using EmulatedCuda backend = new(0);
            using SimilarityCrossEntropyWorkspace workspace = WithTheLeastBudget(backend, x);
            Assert.Equal(CudaSimilarityPlan.BlockTile, workspace.SuperTile);
            return workspace.ByteCount;
        }

        // A call takes what its workspace says.
        static long Taken(SimilarityCrossEntropyCase x)
        {
            using EmulatedCuda backend = new(0);
            SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
            SimilarityCrossEntropyGradients gradients = new()
            {
                DCaptions = backend.Poisoned(DType.Float32, new Shape(x.B, x.E)),
                DImages = backend.Poisoned(DType.Float32, new Shape(x.K, x.E)),
            };
            SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
            long before = backend.Cuda.Pool.LiveByteCount;
            using SimilarityCrossEntropyWorkspace workspace = WithTheLeastBudget(backend, x);
            Assert.Equal(CudaSimilarityPlan.BlockTile, workspace.SuperTile);
            SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
            backend.Device.Synchronize();
            Assert.Equal(workspace.ByteCount, backend.Cuda.Pool.PeakByteCount - before);
            return workspace.ByteCount;
        }

        static SimilarityCrossEntropyWorkspace WithTheLeastBudget(EmulatedCuda backend, SimilarityCrossEntropyCase x)
        {
            for (long budget = 0; ; budget += 16 << 10)
            {
                try
                {
                    return new SimilarityCrossEntropyWorkspace(backend.Device, x.Options with { MemoryBudgetBytes = budget }, x.B, x.K, x.E);
                }
                catch (ArgumentException) when (budget < 1 << 20)
                {
                    // Too small.
                }
            }
        }
    }

    [Theory]
    [InlineData("symmetric")]
    [InlineData("sigmoid")]
    public void AReplayedGraphTakesTheScaleAndTheEmbeddingsThatAreThere(string variant)
    {
        const int B = 40;
        SimilarityCrossEntropyCase first = SimilarityCrossEntropyVariants.Case(variant, B, 1);
        SimilarityCrossEntropyCase second = SimilarityCrossEntropyVariants.Case(variant, B, 2) with { Scale = 1.5f };
        using EmulatedCuda backend = new(2);
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, first.Options, B, B, first.E);
        SimilarityCrossEntropyInputs inputs = first.Inputs(backend);
        Tensor loss = backend.Poisoned(DType.Float32, new Shape(1));
        Tensor dCaptions = backend.Poisoned(DType.Float32, new Shape(B, first.E));
        Tensor dImages = backend.Poisoned(DType.Float32, new Shape(B, first.E));
        void Step() => SimilarityCrossEntropy.ForwardBackward(
            workspace, inputs, new() { Loss = loss }, new() { DCaptions = dCaptions, DImages = dImages });
        Step();
        using CudaGraph graph = CudaGraph.Capture(backend.Cuda, Step);
        inputs.Captions.CopyFrom<float>(second.Captions);
        inputs.Images.CopyFrom<float>(second.Images);
        inputs.Scale.CopyFrom<float>([second.Scale]);
        graph.Launch();
        SimilarityCrossEntropyResult<float> eager = second.Run(backend, workspace, out _);
        Assert.Equal(eager.Loss, backend.Download(loss)[0]);
        Assert.Equal(eager.DCaptions, backend.Download(dCaptions));
        Assert.Equal(eager.DImages, backend.Download(dImages));
    }

    public static TheoryData<MatMulPrecision, string> PrecisionsAndVariants()
    {
        TheoryData<MatMulPrecision, string> data = [];
        foreach (MatMulPrecision precision in Enum.GetValues<MatMulPrecision>())
        {
            foreach (string variant in SimilarityCrossEntropyVariants.Names)
            {
                data.Add(precision, variant);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(PrecisionsAndVariants))]
    public void NeitherTheSuperTileNorKeepingItChangesABit(MatMulPrecision precision, string variant)
    {
        // Four tiles, one of them inside the matrix: in one super-tile that is kept, in one that is not, and in super-tiles of a tile each.
        const int B = 150;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, B);
        using EmulatedCuda backend = new((ulong)precision);
        backend.Device.MatMulPrecision = precision;
        SimilarityCrossEntropyOptions whole = x.Options with { MemoryBudgetBytes = ByteCountOf(x.Options with { MemoryBudgetBytes = 64 << 20 }) };
        bool keeps = x.Options.Objective == SimilarityCrossEntropyObjective.Softmax;
        using SimilarityCrossEntropyWorkspace keeping = New(whole);
        using SimilarityCrossEntropyWorkspace recomputing = New(whole with { MemoryBudgetBytes = whole.MemoryBudgetBytes - (keeps ? B * x.K * sizeof(float) : 0) });
        using SimilarityCrossEntropyWorkspace cut = new(backend.Device, x.Options with { MemoryBudgetBytes = 220 << 10 }, 600, 600, x.E, x.X);
        Assert.Equal((keeps, false, false), (keeping.KeepsSimilarities, recomputing.KeepsSimilarities, cut.KeepsSimilarities));
        Assert.Equal((true, true, 128), (keeping.SuperTile >= 256, recomputing.SuperTile >= 256, cut.SuperTile));
        SimilarityCrossEntropyResult<float> result = x.Run(backend, keeping, out _);
        float[][] kept = SimilarityCrossEntropyTests.Parts(result);
        Assert.Equal(kept, SimilarityCrossEntropyTests.Parts(x.Run(backend, recomputing, out _)));
        Assert.Equal(kept, SimilarityCrossEntropyTests.Parts(x.Run(backend, cut, out _)));
        Assert.True(keeping.OperationCount < recomputing.OperationCount || !keeps);
        Assert.Equal(recomputing.OperationCount, cut.OperationCount);
        Assert.Equal(keeps, backend.Cuda.Emulation!.ReadCounters().ContainsKey("similarity_gradients_kept"));

        // Nor is it the same wrong thing each time: once is enough, with the tiles of tensor cores. Which negatives are dropped depends on
        // what rounded products say.
        if (precision == MatMulPrecision.BFloat16 && !variant.Contains("false negatives", StringComparison.Ordinal))
        {
            string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), result, precision);
            Assert.True(wrong is null, wrong);
        }

        SimilarityCrossEntropyWorkspace New(SimilarityCrossEntropyOptions options) => new(backend.Device, options, x.B, x.K, x.E, x.X);

        long ByteCountOf(SimilarityCrossEntropyOptions options) =>
            SimilarityCrossEntropyWorkspace.PredictByteCount(options, x.B, x.K, x.E, x.X, DeviceKind.Cuda) - (32L * Math.Max(x.B, x.K + x.X));
    }

    [Theory]
    [InlineData(MatMulPrecision.Float32)]
    [InlineData(MatMulPrecision.Tf32)]
    [InlineData(MatMulPrecision.BFloat16)]
    public void AnyNumberOfSuperTilesGivesTheSameBits(MatMulPrecision precision)
    {
        // Four, two and one a side; extra negatives end within a tile.
        const int B = 400;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), B, B, 8, 5) with { Extra = TestData.Normal(DType.Float32, 150 * 8, 6) };
        using EmulatedCuda backend = new(1);
        backend.Device.MatMulPrecision = precision;
        List<int> superTiles = [];
        float[][]? first = null;
        foreach (long budget in (long[])[200 << 10, 700 << 10, 64 << 20])
        {
            using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options with { MemoryBudgetBytes = budget }, B, B, x.E, x.X);
            superTiles.Add(workspace.SuperTile);
            float[][] parts = SimilarityCrossEntropyTests.Parts(x.Run(backend, workspace, out _));
            first ??= parts;
            Assert.Equal(first, parts);
            Assert.Equal(budget == 64 << 20, workspace.KeepsSimilarities);
        }

        Assert.Equal([128, 384, 4096], superTiles);
    }

    private static void AssertNear(long expected, long actual) => Assert.InRange(actual, 0.95 * expected, 1.05 * expected);

    // Room for super-tiles of 128 lines, and not for all similarities.
    private const long Recomputing = 300 << 10;

    private sealed class EmulatedCuda(ulong seed) : EmulatedCudaBackend(seed);
}
