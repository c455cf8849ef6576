using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>What is at the edge of the loss's definition: lines that do not count, numbers that are none, scales of any sign, and what is refused.</summary>
public abstract class SimilarityCrossEntropyEdgeTests(Backend backend)
{
    private static readonly SimilarityCrossEntropyOptions s_rows = new() { Direction = SimilarityCrossEntropyDirection.CaptionToImage };

    private static readonly SimilarityCrossEntropyOptions s_columns = new() { Direction = SimilarityCrossEntropyDirection.ImageToCaption };

    private static readonly SimilarityCrossEntropyOptions s_sigmoid = new() { Objective = SimilarityCrossEntropyObjective.Sigmoid };

    // Whose caption 2, or whose image 2, has no part in the loss.
    private static readonly Dictionary<string, (bool OfImages, Func<int, SimilarityCrossEntropyCase> Case)> s_absent = new()
    {
        ["ignored"] = (false, b => Of(s_rows, b) with { Targets = Ignoring(b) }),
        ["ignored, raw, smoothing, margin, extra"] = (false, b =>
            Of(s_rows with { Normalize = false, LabelSmoothing = 0.1f, FalseNegativeMargin = 0.2f }, b) with { Targets = Ignoring(b), Extra = TestData.Normal(DType.Float32, 5 * 12, 9) }),
        ["ignored, prefixes, bfloat16"] = (false, b => Of(s_rows with { Prefixes = [new(12, 1), new(5, 0.5f)] }, b, DType.BFloat16) with { Targets = Ignoring(b) }),
        ["weight 0"] = (false, b => Of(s_rows, b) with { RowWeights = Weights(b) }),
        ["a group without an image"] = (false, b => Of(s_rows with { Groups = SimilarityCrossEntropyGroups.Shared }, b) with
        {
            CaptionGroups = [.. Enumerable.Range(0, b).Select(i => i == 2 ? 99 : i / 2)],
            ImageGroups = [.. Enumerable.Range(0, b).Select(i => i / 2)],
        }),
        ["ignored, sigmoid"] = (false, b => Of(s_sigmoid, b) with { Targets = Ignoring(b), Bias = -3 }),
        ["weight 0, raw sigmoid"] = (false, b => Of(s_sigmoid with { Normalize = false }, b) with { RowWeights = Weights(b) }),
        ["a column without a positive"] = (true, b => Of(s_columns, b) with { Targets = NoneOfTwo(b) }),
        ["a column without a positive, raw, smoothing, margin"] = (true, b =>
            Of(s_columns with { Normalize = false, LabelSmoothing = 0.1f, FalseNegativeMargin = 0.2f }, b) with { Targets = NoneOfTwo(b) }),
        ["a column of weight 0, prefixes"] = (true, b => Of(s_columns with { Prefixes = [new(5, 0.5f), new(12, 1)], FalseNegativeMargin = 0.2f }, b) with { RowWeights = Weights(b) }),
    };

    public static MatrixTheoryData<string, bool> Absent() => new(s_absent.Keys, [true, false]);

