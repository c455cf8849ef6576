using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class SimilarityCrossEntropyTests(Backend backend)
{
    // A budget that leaves room for super-tiles of some 96 to 192 lines: their edges show at small sizes. On the processor the products take
    // a part of it.
    private protected long SmallBudgetBytes => (backend.Device.Kind == DeviceKind.Cpu ? 16L << 20 : 0) + (300 << 10);

    public static TheoryData<string, int> VariantsAndSizes()
    {
        TheoryData<string, int> data = [];
        foreach (string name in SimilarityCrossEntropyVariants.Names)
        {
            foreach (int b in (int[])[1, 2, 3, 17, 33])
            {
                data.Add(name, b);
            }
        }

        return data;
    }

    public static TheoryData<string> Variants() => [.. SimilarityCrossEntropyVariants.Names];

    [Theory]
    [MemberData(nameof(VariantsAndSizes))]
    public void EveryVariantIsWithinTheErrorBudget(string variant, int b) => Check(SimilarityCrossEntropyVariants.Case(variant, b));

    [Fact]
    public void ANegativeEqualToThePositiveIsNotDropped()
    {
        // Pairs of the same picture: no negative exceeds the positive by more than a margin of 0 for that.
        const int E = 96;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { FalseNegativeMargin = 0 }, 64, 64, E, 3);
        float[] images = [.. x.Images];
        for (int i = 0; i < 64; i += 2)
        {
            Array.Copy(images, i * E, images, (i + 1) * E, E);
        }

        Check(x with { Images = images });
    }

    [Theory]
    [InlineData(DType.Float32, true)]
    [InlineData(DType.BFloat16, true)]
    [InlineData(DType.BFloat16, false)]
    public void AViewThatLiesAskewIsCompared(DType dtype, bool normalize) => backend.WithEachTensorAskew(() =>
        Check(SimilarityCrossEntropyCase.Seeded(new() { Normalize = normalize }, 20, 20, 16, 3, dtype: dtype)));

    [Theory]
    [MemberData(nameof(Variants))]
    public void EveryVariantIsWithinTheErrorBudgetAcrossTiles(string variant)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 203);
        Check(x with { Options = x.Options with { MemoryBudgetBytes = SmallBudgetBytes } });
    }

    [Theory]
    [InlineData(31, 8)]
    [InlineData(32, 33)]
    [InlineData(47, 2)]
    [InlineData(48, 7)]
    [InlineData(49, 16)]
    [InlineData(64, 64)]
    [InlineData(65, 31)]
    [InlineData(96, 5)]
    [InlineData(97, 40)]
    [InlineData(127, 100)]
    [InlineData(129, 513)]
    public void EverySizeIsWithinTheErrorBudget(int b, int e) => Check(SimilarityCrossEntropyCase.Seeded(new(), b, b, e, 3));

    [Theory]
    [InlineData(95)]
    [InlineData(96)]
    [InlineData(97)]
    [InlineData(144)]
    [InlineData(145)]
    [InlineData(192)]
    [InlineData(193)]
    [InlineData(401)]
    public void TileEdgesAreWithinTheErrorBudget(int b) =>
        Check(SimilarityCrossEntropyCase.Seeded(new() { MemoryBudgetBytes = SmallBudgetBytes }, b, b + 11, 20, 4));

    [Fact]
    public void AMaskOfColumnsAloneTakesPositivesOfAnySize()
    {
        // Positives of 100: the exponential of what no row subtracts from exceeds float32.
        SimilarityCrossEntropyOptions options = new() { Direction = SimilarityCrossEntropyDirection.ImageToCaption, FalseNegativeMargin = 0.1f };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, 40, 40, 6, 9) with { Scale = 100 };
        Check(x with { Images = x.Captions });
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, 100)]
    [InlineData(SimilarityCrossEntropyObjective.Sigmoid, 100)]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, 3000)]
    [InlineData(SimilarityCrossEntropyObjective.Sigmoid, 3000)]
    public void ExtremeLogitsStayFiniteAndExact(SimilarityCrossEntropyObjective objective, float largest)
    {
        SimilarityCrossEntropyOptions options = new() { Objective = objective, Scale = SimilarityCrossEntropyScale.Multiplier };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, 70, 70, 6, 9) with { Scale = largest };
        SimilarityCrossEntropyResult<float> result = Check(x);
        Assert.True(float.IsFinite(result.Loss));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void ForwardAloneGivesTheSameLoss(string variant)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 40);
        Assert.Equal(x.Run(backend, out _).Loss, x.RunForward(backend));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void KeptSimilaritiesGiveTheSameBits(string variant)
    {
        // cuBLAS sums as it likes.
        using OwnProducts own = new(backend.Device);

        // The default budget keeps everything at this size; the small one must not, yet cuts the same single tile.
        SimilarityCrossEntropyCase kept = SimilarityCrossEntropyVariants.Case(variant, 90);
        SimilarityCrossEntropyCase small = kept with { Options = kept.Options with { MemoryBudgetBytes = SmallBudgetBytes } };
        using SimilarityCrossEntropyWorkspace keeping = new(backend.Device, small.Options with { MemoryBudgetBytes = 64L << 20 }, kept.B, kept.K, kept.E, kept.X);
        using SimilarityCrossEntropyWorkspace recomputing = new(backend.Device, small.Options, 600, 600, kept.E, kept.X);
        Assert.Equal(kept.Options.Objective == SimilarityCrossEntropyObjective.Softmax, keeping.KeepsSimilarities);
        Assert.False(recomputing.KeepsSimilarities);
        SimilarityCrossEntropyResult<float> a = kept.Run(backend, keeping, out _);
        SimilarityCrossEntropyResult<float> b = kept.Run(backend, recomputing, out _);
        Assert.Equal(Parts(a), Parts(b));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void BothTowersAgreeOnTheScalesGradient(string variant)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 60);
        x.Run(backend, out double discrepancy);
        Assert.True(x.LockCaptions || x.LockImages ? double.IsNaN(discrepancy) : discrepancy < 3e-6, $"{discrepancy}");
    }

    [Fact]
    public void TheScalesGradientIsAdded()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 8, 8, 8, 2);
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, 8, 8, 8);
        Tensor dScale = backend.Upload(DType.Float32, new Shape(1), [4f]);
        SimilarityCrossEntropy.ForwardBackward(
            workspace,
            x.Inputs(backend),
            new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) },
            new() { DCaptions = backend.Poisoned(DType.Float32, new Shape(8, 8)), DScale = dScale });
        Assert.Equal(4 + x.Run(backend, out _).DScale, backend.Download(dScale)[0]);
    }

    internal static float[][] Parts(SimilarityCrossEntropyResult<float> x) =>
        [[x.Loss, x.DScale, x.DBias], x.RowLoss, x.ColumnLoss, x.DCaptions, x.DImages, x.DExtra];

    private protected SimilarityCrossEntropyResult<float> Check(SimilarityCrossEntropyCase x) => SimilarityCrossEntropyBudget.Check(backend, x);
}

