using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class RetrievalRanksTests(Backend backend)
{
    // Whole numbers: the scores are exact in both types, and many of them are equal.
    public static TheoryData<DType, int, int, int> Shapes()
    {
        TheoryData<DType, int, int, int> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach ((int q, int k, int e) in ((int, int, int)[])[
                (0, 3, 4), (1, 1, 1), (2, 7, 3), (31, 16, 8), (32, 33, 40), (33, 31, 5), (1, 300, 16), (1030, 65, 16), (5, 1000, 64)])
            {
                data.Add(dtype, q, k, e);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void RanksAreExactAndTiesCountAgainstTheQuery(DType dtype, int q, int k, int e)
    {
        Inputs x = new(q, k, e);
        Tensor ranks = backend.Poisoned(DType.Int32, new Shape(q));
        RetrievalRanks.Run(
            backend.Upload(dtype, new Shape(q, e), x.Queries), backend.Upload(dtype, new Shape(k, e), x.Pool), backend.Upload(new Shape(q), x.Targets), ranks);
        Assert.Equal(RetrievalRanksReference.Ranks(TestData.ToDouble(x.Queries), TestData.ToDouble(x.Pool), x.Targets, e), ranks.ToArray<int>());
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void TheBestRowsComeInOrder(DType dtype, int q, int k, int e)
    {
        Inputs x = new(q, k, e);
        Tensor queries = backend.Upload(dtype, new Shape(q, e), x.Queries);
        Tensor pool = backend.Upload(dtype, new Shape(k, e), x.Pool);
        double[] queryValues = TestData.ToDouble(x.Queries);
        double[] poolValues = TestData.ToDouble(x.Pool);
        foreach (int best in ((int[])[0, 1, 5, k]).Where(b => b <= k).Distinct())
        {
            Tensor indices = backend.Poisoned(DType.Int32, new Shape(q, best));
            Tensor scores = backend.Poisoned(DType.Float32, new Shape(q, best));
            RetrievalRanks.TopK(queries, pool, indices, scores);
            int[] expected = RetrievalRanksReference.Top(queryValues, poolValues, q, best, e);
            Assert.Equal(expected, indices.ToArray<int>());
            float[] actual = backend.Download(scores);
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.Equal(RetrievalRanksReference.Score(queryValues, i / best, poolValues, expected[i], e), actual[i]);
            }
        }

        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32, 1, 27_900)]
    [InlineData(DType.BFloat16, 1, 27_900)]
    public void MoreTilesOfThePoolThanBlocksAreCounted(DType dtype, int q, int k) => RanksAreExactAndTiesCountAgainstTheQuery(dtype, q, k, 3);

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsRankedAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        RanksAreExactAndTiesCountAgainstTheQuery(dtype, 7, 20, 16);
        TheBestRowsComeInOrder(dtype, 7, 20, 16);
    });

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void ARowThatIsTheTargetOnceMoreIsATieWhereverItLies(DType dtype)
    {
        // Scores that are rounded: a copy of the target must have its bits in every place of a tile. Query i looks for row i, which is
        // there again 140 and 280 rows further on.
        const int Q = 140, K = 400, E = 200;
        float[] rows = TestData.Normal(dtype, K * E, 1);
        for (int i = Q; i < K; i++)
        {
            rows.AsSpan((i % Q) * E, E).CopyTo(rows.AsSpan(i * E));
        }

        float[] queries = rows[..(Q * E)];
        Tensor ranks = backend.Poisoned(DType.Int32, new Shape(Q));
        RetrievalRanks.Run(
            backend.Upload(dtype, new Shape(Q, E), queries), backend.Upload(dtype, new Shape(K, E), rows), backend.Upload(new Shape(Q), [.. Enumerable.Range(0, Q)]), ranks);
        int[] actual = ranks.ToArray<int>();
        for (int i = 0; i < Q; i++)
        {
            // The vectors' own squares are far above all other products.
            Assert.Equal(((K - 1 - i) / Q) + 1, actual[i]);
        }
    }

    [Fact]
    public void ScoresThatAreNotNumbersCountAgainstTheQueryAndComeLast()
    {
        Tensor queries = backend.Upload(DType.Float32, new Shape(1, 1), [1]);
        Tensor pool = backend.Upload(DType.Float32, new Shape(4, 1), [float.NaN, 5, 7, 1]);
        Tensor rank = backend.Poisoned(DType.Int32, new Shape(1));
        Tensor indices = backend.Poisoned(DType.Int32, new Shape(1, 4));
        RetrievalRanks.Run(queries, pool, backend.Upload(new Shape(1), [1]), rank);
        Tensor scores = backend.Poisoned(DType.Float32, new Shape(1, 4));
        RetrievalRanks.TopK(queries, pool, indices, scores);
        Assert.Equal([3], rank.ToArray<int>());
        Assert.Equal([2, 1, 3, 0], indices.ToArray<int>());
        Assert.Equal([7, 5, 1, float.NaN], backend.Download(scores));

        RetrievalRanks.Run(queries, pool, backend.Upload(new Shape(1), [0]), rank);
        Assert.Equal([4], rank.ToArray<int>());
    }

    [Fact]
    public void WrongArgumentsAreRefusedByName()
    {
        Tensor queries = backend.Poisoned(DType.Float32, new Shape(4, 8));
        Tensor pool = backend.Poisoned(DType.Float32, new Shape(5, 7));
        Tensor good = backend.Poisoned(DType.Float32, new Shape(5, 8));
        Tensor targets = backend.Upload(new Shape(4), [0, 1, 2, 3]);
        ArgumentException e = Assert.Throws<ArgumentException>(() => RetrievalRanks.Run(queries, pool, targets, targets));
        Assert.Contains("pool is Float32 (5, 7); it must be Float32 (5, 8)", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => RetrievalRanks.TopK(queries, good, backend.Poisoned(DType.Int32, new Shape(4, 6))));
    }

    protected sealed record Inputs(int Q, int K, int E)
    {
        public float[] Queries { get; } = TestData.Whole((long)Q * E, 1, 2);

        public float[] Pool { get; } = TestData.Whole((long)K * E, 2, 2);

        public int[] Targets { get; } = [.. Enumerable.Range(0, Q).Select(i => i * 7 % K)];
    }
}

