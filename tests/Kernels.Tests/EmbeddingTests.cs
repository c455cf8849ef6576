using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

public abstract class EmbeddingTests(Backend backend)
{
    private const int Types = 2;

    public static TheoryData<DType, int, int, int> Shapes()
    {
        TheoryData<DType, int, int, int> data = [];
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            // Few rows make long runs of equal ids (several pieces a run); 5000 rows need a second digit of the sort.
            foreach ((int n, int c, int v) in ((int, int, int)[])[
                (0, 8, 5), (1, 1, 1), (2, 7, 3), (31, 16, 4), (32, 33, 1), (33, 32, 2), (65, 31, 1), (100, 96, 5000), (517, 100, 11), (700, 5, 2100), (70, 301, 3), (70, 1100, 3)])
            {
                data.Add(dtype, n, c, v);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ForwardIsWithinTheErrorBudget(DType dtype, int n, int c, int v)
    {
        Inputs x = new(dtype, n, c, v);
        double[] expected = EmbeddingReference.Forward(
            x.Ids, x.Positions, x.TypeIds, TestData.ToDouble(x.Word), TestData.ToDouble(x.Position), TestData.ToDouble(x.Type), c);
        float[] twin = EmbeddingReference.Forward(x.Ids, x.Positions, x.TypeIds, x.Word, x.Position, x.Type, c);
        foreach (DType table in (DType[])[DType.Float32, DType.BFloat16])
        {
            // The tables hold numbers that bfloat16 has, so both kinds of table must give the same.
            Tensor output = backend.Poisoned(dtype, new Shape(n, c));
            Embedding.Forward(
                backend.Upload(new Shape(n), x.Ids),
                backend.Upload(new Shape(n), x.Positions),
                backend.Upload(new Shape(n), x.TypeIds),
                backend.Upload(table, new Shape(v, c), x.Word),
                backend.Upload(table, new Shape(x.PositionCount, c), x.Position),
                backend.Upload(table, new Shape(Types, c), x.Type),
                output);
            ErrorBudget.AssertForward(expected, twin, backend.Download(output), dtype, $"output of {table} tables");
        }

        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BackwardIsWithinTheErrorBudget(DType dtype, int n, int c, int v)
    {
        Inputs x = new(dtype, n, c, v);
        (float[] word, float[] position, float[] type) = RunBackward(backend, x, x.WordBefore, x.PositionBefore, x.TypeBefore);
        AssertScatter(x, x.Ids, x.WordBefore, word, "dWord");
        AssertScatter(x, x.Positions, x.PositionBefore, position, "dPosition");
        AssertScatter(x, x.TypeIds, x.TypeBefore, type, "dType");
        backend.CheckGuards();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void TheSparseGradientHasTheBitsOfTheDenseOne(DType dtype, int n, int c, int v)
    {
        Inputs x = new(dtype, n, c, v);
        (float[] dense, _, _) = RunBackward(backend, x, new float[v * c], x.PositionBefore, x.TypeBefore);

        int capacity = Math.Min(n, v) + 3;
        RowSparseGradient sparse = new(
            backend.Poisoned(DType.Int32, new Shape(capacity)),
            backend.Poisoned(DType.Float32, new Shape(capacity, c)),
            backend.Poisoned(DType.Int32, new Shape(1)));
        Embedding.BackwardSparse(backend.Upload(dtype, new Shape(n, c), x.DOutput), backend.Upload(new Shape(n), x.Ids), v, sparse);

        int count = sparse.RowCount.ToArray<int>()[0];
        int[] rows = sparse.RowIds.ToArray<int>()[..count];
        Assert.Equal(x.Ids.Distinct().Order(), rows);
        float[] values = backend.Download(sparse.Values);
        float[] scattered = new float[v * c];
        for (int i = 0; i < count; i++)
        {
            values.AsSpan(i * c, c).CopyTo(scattered.AsSpan(rows[i] * c));
        }

        Assert.Equal(dense, scattered);
        backend.CheckGuards();
    }

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AViewThatLiesAskewIsReadAsOneThatDoesNot(DType dtype) => backend.WithEachTensorAskew(() =>
    {
        ForwardIsWithinTheErrorBudget(dtype, 5, 296, 3);
        BackwardIsWithinTheErrorBudget(dtype, 40, 40, 3);
        TheSparseGradientHasTheBitsOfTheDenseOne(dtype, 40, 40, 3);
    });

    [Fact]
    public void WithoutTypeIdsRowZeroIsAddedEverywhere()
    {
        Inputs x = new(DType.Float32, 77, 24, 9);
        Array.Clear(x.TypeIds);
        Shape shape = new(77, 24);
        Tensor ids = backend.Upload(new Shape(77), x.Ids);
        Tensor positions = backend.Upload(new Shape(77), x.Positions);
        Tensor zeros = backend.Upload(new Shape(77), x.TypeIds);
        Tensor word = backend.Upload(DType.Float32, new Shape(9, 24), x.Word);
        Tensor position = backend.Upload(DType.Float32, new Shape(x.PositionCount, 24), x.Position);
        Tensor type = backend.Upload(DType.Float32, new Shape(Types, 24), x.Type);
        Tensor with = backend.Poisoned(DType.Float32, shape);
        Tensor without = backend.Poisoned(DType.Float32, shape);
        Tensor plain = backend.Poisoned(DType.Float32, shape);
        Embedding.Forward(ids, positions, zeros, word, position, type, with);
        Embedding.Forward(ids, positions, default, word, position, type, without);
        Embedding.Forward(ids, positions, default, word, position, default, plain);
        Assert.Equal(backend.Download(with), backend.Download(without));
        Assert.NotEqual(backend.Download(with), backend.Download(plain));

        Tensor dOutput = backend.Upload(DType.Float32, shape, x.DOutput);
        Tensor dTypeWith = backend.Upload(DType.Float32, new Shape(Types, 24), x.TypeBefore);
        Tensor dTypeWithout = backend.Upload(DType.Float32, new Shape(Types, 24), x.TypeBefore);
        Embedding.Backward(dOutput, ids, positions, zeros, default, default, dTypeWith);
        Embedding.Backward(dOutput, ids, positions, default, default, default, dTypeWithout);
        Assert.Equal(backend.Download(dTypeWith), backend.Download(dTypeWithout));
    }

    [Fact]
    public void AMissingTokenInAScatterIsRejected()
    {
        Inputs x = new(DType.Float32, 65, 31, 1);
        float[] dWord = new float[31];
        EmbeddingReference.Backward(x.DOutput[..^31], x.Ids[..^1], dWord, 31);
        double[] expected = new double[31];
        float[] twin = new float[31];
        EmbeddingReference.Backward(TestData.ToDouble(x.DOutput), x.Ids, expected, 31);
        EmbeddingReference.Backward(x.DOutput, x.Ids, twin, 31);
        Assert.NotNull(ErrorBudget.Explain(expected, twin, dWord, DType.Float32, ErrorBudget.BackwardFactor, "dWord"));
    }

    [Fact]
    public void WrongShapesAreRefusedByName()
    {
        Tensor ids = backend.Upload(new Shape(2), [0, 1]);
        Tensor table = backend.Upload(DType.Float32, new Shape(2, 3), new float[6]);
        Tensor output = backend.Poisoned(DType.Float32, new Shape(2, 4));
        ArgumentException e = Assert.Throws<ArgumentException>(() => Embedding.Forward(ids, ids, default, table, table, default, output));
        Assert.Contains("word is Float32 (2, 3); it must be Float32 (2, 4)", e.Message, StringComparison.Ordinal);

        RowSparseGradient small = new(
            backend.Poisoned(DType.Int32, new Shape(1)), backend.Poisoned(DType.Float32, new Shape(1, 4)), backend.Poisoned(DType.Int32, new Shape(1)));
        e = Assert.Throws<ArgumentException>(() => Embedding.BackwardSparse(output, ids, 5, small));
        Assert.Contains("room for 1 rows; 2 tokens can touch 2", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Embedding.Forward(ids, ids, ids, table, table, default, backend.Poisoned(DType.Float32, new Shape(2, 3))));
    }

    protected static (float[] Word, float[] Position, float[] Type) RunBackward(
        Backend backend, Inputs x, float[] wordBefore, float[] positionBefore, float[] typeBefore)
    {
        Tensor dWord = backend.Upload(DType.Float32, new Shape(x.V, x.C), wordBefore);
        Tensor dPosition = backend.Upload(DType.Float32, new Shape(x.PositionCount, x.C), positionBefore);
        Tensor dType = backend.Upload(DType.Float32, new Shape(Types, x.C), typeBefore);
        Embedding.Backward(
            backend.Upload(x.DType, new Shape(x.N, x.C), x.DOutput),
            backend.Upload(new Shape(x.N), x.Ids),
            backend.Upload(new Shape(x.N), x.Positions),
            backend.Upload(new Shape(x.N), x.TypeIds),
            dWord,
            dPosition,
            dType);
        return (backend.Download(dWord), backend.Download(dPosition), backend.Download(dType));
    }

    private static void AssertScatter(Inputs x, int[] numbers, float[] before, float[] actual, string what)
    {
        double[] expected = TestData.ToDouble(before);
        float[] twin = [.. before];
        EmbeddingReference.Backward(TestData.ToDouble(x.DOutput), numbers, expected, x.C);
        EmbeddingReference.Backward(x.DOutput, numbers, twin, x.C);
        ErrorBudget.AssertBackward(expected, twin, actual, DType.Float32, what);
        for (int row = 0; row < before.Length / x.C; row++)
        {
            if (!numbers.Contains(row))
            {
                Assert.Equal(before[(row * x.C)..((row + 1) * x.C)], actual[(row * x.C)..((row + 1) * x.C)]);
            }
        }
    }

    protected sealed record Inputs(DType DType, int N, int C, int V)
    {
        public int PositionCount => 40;

        public int[] Ids { get; } = Numbers(N, V, 1);

        public int[] Positions { get; } = Numbers(N, 40, 2);

        public int[] TypeIds { get; } = Numbers(N, Types, 3);

        public float[] Word { get; } = TestData.Normal(DType.BFloat16, (long)V * C, 4);

        public float[] Position { get; } = TestData.Normal(DType.BFloat16, 40L * C, 5);

        public float[] Type { get; } = TestData.Normal(DType.BFloat16, (long)Types * C, 6);

        public float[] DOutput { get; } = TestData.Normal(DType, (long)N * C, 7);

        public float[] WordBefore { get; } = TestData.Normal(DType.Float32, (long)V * C, 8);

        public float[] PositionBefore { get; } = TestData.Normal(DType.Float32, 40L * C, 9);

        public float[] TypeBefore { get; } = TestData.Normal(DType.Float32, (long)Types * C, 10);

        private static int[] Numbers(int count, int exclusiveMax, uint seed)
        {
            CounterRandom random = new(seed, 0x1D5, 0);
            int[] numbers = new int[count];
            for (int i = 0; i < count; i++)
            {
                numbers[i] = random.Next(exclusiveMax);
            }

            return numbers;
        }
    }
}

public sealed class CpuEmbeddingTests(CpuBackend backend) : EmbeddingTests(backend), IClassFixture<CpuBackend>
{
    private readonly CpuBackend _backend = backend;

    [Fact]
    public void ANumberWithoutARowIsRefused()
    {
        Tensor good = _backend.Upload(new Shape(3), [0, 1, 4]);
        Tensor bad = _backend.Upload(new Shape(3), [0, 5, 4]);
        Tensor negative = _backend.Upload(new Shape(3), [0, 1, -1]);
        Tensor table = _backend.Upload(DType.Float32, new Shape(5, 2), new float[10]);
        Tensor output = _backend.Poisoned(DType.Float32, new Shape(3, 2));
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(
            () => Embedding.Forward(bad, good, default, table, table, default, output));
        Assert.Contains("ids[1] names no row of a table of 5", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Embedding.Forward(good, negative, default, table, table, default, output));
        Assert.Throws<ArgumentOutOfRangeException>(() => Embedding.Backward(output, bad, good, default, table, default, default));
    }

    [Fact]
    public void AnyNumberOfThreadsGivesTheSameBits() => Repeatability.AssertSameBitsForAnyThreadCount(b =>
    {
        Inputs x = new(DType.Float32, 2000, 50, 30);
        (float[] word, float[] position, float[] type) = RunBackward(b, x, x.WordBefore, x.PositionBefore, x.TypeBefore);
        return [word, position, type];
    });

    [Fact]
    public void ACallAllocatesNothing()
    {
        Tensor ids = _backend.Upload(new Shape(700), new int[700]);
        Tensor table = _backend.Poisoned(DType.Float32, new Shape(9, 48));
        Tensor rows = _backend.Poisoned(DType.Float32, new Shape(700, 48));
        RowSparseGradient sparse = new(
            _backend.Poisoned(DType.Int32, new Shape(9)), _backend.Poisoned(DType.Float32, new Shape(9, 48)), _backend.Poisoned(DType.Int32, new Shape(1)));
        Repeatability.AssertNoAllocation(() =>
        {
            Embedding.Forward(ids, ids, default, table, table, table, rows);
            Embedding.Backward(rows, ids, ids, default, table, table, table);
            Embedding.BackwardSparse(rows, ids, 9, sparse);
        });
    }
}

public sealed class EmulatedCudaForwardEmbeddingTests(EmulatedCudaForward backend) : EmbeddingTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseEmbeddingTests(EmulatedCudaReverse backend) : EmbeddingTests(backend), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomEmbeddingTests(EmulatedCudaRandom backend) : EmbeddingTests(backend), IClassFixture<EmulatedCudaRandom>;

public sealed class EmulatedCudaShortGridEmbeddingTests(EmulatedCudaShortGrid backend) : EmbeddingTests(backend), IClassFixture<EmulatedCudaShortGrid>;

public sealed class CudaEmbeddingTests(CudaBackend backend) : EmbeddingTests(backend), IClassFixture<CudaBackend>;
