using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract partial class AttentionTests(Backend backend)
{
    private const ulong Key = 0x1234_5678_9ABC_DEF0;

    // Blocks of queries hold 12, 24 or 48 tokens, depending on the vectors; 0, 1, 2 and odd lengths are in each case.
    public static TheoryData<DType, int, int, bool, int[]> Cases()
    {
        TheoryData<DType, int, int, bool, int[]> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach (bool causal in (bool[])[false, true])
            {
                data.Add(dtype, 2, 12, causal, [3, 0, 1, 17, 2, 0]);
                data.Add(dtype, 4, 24, causal, [5, 16, 31, 25]);
                data.Add(dtype, 1, 16, causal, [12, 13, 11]);
                data.Add(dtype, 3, 32, causal, [32, 33]);
                data.Add(dtype, 2, 64, causal, [47, 48, 49, 1]);
                data.Add(dtype, 1, 80, causal, [23, 24]);
                data.Add(dtype, 1, 96, causal, [7]);
                data.Add(dtype, 1, 128, causal, [97]);
                data.Add(dtype, 3, 1, causal, [9, 2]);
                data.Add(dtype, 2, 7, causal, [31, 4]);
                data.Add(dtype, 1, 33, causal, [65]);

                // Columns that a tile of 64 has and the head has not, beside another head's.
                data.Add(dtype, 2, 40, causal, [13]);
                data.Add(dtype, 1, 8, causal, []);

                // Several blocks and rounds of 32 and of 64 tokens, and a token less than them.
                data.Add(dtype, 1, 24, causal, [67, 63]);
                data.Add(dtype, 1, 80, causal, [70]);
                data.Add(dtype, 1, 96, causal, [2, 66]);
                data.Add(dtype, 1, 64, causal, [150, 2]);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int heads, int size, bool causal, int[] lengths)
    {
        Inputs x = new(dtype, heads, size, causal, lengths);
        (Tensor output, Tensor lse) = RunForward(backend, x);
        (double[] expected, double[] expectedLse) = AttentionReference.Forward(TestData.ToDouble(x.Qkv), x.Ends, x.C, heads, causal);
        (float[] twin, float[] twinLse) = AttentionReference.Forward(x.Qkv, x.Ends, x.C, heads, causal);
        ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, "output");
        ErrorBudget.AssertForward(expectedLse, twinLse, backend.Download(lse), DType.Float32, "lse");
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int heads, int size, bool causal, int[] lengths)
    {
        Inputs x = new(dtype, heads, size, causal, lengths);
        float[] actual = backend.Download(RunBackward(backend, x));
        double[] expected = AttentionReference.Backward(TestData.ToDouble(x.DOutput), TestData.ToDouble(x.Qkv), x.Ends, x.C, heads, causal);
        float[] twin = AttentionReference.Backward(x.DOutput, x.Qkv, x.Ends, x.C, heads, causal);
        ErrorBudget.AssertBackward(expected, twin, actual, dtype, "dQkv");
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32, 16)]
    [InlineData(DType.BFloat16, 96)]
    public void AViewThatLiesAskewIsAttendedAsOneThatDoesNot(DType dtype, int size) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 1, size, true, [5, 12]);
        AssertDropoutFollowsTheCounters(new Inputs(dtype, 3, size, false, [3, 7], rate: 0.3f), false);
    });

    [Theory]
    [InlineData(100f)]
    [InlineData(-100f)]
    public void LogitsOfAHundredDoNotOverflow(float logit)
    {
        // One key stands out by a logit of +-100: the probabilities are 1 and e^-100, or two halves.
        float[] qkv = [logit, 1, 1, 0, 0, 5, 0, 0, 7];
        float[] all = [.. qkv];
        Shape shape = new(3, 3);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(3, 1));
        Tensor lse = backend.Poisoned(DType.Float32, new Shape(3, 1));
        Attention.Forward(backend.Upload(DType.Float32, shape, all), backend.Upload(new Shape(2), [0, 3]), output, lse, 1);
        float[] row = backend.Download(output);
        Assert.Equal(logit > 0 ? 1f : 6f, row[0], 1e-6f);
        Assert.Equal(logit > 0 ? 100f : MathF.Log(2), backend.Download(lse)[0], 1e-5f);
        Assert.Equal(13f / 3, row[1], 1e-6f);
    }

    [Theory]
    [InlineData(DType.Float32, false)]
    [InlineData(DType.BFloat16, false)]
    [InlineData(DType.Float32, true)]
    public void ASentenceHasTheSameBitsAloneInABatchAndBesideALongText(DType dtype, bool causal)
    {
        Inputs batch = new(dtype, 2, 24, causal, [13, 512, 30, 1], rate: 0.2f);
        (Tensor output, Tensor lse) = RunForward(backend, batch);
        float[] together = backend.Download(output);
        float[] togetherLse = backend.Download(lse);
        float[] togetherGradient = backend.Download(RunBackward(backend, batch));
        foreach (int s in (int[])[0, 2, 3])
        {
            Inputs alone = batch.Only(s);
            (Tensor aloneOutput, Tensor aloneLse) = RunForward(backend, alone);
            int start = batch.Ends[s];
            int end = batch.Ends[s + 1];
            Assert.Equal(together[(start * batch.C)..(end * batch.C)], backend.Download(aloneOutput));
            Assert.Equal(togetherLse[(start * 2)..(end * 2)], backend.Download(aloneLse));
            Assert.Equal(togetherGradient[(start * 3 * batch.C)..(end * 3 * batch.C)], backend.Download(RunBackward(backend, alone)));
        }
    }

    [Theory]
    [InlineData(DType.Float32, false, 16)]
    [InlineData(DType.BFloat16, false, 16)]
    [InlineData(DType.BFloat16, false, 64)]
    [InlineData(DType.Float32, true, 64)]
    [InlineData(DType.BFloat16, true, 80)]
    [InlineData(DType.Float32, false, 80)]
    public void DropoutFollowsTheCountersOfExamplePositionsAndHead(DType dtype, bool causal, int size) =>
        AssertDropoutFollowsTheCounters(new Inputs(dtype, 3, size, causal, [5, 0, 30, 17, 70], rate: 0.3f), causal);

    [Theory]
    [InlineData(DType.Float32, 16)]
    [InlineData(DType.BFloat16, 64)]
    public void AProbabilityWhoseDrawEqualsTheRateIsKept(DType dtype, int size)
    {
        // Two of seven keys, with draws in the middle of the range, are each in turn the rate itself.
        int[] lengths = [3, 7];
        Inputs any = new(dtype, 3, size, false, lengths, rate: 0.5f);
        float[] rates = [.. Enumerable.Range(3, 7).Select(key => any.Draw(4, key, 1)).Where(draw => draw is > 0.1f and < 0.9f).Take(2)];
        Assert.Equal(2, rates.Length);
        foreach (float rate in rates)
        {
            AssertDropoutFollowsTheCounters(new Inputs(dtype, 3, size, false, lengths, rate), false);
        }
    }

    private void AssertDropoutFollowsTheCounters(Inputs x, bool causal)
    {
        DType dtype = x.DType;
        (Tensor output, _) = RunForward(backend, x);
        float[] dQkv = backend.Download(RunBackward(backend, x));
        (double[] expected, _) = AttentionReference.Forward(TestData.ToDouble(x.Qkv), x.Ends, x.C, 3, causal, x.Factor);
        (float[] twin, _) = AttentionReference.Forward(x.Qkv, x.Ends, x.C, 3, causal, x.Factor);
        double[] expectedGradient = AttentionReference.Backward(
            TestData.ToDouble(x.DOutput), TestData.ToDouble(x.Qkv), x.Ends, x.C, 3, causal, x.Factor);
        float[] twinGradient = AttentionReference.Backward(x.DOutput, x.Qkv, x.Ends, x.C, 3, causal, x.Factor);
        ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, "output");
        ErrorBudget.AssertBackward(expectedGradient, twinGradient, dQkv, dtype, "dQkv");

        (double[] without, _) = AttentionReference.Forward(TestData.ToDouble(x.Qkv), x.Ends, x.C, 3, causal);
        (float[] twinWithout, _) = AttentionReference.Forward(x.Qkv, x.Ends, x.C, 3, causal);
        Assert.NotNull(ErrorBudget.Explain(without, twinWithout, backend.Download(output), dtype, ErrorBudget.ForwardFactor, "output"));
    }

    [Fact]
    public void DropoutKeepsTheExpectedShare()
    {
        // All logits equal and all values 1: an output is the mean of its row's factors.
        Inputs x = new(DType.Float32, 2, 8, false, [200], rate: 0.25f);
        Array.Clear(x.Qkv);
        for (int i = 0; i < x.Qkv.Length; i++)
        {
            x.Qkv[i] = i % (3 * x.C) >= 2 * x.C ? 1 : 0;
        }

        (Tensor output, _) = RunForward(backend, x);

        // 80,000 draws: the standard deviation of their mean is 0.002.
        Assert.Equal(1.0, backend.Download(output).Average(v => (double)v), 0.01);
    }

    [Fact]
    public void BrokenVariantsAreRejected()
    {
        Inputs x = new(DType.Float32, 2, 16, false, [9, 20]);
        double[] q = TestData.ToDouble(x.Qkv);
        (double[] expected, _) = AttentionReference.Forward(q, x.Ends, x.C, 2, false);
        (float[] twin, _) = AttentionReference.Forward(x.Qkv, x.Ends, x.C, 2, false);
        double[] expectedGradient = AttentionReference.Backward(TestData.ToDouble(x.DOutput), q, x.Ends, x.C, 2, false);
        float[] twinGradient = AttentionReference.Backward(x.DOutput, x.Qkv, x.Ends, x.C, 2, false);

        Inputs causal = x with { Causal = true };
        Inputs shifted = new(DType.Float32, 2, 16, false, [10, 19]);
        Inputs otherHeads = new(DType.Float32, 4, 8, false, [9, 20]);
        foreach (Inputs wrong in (Inputs[])[causal, shifted, otherHeads])
        {
            Assert.NotNull(Explain(expected, twin, backend.Download(RunForward(backend, wrong).Output)));
            Assert.NotNull(Explain(expectedGradient, twinGradient, backend.Download(RunBackward(backend, wrong))));
        }

        float[] gradient = backend.Download(RunBackward(backend, x));
        Assert.Null(Explain(expectedGradient, twinGradient, gradient));
        Assert.NotNull(Explain(expectedGradient, twinGradient, Array.ConvertAll(gradient, v => 3 * v)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheReferencesGradientIsProven(bool causal)
    {
        int[] ends = [0, 3, 3, 7];
        double[] qkv = TestData.ToDouble(TestData.Normal(DType.Float32, 7 * 3 * 6, 1));
        double[] dOutput = TestData.ToDouble(TestData.Normal(DType.Float32, 7 * 6, 2));
        static double Factor(int query, int key, int head) => (query + (2 * key) + head) % 4 == 0 ? 0 : 4.0 / 3;
        foreach (AttentionReference.Factor? factor in (AttentionReference.Factor?[])[null, Factor])
        {
            CentralDifferences.Assert(
                qkv,
                AttentionReference.Backward(dOutput, qkv, ends, 6, 2, causal, factor),
                () => CentralDifferences.Dot(dOutput, AttentionReference.Forward(qkv, ends, 6, 2, causal, factor).Output),
                "dQkv");
        }
    }

    [Fact]
    public void AStoredKeyDropsWhatTheSameKeyDropsThatIsGiven()
    {
        Inputs given = new(DType.Float32, 2, 16, false, [5, 9], 0.4f);
        Inputs stored = given with { StoresKey = true };
        Assert.Equal(backend.Download(RunForward(backend, given).Output), backend.Download(RunForward(backend, stored).Output));
        Assert.Equal(backend.Download(RunBackward(backend, given)), backend.Download(RunBackward(backend, stored)));
    }

    [Fact]
    public void WrongArgumentsAreRefusedByName()
    {
        Tensor qkv = backend.Poisoned(DType.Float32, new Shape(4, 24));
        Tensor output = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor lse = backend.Poisoned(DType.Float32, new Shape(4, 2));
        Tensor ends = backend.Upload(new Shape(2), [0, 4]);
        ArgumentException e = Assert.Throws<ArgumentException>(() => Attention.Forward(qkv, ends, qkv, lse, 2));
        Assert.Contains("output is Float32 (4, 24); it must be Float32 (4, 8)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Attention.Forward(qkv, ends, output, lse, 3));
        Assert.Throws<ArgumentException>(() => Attention.Forward(output, ends, output, lse, 2));
        e = Assert.Throws<ArgumentException>(() => Attention.Forward(qkv, ends, output, lse, 2, false, new DropoutSite(1, 0, 0, default)));
        Assert.Contains("dropout rate is 1", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Attention.Forward(qkv, ends, output, lse, 2, false, new DropoutSite(0.1f, 0, 0, default)));
        Assert.Contains("TokenKeys is absent", e.Message, StringComparison.Ordinal);
    }

    protected static (Tensor Output, Tensor Lse) RunForward(Backend backend, Inputs x)
    {
        Tensor output = backend.Poisoned(x.DType, new Shape(x.N, x.C));
        Tensor lse = backend.Poisoned(DType.Float32, new Shape(x.N, x.Heads));
        Attention.Forward(
            backend.Upload(x.DType, new Shape(x.N, 3 * x.C), x.Qkv),
            backend.Upload(new Shape(x.Ends.Length), x.Ends),
            output,
            lse,
            x.Heads,
            x.Causal,
            x.Site(backend));
        return (output, lse);
    }

    protected static Tensor RunBackward(Backend backend, Inputs x)
    {
        (Tensor output, Tensor lse) = RunForward(backend, x);
        Tensor dQkv = backend.Poisoned(x.DType, new Shape(x.N, 3 * x.C));
        Attention.Backward(
            backend.Upload(x.DType, new Shape(x.N, x.C), x.DOutput),
            backend.Upload(x.DType, new Shape(x.N, 3 * x.C), x.Qkv),
            backend.Upload(new Shape(x.Ends.Length), x.Ends),
            output,
            lse,
            dQkv,
            x.Heads,
            x.Causal,
            x.Site(backend));
        return dQkv;
    }

    private static string? Explain(double[] expected, float[] twin, float[] actual) =>
        ErrorBudget.Explain(expected, twin, actual, DType.Float32, ErrorBudget.BackwardFactor, "actual");

    protected sealed record Inputs
    {
        private readonly float _rate;

        public Inputs(DType dtype, int heads, int size, bool causal, int[] lengths, float rate = 0)
        {
            DType = dtype;
            Heads = heads;
            C = heads * size;
            Causal = causal;
            _rate = rate;
            Ends = new int[lengths.Length + 1];
            for (int s = 0; s < lengths.Length; s++)
            {
                Ends[s + 1] = Ends[s] + lengths[s];
            }

            N = Ends[^1];

            // Queries and keys of deviation 1.5 make logits of about 2: neither flat nor a single key.
            Qkv = TestData.Normal(dtype, 3L * N * C, 1, 1.5f);
            DOutput = TestData.Normal(dtype, (long)N * C, 2);
            TokenKeys = new int[2 * N];
            for (int s = 0; s < lengths.Length; s++)
            {
                for (int n = Ends[s]; n < Ends[s + 1]; n++)
                {
                    TokenKeys[2 * n] = 1000 + (7 * s);

                    // A part of a longer text: positions need not begin where a draw of four does.
                    TokenKeys[(2 * n) + 1] = n - Ends[s] + (3 * s);
                }
            }
        }

        public DType DType { get; }

        public int Heads { get; }

        public int C { get; }

        public bool Causal { get; init; }

        public bool StoresKey { get; init; }

        public int[] Ends { get; private init; }

        public int N { get; private init; }

        public float[] Qkv { get; private init; }

        public float[] DOutput { get; private init; }

        public int[] TokenKeys { get; private init; }

        public Inputs Only(int s) => this with
        {
            Ends = [0, Ends[s + 1] - Ends[s]],
            N = Ends[s + 1] - Ends[s],
            Qkv = Qkv[(Ends[s] * 3 * C)..(Ends[s + 1] * 3 * C)],
            DOutput = DOutput[(Ends[s] * C)..(Ends[s + 1] * C)],
            TokenKeys = TokenKeys[(2 * Ends[s])..(2 * Ends[s + 1])],
        };

        public DropoutSite Site(Backend backend)
        {
            if (_rate == 0)
            {
                return default;
            }

            DropoutSite site = new(_rate, Key, 77, backend.Upload(new Shape(N, 2), TokenKeys));
            if (StoresKey)
            {
                site = site with { Key = 0, StoredKey = backend.Poisoned(DType.Int32, DropoutSite.StoredKeyShape) };
                DropoutSite.WriteKey(Key, site.StoredKey);
            }

            return site;
        }

        /// <summary>What <see cref="DropoutSite"/> promises, written down once more.</summary>
        public double Factor(int query, int key, int head) => Draw(query, key, head) >= _rate ? 1 / (1 - (double)_rate) : 0;

        public float Draw(int query, int key, int head)
        {
            int keyPosition = TokenKeys[(2 * key) + 1];
            (uint x, uint y, uint z, uint w) = CounterRng.Block(
                Key, (uint)keyPosition / 4, (uint)TokenKeys[(2 * query) + 1], (uint)TokenKeys[2 * query], (77 * 1024) + (uint)head);
            uint word = (keyPosition % 4) switch { 0 => x, 1 => y, 2 => z, _ => w };
            return CounterRng.ToUnitFloat(word);
        }
    }
}

public sealed class CpuAttentionTests(CpuBackend backend) : AttentionTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Inputs x = new(DType.Float32, 4, 24, false, [.. Enumerable.Range(0, 40)]);
        (Tensor output, Tensor lse) = RunForward(b, x);
        return [b.Download(output), b.Download(lse), b.Download(RunBackward(b, x))];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor qkv = _backend.Upload(DType.Float32, new Shape(60, 3 * 24), new float[60 * 3 * 24]);
        Tensor output = _backend.Poisoned(DType.Float32, new Shape(60, 24));
        Tensor lse = _backend.Poisoned(DType.Float32, new Shape(60, 2));
        Tensor dQkv = _backend.Poisoned(DType.Float32, new Shape(60, 3 * 24));
        Tensor ends = _backend.Upload(new Shape(3), [0, 25, 60]);
        Repeatability.AssertNoAllocation(() =>
        {
            Attention.Forward(qkv, ends, output, lse, 2);
            Attention.Backward(output, qkv, ends, output, lse, dQkv, 2);
        });
    }

    [Fact]
    public void EndsThatDoNotReachTheTokensAreRefused()
    {
        Tensor qkv = _backend.Poisoned(DType.Float32, new Shape(4, 24));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Attention.Forward(
            qkv,
            _backend.Upload(new Shape(2), [0, 3]),
            _backend.Poisoned(DType.Float32, new Shape(4, 8)),
            _backend.Poisoned(DType.Float32, new Shape(4, 2)),
            2));
        Assert.Contains("cuSeqlens goes from 0 to 3; it must go from 0 to 4", e.Message, StringComparison.Ordinal);
    }
}

public sealed class EmulatedCudaForwardAttentionTests(EmulatedCudaForward backend) : AttentionTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseAttentionTests(EmulatedCudaReverse backend) : AttentionTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomAttentionTests(EmulatedCudaRandom backend) : AttentionTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaAttentionTests(CudaBackend backend) : AttentionTests(backend), IClassFixture<CudaBackend>;