    [Theory]
    [MemberData(nameof(Absent))]
    public void ALineWithoutAPartContributesNothingWhateverItHolds(string name, bool keeps)
    {
        // cuBLAS sums as it likes.
        using OwnProducts own = new(backend.Device);
        SimilarityCrossEntropyCase x = s_absent[name].Case(140);
        long small = (backend.Device.Kind == DeviceKind.Cpu ? 16L << 20 : 0) + (300 << 10);
        SimilarityCrossEntropyOptions options = keeps ? x.Options : x.Options with { MemoryBudgetBytes = small };
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, options, keeps ? x.B : 600, keeps ? x.K : 600, x.E, x.X);
        Assert.Equal(keeps && x.Options.Objective == SimilarityCrossEntropyObjective.Softmax, workspace.KeepsSimilarities);
        SimilarityCrossEntropyResult<float> expected = x.Run(backend, workspace, out _);
        Assert.True(float.IsFinite(expected.Loss) && expected.Loss > 0);
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), expected);
        Assert.True(wrong is null, wrong);
        foreach (float value in keeps ? (float[])[float.PositiveInfinity] : [float.NaN, float.PositiveInfinity, 3e38f])
        {
            SimilarityCrossEntropyCase other = x with { Captions = [.. x.Captions], Images = [.. x.Images] };
            float[] held = s_absent[name].OfImages ? other.Images : other.Captions;
            held.AsSpan(2 * x.E, x.E).Fill(value);
            SimilarityCrossEntropyResult<float> actual = other.Run(backend, workspace, out double discrepancy);
            Assert.Equal(SimilarityCrossEntropyTests.Parts(expected), SimilarityCrossEntropyTests.Parts(actual));
            Assert.All((s_absent[name].OfImages ? actual.DImages : actual.DCaptions).AsSpan(2 * x.E, x.E).ToArray(), v => Assert.Equal(0, v));
            Assert.True(discrepancy < 3e-6, $"{discrepancy}");
        }
    }

    [Fact]
    public void AnIgnoredRowIsANegativeOfTheColumns()
    {
        SimilarityCrossEntropyCase x = Of(new(), 9) with { Targets = Ignoring(9) };
        Assert.NotEqual(0, x.Run(backend, out _).DCaptions[2 * x.E]);
        x.Captions[2 * x.E] = float.NaN;
        Assert.True(float.IsNaN(x.Run(backend, out _).Loss));
    }

    [Theory]
    [InlineData(SimilarityCrossEntropyDirection.Symmetric, -14, true)]
    [InlineData(SimilarityCrossEntropyDirection.CaptionToImage, -14, true)]
    [InlineData(SimilarityCrossEntropyDirection.ImageToCaption, -14, true)]
    [InlineData(SimilarityCrossEntropyDirection.Symmetric, -0.2f, false)]
    [InlineData(SimilarityCrossEntropyDirection.Symmetric, 0, true)]
    [InlineData(SimilarityCrossEntropyDirection.CaptionToImage, 0, false)]
    [InlineData(SimilarityCrossEntropyDirection.ImageToCaption, 0, true)]
    [InlineData(SimilarityCrossEntropyDirection.Symmetric, 1e-20f, true)]
    public void FalseNegativesAreThoseOfTheSimilaritiesWhateverTheScale(SimilarityCrossEntropyDirection direction, float scale, bool normalize)
    {
        foreach (float smoothing in (float[])[0, 0.1f])
        {
            SimilarityCrossEntropyOptions options = new()
            {
                Direction = direction,
                Scale = SimilarityCrossEntropyScale.Multiplier,
                FalseNegativeMargin = 0.05f,
                LabelSmoothing = smoothing,
                Normalize = normalize,
            };
            SimilarityCrossEntropyCase x = Of(options, 70) with { Scale = scale };
            SimilarityCrossEntropyResult<float> actual = SimilarityCrossEntropyBudget.Check(backend, x);
            SimilarityCrossEntropyResult<double> positive = SimilarityCrossEntropyReference.Run((x with { Scale = 14 }).ToDouble());
            SimilarityCrossEntropyResult<double> unmasked = SimilarityCrossEntropyReference.Run((x with { Options = options with { FalseNegativeMargin = null } }).ToDouble());

            // With a negative scale what is dropped has the least logits: only smoothing, and wrong decisions, show.
            Assert.True(Math.Abs(unmasked.Loss - actual.Loss) > 1e-3 || (scale < 0 && smoothing == 0), "nothing was dropped");
            Assert.NotEqual(positive.Loss, actual.Loss, 0.1);
            if (scale == 0)
            {
                Assert.All(actual.DCaptions, v => Assert.Equal(0, v));
                Assert.NotEqual(0, actual.DScale);
            }
        }
    }

    [Theory]
    [InlineData(1e18f)]
    [InlineData(1e30f)]
    [InlineData(2e37f)]
    [InlineData(1e-13f)]
    public void ALongOrAShortRowLeavesTheOthersAsTheyAre(float length)
    {
        // The shortest ones are divided by a constant.
        foreach (string variant in (string[])["symmetric", "false negatives", "extra negatives", "prefixes", "sigmoid", "targets", "image to caption"])
        {
            SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case(variant, 50);
            Lengthen(x.Captions, 3 * x.E, x.E, length);
            Lengthen(x.Images, 7 * x.E, x.E, length);

            // Short in the prefixes.
            Lengthen(x.Captions, (11 * x.E) + 9, x.E - 9, length);
            SimilarityCrossEntropyResult<float> actual = x.Run(backend, out double discrepancy);
            if (backend.Device.Kind == DeviceKind.Cuda && length > 1e18f)
            {
                // Beyond 2^63: said rather than computed wrongly.
                Assert.True(float.IsNaN(actual.Loss), variant);
                continue;
            }

            SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
            Assert.Equal(expected.Loss, actual.Loss, 1e-5);
            Assert.Equal(expected.DScale, actual.DScale, 1e-4 * Math.Max(1, Math.Abs(expected.DScale)));
            for (int row = 0; row < x.B; row++)
            {
                // Each row by its own size, however short its gradient is beside the others'.
                SimilarityCrossEntropyBudget.AssertNear(expected.DCaptions.AsSpan(row * x.E, x.E), actual.DCaptions.AsSpan(row * x.E, x.E));
                SimilarityCrossEntropyBudget.AssertNear(expected.DImages.AsSpan(row * x.E, x.E), actual.DImages.AsSpan(row * x.E, x.E));
            }

            Assert.True(discrepancy < 3e-6, $"{variant}: {discrepancy}");
        }

        static void Lengthen(float[] rows, int start, int count, float factor)
        {
            foreach (ref float value in rows.AsSpan(start, count))
            {
                value *= factor;
            }
        }
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

    private static SimilarityCrossEntropyCase Of(SimilarityCrossEntropyOptions options, int b, DType dtype = DType.Float32) =>
        SimilarityCrossEntropyCase.Seeded(options, b, b, 12, 40, dtype: dtype);

    private static int[] Ignoring(int b) => [.. Enumerable.Range(0, b).Select(i => i == 2 ? SimilarityCrossEntropy.IgnoreIndex : i)];

    private static int[] NoneOfTwo(int b) => [.. Enumerable.Range(0, b).Select(i => i == 2 ? 1 : i)];

    private static float[] Weights(int b) => [.. Enumerable.Range(0, b).Select(i => i == 2 ? 0f : 1 + (i % 3))];

    private void Refused(string message, SimilarityCrossEntropyCase x)
    {
        ArgumentException e = Assert.Throws<ArgumentException>(() => x.Run(backend, out _));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    private SimilarityCrossEntropyResult<float> Check(SimilarityCrossEntropyCase x) => SimilarityCrossEntropyBudget.Check(backend, x);
}

public sealed class CpuSimilarityCrossEntropyEdgeTests(CpuBackend backend) : SimilarityCrossEntropyEdgeTests(backend), IClassFixture<CpuBackend>
{
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
            SimilarityCrossEntropyBudget.AssertNear(expected.DCaptions, actual.DCaptions);
            SimilarityCrossEntropyBudget.AssertNear(x.LockImages ? new double[actual.DImages.Length] : expected.DImages, actual.DImages);
            SimilarityCrossEntropyBudget.AssertNear(expected.DExtra, actual.DExtra);
            Assert.True(x.LockImages ? double.IsNaN(discrepancy) : discrepancy < 3e-6, $"{variant}: {discrepancy}");
        }
    }
}

public sealed class EmulatedCudaSimilarityCrossEntropyEdgeTests(EmulatedCudaForward backend) : SimilarityCrossEntropyEdgeTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class CudaSimilarityCrossEntropyEdgeTests(CudaBackend backend) : SimilarityCrossEntropyEdgeTests(backend), IClassFixture<CudaBackend>;