public sealed class CpuSimilarityCrossEntropyTests(CpuBackend backend) : SimilarityCrossEntropyTests(backend), IClassFixture<CpuBackend>
{
    [Theory]
    [MemberData(nameof(Variants))]
    public void TheNumberOfThreadsDoesNotShow(string variant)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 150);
        Repeatability.AssertSameBitsForAnyThreadCount(b => Parts(x.Run(b, out _)));
    }

    [Theory]
    [Trait("Speed", "Slow")]
    [InlineData(2, 1100, MatMulPrecision.Float32)]
    [InlineData(36, 1100, MatMulPrecision.Float32)]
    [InlineData(64, 1100, MatMulPrecision.Float32)]
    [InlineData(200, 1100, MatMulPrecision.BFloat16)]
    [InlineData(100, 24, MatMulPrecision.Float32)]
    public void MemoryIsNoMoreThanPredictedForAnyNumberOfThreads(int threads, int e, MatMulPrecision precision)
    {
        // Both products of the gradients, at a width that fills the packed columns, and at one whose depth is cut.
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 2100, 2100, e, 3);
        using ThreadedCpuBackend backend = new(threads);
        CpuDevice device = (CpuDevice)backend.Device;
        device.MatMulPrecision = precision;
        SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = backend.Poisoned(DType.Float32, new Shape(x.B, e)),
            DImages = backend.Poisoned(DType.Float32, new Shape(x.B, e)),
        };
        SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
        long before = device.AllocatedByteCount;
        using SimilarityCrossEntropyWorkspace workspace = new(device, x.Options, x.B, x.K, e);
        SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
        long predicted = SimilarityCrossEntropyWorkspace.PredictByteCount(x.Options, x.B, x.K, e);
        Assert.InRange(device.PeakByteCount - before, workspace.ByteCount + 1, predicted);
        Assert.InRange(predicted, 1, (64L << 20) + (32L * x.B));
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.Symmetric)]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.CaptionToImage)]
    [InlineData(SimilarityCrossEntropyObjective.Softmax, SimilarityCrossEntropyDirection.ImageToCaption)]
    [InlineData(SimilarityCrossEntropyObjective.Sigmoid, SimilarityCrossEntropyDirection.Symmetric)]
    public void TheDefaultBudgetHasRoomForAnyBatch(SimilarityCrossEntropyObjective objective, SimilarityCrossEntropyDirection direction)
    {
        SimilarityCrossEntropyOptions options = new() { Objective = objective, Direction = direction };
        foreach (int b in (int[])[1, 1000, 1 << 18, (1 << 18) + 1, 1 << 20, 7_000_000, 1 << 24, 1 << 30])
        {
            Assert.InRange(SimilarityCrossEntropyWorkspace.PredictByteCount(options, b, b, 512), 1, SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes + (32L * b));
        }
    }

    [Fact]
    public void ManyTilesOfManySlicesAreWithinTheErrorBudget() => Check(SimilarityCrossEntropyCase.Seeded(new(), 257, 257, 513, 3));

    [Fact]
    public void ColumnsFarBelowAStripsMaximumKeepTheirOwn()
    {
        // Raw rows of all lengths: in one strip columns' maxima lie up to 200 apart, below and above what one exponential can serve.
        const int B = 300;
        const int E = 4;
        SimilarityCrossEntropyOptions options = new() { Normalize = false, Scale = SimilarityCrossEntropyScale.Multiplier };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, B, B, E, 21) with { Scale = 1 };
        for (int i = 0; i < B * E; i++)
        {
            x.Images[i] = MathF.Abs(x.Images[i]) * (i / E % 60);
            x.Captions[i] = -MathF.Abs(x.Captions[i]);
        }

        Check(x);
    }

    [Theory]
    [InlineData(203, 3)]
    [InlineData(150, 20)]
    public void ExtremeLogitsOfTilesThatAreNotKeptAreExact(int b, int e)
    {
        SimilarityCrossEntropyOptions options = new() { Scale = SimilarityCrossEntropyScale.Multiplier, MemoryBudgetBytes = SmallBudgetBytes };
        Check(SimilarityCrossEntropyCase.Seeded(options, b, b, e, 31) with { Scale = 100 });
    }

    [Fact]
    public void ACallPutsNothingOnTheManagedHeap()
    {
        using ThreadedCpuBackend backend = new(1);
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case("masked + smoothing + weights + ignored + extra + prefixes", 50);
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, x.Options, x.B, x.K, x.E, x.X);
        SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
        SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = backend.Poisoned(DType.Float32, new Shape(x.B, x.E)),
            DImages = backend.Poisoned(DType.Float32, new Shape(x.K, x.E)),
            DExtraNegatives = backend.Poisoned(DType.Float32, new Shape(x.X, x.E)),
            DScale = backend.Poisoned(DType.Float32, new Shape(1)),
        };
        Repeatability.AssertNoAllocation(() => SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients));
    }
}

public sealed class EmulatedCudaForwardSimilarityCrossEntropyTests(EmulatedCudaForward backend) : SimilarityCrossEntropyTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseSimilarityCrossEntropyTests(EmulatedCudaReverse backend) : SimilarityCrossEntropyTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomSimilarityCrossEntropyTests(EmulatedCudaRandom backend) : SimilarityCrossEntropyTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaSimilarityCrossEntropyTests(CudaBackend backend) : SimilarityCrossEntropyTests(backend), IClassFixture<CudaBackend>;
