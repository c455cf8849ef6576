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
    [InlineData(257, 513)]
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

    [Fact]
    public void AScaleOfZeroHasAGradient()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Scale = SimilarityCrossEntropyScale.Multiplier }, 9, 9, 8, 2) with { Scale = 0 };
        SimilarityCrossEntropyResult<float> result = Check(x);
        Assert.Equal(Math.Log(9), result.Loss, 1e-6);
        Assert.NotEqual(0, result.DScale);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(800)]
    [InlineData(1e30f)]
    public void ALogarithmFarAboveTheBoundCountsAsTheBound(float logarithm)
    {
        // e^710 leaves the range of a double.
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 9, 9, 8, 2) with { Scale = logarithm };
        SimilarityCrossEntropyResult<float> result = Check(x);
        Assert.Equal(Check(x with { Scale = MathF.BitIncrement(MathF.Log(100)) }).Loss, result.Loss);
        Assert.Equal(0, result.DScale);
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyGroups.Masked)]
    [InlineData(SimilarityCrossEntropyGroups.Shared)]
    public void ExtraNegativesBelongToNoGroup(SimilarityCrossEntropyGroups groups)
    {
        int[] twoGroups = [.. Enumerable.Range(0, 12).Select(i => i % 2)];
        Check(SimilarityCrossEntropyCase.Seeded(new() { Groups = groups }, 12, 12, 8, 2) with
        {
            CaptionGroups = twoGroups,
            ImageGroups = twoGroups,
            Extra = TestData.Normal(DType.Float32, 5 * 8, 7),
        });
    }

    [Fact]
    public void AZeroRowIsNoError()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 5, 5, 8, 2);
        x.Captions.AsSpan(8, 8).Clear();
        SimilarityCrossEntropyResult<float> result = x.Run(backend, out _);
        Assert.True(float.IsFinite(result.Loss));
        Assert.DoesNotContain(result.DImages, v => !float.IsFinite(v));
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyObjective.Softmax)]
    [InlineData(SimilarityCrossEntropyObjective.Sigmoid)]
    public void NothingThatCountsGivesZero(SimilarityCrossEntropyObjective objective)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Objective = objective }, 6, 6, 8, 2) with { Targets = [-100, -100, -100, -100, -100, -100] };
        SimilarityCrossEntropyResult<float> result = x.Run(backend, out _);
        Assert.Equal(0, result.Loss);
        Assert.All(result.DCaptions, v => Assert.Equal(0, v));
        Assert.All(result.DImages, v => Assert.Equal(0, v));
        Assert.Equal(0, result.DScale);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void ANonFiniteInputGivesANaNLoss(float value)
    {
        foreach (SimilarityCrossEntropyObjective objective in Enum.GetValues<SimilarityCrossEntropyObjective>())
        {
            SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new() { Objective = objective }, 20, 20, 8, 2);
            x.Images[13 * 8] = value;
            Assert.True(float.IsNaN(x.Run(backend, out _).Loss), objective.ToString());
        }
    }

    [Fact]
    public void ARowOfWeightZeroHasNoLossOfItsOwn()
    {
        float[] weights = [1, 0, 2, 1, 0, 1, 1, 1, 1, 1];
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 10, 10, 8, 4) with { RowWeights = weights };
        SimilarityCrossEntropyResult<float> result = Check(x);
        for (int i = 0; i < 10; i++)
        {
            // The column of such a row has no other positive, so no weight either.
            Assert.Equal(weights[i] == 0, result.RowLoss[i] == 0);
            Assert.Equal(weights[i] == 0, result.ColumnLoss[i] == 0);
        }

        // It remains a negative of the columns.
        Assert.NotEqual(0, result.DCaptions[8]);
    }

    [Fact]
    public void ASigmoidRowWhoseGroupHasNoImageIsARowOfNegatives()
    {
        SimilarityCrossEntropyOptions options = new() { Objective = SimilarityCrossEntropyObjective.Sigmoid, Groups = SimilarityCrossEntropyGroups.Shared };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, 3, 3, 8, 6) with { CaptionGroups = [0, 9, 2], ImageGroups = [0, 1, 2], Bias = -1 };
        SimilarityCrossEntropyResult<float> result = Check(x);

        // By hand: softplus of each of the row's logits; the mean is over all three rows.
        double expected = 0;
        for (int j = 0; j < 3; j++)
        {
            double dot = 0;
            double caption = 0;
            double image = 0;
            for (int e = 0; e < 8; e++)
            {
                dot += (double)x.Captions[8 + e] * x.Images[(8 * j) + e];
                caption += (double)x.Captions[8 + e] * x.Captions[8 + e];
                image += (double)x.Images[(8 * j) + e] * x.Images[(8 * j) + e];
            }

            expected += Math.Log(1 + Math.Exp((14 * dot / Math.Sqrt(caption * image)) - 1));
        }

        Assert.Equal(expected, result.RowLoss[1], 1e-4);
        Assert.Equal(result.RowLoss.Average(), result.Loss, 1e-5);
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

    [Fact]
    public void WrongInputsAreRefusedByName()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 8, 6, 8, 2);
        Refused("8 captions have no image each among 6", x);
        if (backend.Device.Kind == DeviceKind.Cpu)
        {
            Refused("inputs.Targets of row 2 is 6; it must be 0 to 5, or -100", x with { Targets = [0, 1, 6, 3, 4, 5, 0, 0] });
            Refused("inputs.RowWeights of row 1 is -1", x with { Targets = new int[8], RowWeights = [1, -1, 1, 1, 1, 1, 1, 1] });
        }

        Refused("A bias changes nothing in a softmax", x with { Targets = new int[8], Bias = 1 });
        Refused("the workspace's options say Groups.None", x with { Targets = new int[8], CaptionGroups = new int[8], ImageGroups = new int[6] });
        Refused(
            "inputs.ImageGroups is absent; it must be Int32 (6)",
            x with { Options = new() { Groups = SimilarityCrossEntropyGroups.Shared }, CaptionGroups = new int[8] });
        Refused("Both towers are locked", x with { Targets = new int[8], LockCaptions = true, LockImages = true });
        Refused("with Direction ImageToCaption nothing uses them", x with { Options = new() { Direction = SimilarityCrossEntropyDirection.ImageToCaption }, Extra = new float[8] });
        Refused("A prefix of width 9 is wider than the embeddings (8)", x with { Options = new() { Prefixes = [new(9, 1)] } });
        Refused("MemoryBudgetBytes is 1000", x with { Options = new() { MemoryBudgetBytes = 1000 } });
    }

    [Theory]
    [InlineData(6, 1)]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, float.NaN)]
    [InlineData(0, float.PositiveInfinity)]
    public void AWrongTargetOrWeightIsRefusedOrGivesANaNLoss(int target, float weight)
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 8, 6, 8, 2) with
        {
            Targets = [0, 1, target, 3, 4, 5, 0, 0],
            RowWeights = [1, 1, 1, weight, 1, 1, 1, 1],
            Extra = new float[3 * 8],
        };
        if (backend.Device.Kind == DeviceKind.Cpu)
        {
            Assert.Throws<ArgumentException>(() => x.Run(backend, out _));
        }
        else
        {
            // What lies on the device is not waited for.
            Assert.True(float.IsNaN(x.Run(backend, out _).Loss));
        }
    }

    internal static float[][] Parts(SimilarityCrossEntropyResult<float> x) =>
        [[x.Loss, x.DScale, x.DBias], x.RowLoss, x.ColumnLoss, x.DCaptions, x.DImages, x.DExtra];

    private void Refused(string message, SimilarityCrossEntropyCase x)
    {
        ArgumentException e = Assert.Throws<ArgumentException>(() => x.Run(backend, out _));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    private protected SimilarityCrossEntropyResult<float> Check(SimilarityCrossEntropyCase x)
    {
        SimilarityCrossEntropyResult<float> actual = x.Run(backend, out _);
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), actual);
        Assert.True(wrong is null, wrong);
        return actual;
    }
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
    [InlineData(2)]
    [InlineData(36)]
    [InlineData(64)]
    public void MemoryIsNoMoreThanPredictedForAnyNumberOfThreads(int threads)
    {
        // Both products of the gradients, at a width that fills the packed columns.
        const int E = 1100;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 2100, 2100, E, 3);
        using ThreadedCpuBackend backend = new(threads);
        CpuDevice device = (CpuDevice)backend.Device;
        SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = backend.Poisoned(DType.Float32, new Shape(x.B, E)),
            DImages = backend.Poisoned(DType.Float32, new Shape(x.B, E)),
        };
        SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
        long before = device.AllocatedByteCount;
        using SimilarityCrossEntropyWorkspace workspace = new(device, x.Options, x.B, x.K, E);
        SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
        Assert.InRange(device.PeakByteCount - before, workspace.ByteCount + 1, SimilarityCrossEntropyWorkspace.PredictByteCount(x.Options, x.B, x.K, E, threads: threads));
    }

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

    [Theory]
    [InlineData(1e25f, 1e25f)]
    [InlineData(1e36f, 1e-10f)]
    [InlineData(3e37f, 1e10f)]
    public void LongRowsAreNormalisedAsAnyOthers(float ofCaptions, float ofImages)
    {
        // Their dot products lie beyond float32's range, or their squares do.
        foreach (string variant in (string[])["symmetric", "false negatives", "extra negatives", "prefixes", "sigmoid", "locked images"])
        {
            SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 50);
            float[] captions = [.. x.Captions.Select(v => v * ofCaptions)];
            float[] images = [.. x.Images.Select(v => v * ofImages)];
            float[] extra = [.. x.Extra.Select(v => v * ofImages)];
            x = x with { Captions = captions, Images = images, Extra = extra };
            SimilarityCrossEntropyResult<float> actual = x.Run(backend, out double discrepancy);
            SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
            Assert.Equal(expected.Loss, actual.Loss, 1e-5);
            Assert.Equal(expected.DScale, actual.DScale, 1e-4 * Math.Max(1, Math.Abs(expected.DScale)));
            Near(expected.DCaptions, actual.DCaptions);
            Near(x.LockImages ? new double[actual.DImages.Length] : expected.DImages, actual.DImages);
            Near(expected.DExtra, actual.DExtra);
            Assert.True(x.LockImages ? double.IsNaN(discrepancy) : discrepancy < 3e-6, $"{variant}: {discrepancy}");
        }

        static void Near(double[] expected, float[] actual)
        {
            double largest = expected.Select(Math.Abs).DefaultIfEmpty().Max();
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.True(Math.Abs(expected[i] - actual[i]) <= (1e-4 * largest) + float.Epsilon, $"{i}: {actual[i]}, expected {expected[i]}");
            }
        }
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