public sealed class EmulatedCudaForwardRetrievalRanksTests(EmulatedCudaForward backend) : RetrievalRanksTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseRetrievalRanksTests(EmulatedCudaReverse backend) : RetrievalRanksTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomRetrievalRanksTests(EmulatedCudaRandom backend) : RetrievalRanksTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class CudaRetrievalRanksTests(CudaBackend backend) : RetrievalRanksTests(backend), IClassFixture<CudaBackend>;

public sealed class CpuRetrievalRanksTests(CpuBackend backend) : RetrievalRanksTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void ATargetOutsideThePoolIsRefused()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(2, 3));
        Tensor targets = _backend.Upload(new Shape(2), [1, 2]);
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(() => RetrievalRanks.Run(x, x, targets, targets));
        Assert.Contains("targets[1] names no row of a table of 2", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameRanks() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Tensor queries = b.Upload(DType.Float32, new Shape(300, 24), TestData.Normal(DType.Float32, 300 * 24, 1));
        Tensor pool = b.Upload(DType.Float32, new Shape(500, 24), TestData.Normal(DType.Float32, 500 * 24, 2));
        Tensor ranks = b.Poisoned(DType.Int32, new Shape(300));
        Tensor indices = b.Poisoned(DType.Int32, new Shape(300, 9));
        Tensor scores = b.Poisoned(DType.Float32, new Shape(300, 9));
        RetrievalRanks.Run(queries, pool, b.Upload(new Shape(300), [.. Enumerable.Range(0, 300)]), ranks);
        RetrievalRanks.TopK(queries, pool, indices, scores);
        return [Array.ConvertAll(ranks.ToArray<int>(), v => (float)v), Array.ConvertAll(indices.ToArray<int>(), v => (float)v), b.Download(scores)];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor x = _backend.Poisoned(DType.Float32, new Shape(100, 16));
        Tensor targets = _backend.Upload(new Shape(100), new int[100]);
        Tensor ranks = _backend.Poisoned(DType.Int32, new Shape(100));
        Tensor indices = _backend.Poisoned(DType.Int32, new Shape(100, 3));
        Repeatability.AssertNoAllocation(() =>
        {
            RetrievalRanks.Run(x, x, targets, ranks);
            RetrievalRanks.TopK(x, x, indices);
        });
    }
}
