using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>The order in which a table's gradient is summed on CUDA: by numbers, equal ones as they come, so that each sum has its bits; and the rows that occur.</summary>
public sealed class EmbeddingOrderTests
{
    // As in embedding.cu and number_sort.cuh.
    private const int Chunk = 32;
    private const int Tile = 1024;

    public static TheoryData<string, int, int, Interleaving> Cases()
    {
        TheoryData<string, int, int, Interleaving> data = [];

        // One digit, two and three; the last two with numbers that differ in their lowest digit alone, or in their highest.
        foreach ((string pattern, int rows) in ((string, int)[])[
            ("one", 1), ("one", 300), ("repeated", 7), ("repeated", 70_001), ("distinct", 5000), ("sorted", 5000), ("reversed", 5000), ("low digit", 65_800), ("high digit", 131_080)])
        {
            data.Add(pattern, (2 * Tile) + 1, rows, Interleaving.Random);
        }

        foreach (int n in (int[])[1, 31, 33, Tile - 1, Tile, Tile + 1, 3 * Tile])
        {
            data.Add("repeated", n, 700, Interleaving.Reverse);
        }

        data.Add("repeated", 6 * Tile, 90, Interleaving.Forward);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void EachRowIsTheSumOfItsTokensAsTheyComeToTheBit(string pattern, int n, int rows, Interleaving interleaving)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
        int[] ids = Numbers(pattern, n, rows);
        float[] dOutput = TestData.Normal(DType.Float32, n, 1);
        float[] before = TestData.Normal(DType.Float32, rows, 2);
        float[] expected = Expected(ids, dOutput, before);
        Tensor table = Upload(device, before);
        Tensor numbers = Upload(device, ids);
        Embedding.Backward(Upload(device, dOutput).Reshape(new Shape(n, 1)), numbers, numbers, default, table.Reshape(new Shape(rows, 1)), default, default);
        AssertSameBits(expected, table.ToArray<float>());
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void TheRowsThatOccurAreTheDifferentNumbersInTheirOrderEachWithTheSumOfItsTokens(string pattern, int n, int rows, Interleaving interleaving)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = interleaving });
        int[] ids = Numbers(pattern, n, rows);
        float[] dOutput = TestData.Normal(DType.Float32, n, 1);
        RowSparseGradient sparse = Sparse(device, n);
        Embedding.BackwardSparse(Upload(device, dOutput).Reshape(new Shape(n, 1)), Upload(device, ids), rows, sparse);
        AssertRows(ids, dOutput, rows, sparse);
    }

    [Fact]
    public void AThreadThatAddsUpTheRowsOfSeveralTilesAddsThemAll()
    {
        // Two tiles for each of the 128 threads, but the last.
        const int Tokens = (130 * Tile) + 5;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        int[] ids = Numbers("repeated", Tokens, 250);
        float[] dOutput = TestData.Normal(DType.Float32, Tokens, 1);
        RowSparseGradient sparse = Sparse(device, Tokens);
        Embedding.BackwardSparse(Upload(device, dOutput).Reshape(new Shape(Tokens, 1)), Upload(device, ids), 250, sparse);
        AssertRows(ids, dOutput, 250, sparse);
    }

    [Fact]
    public void OneGraphFindsTheRowsOfAnyNumberOfLiveTokens()
    {
        const int Capacity = 3 * Tile;
        const int Rows = 900;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = Interleaving.Random });
        Tensor live = Upload(device, [Capacity]);
        LiveRows tokens = new(Capacity, live);
        Tensor ids = device.NewTensor(DType.Int32, new Shape(Capacity)).WithLiveRows(tokens);
        Tensor dOutput = device.NewTensor(DType.Float32, new Shape(Capacity, 1)).WithLiveRows(tokens);
        RowSparseGradient sparse = Sparse(device, Capacity);
        ids.CopyFrom<int>(Numbers("repeated", Capacity, Rows));
        Step();
        using CudaGraph graph = CudaGraph.Capture(device, Step);
        foreach (int n in (int[])[Capacity, 1, (2 * Tile) + 5, 0, Tile, Tile + 1, 40])
        {
            int[] numbers = Numbers("repeated", Capacity, Rows);
            Array.Fill(numbers, int.MaxValue, n, Capacity - n);
            float[] gradients = TestData.Normal(DType.Float32, Capacity, (uint)n + 3);
            ids.CopyFrom<int>(numbers);
            dOutput.CopyFrom<float>(gradients);
            live.CopyFrom<int>([n]);
            graph.Launch();
            AssertRows(numbers[..n], gradients[..n], Rows, sparse);
        }

        void Step() => Embedding.BackwardSparse(dOutput, ids, Rows, sparse);
    }

    [Fact]
    public void TheWorkOfFindingTheRowsGrowsAsTheTokensDo()
    {
        // Sectors of 32 bytes that a token asks for: its number and its neighbour's, its slot, now and then a row's number; and what a tile has.
        (double few, double many) = (SectorsPerToken(4 * Tile), SectorsPerToken(32 * Tile));
        Assert.InRange(few, 0.75, 0.95);
        Assert.InRange(many, 0.98 * few, 1.02 * few);

        static double SectorsPerToken(int n)
        {
            using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
            RowSparseGradient sparse = Sparse(device, n);
            Embedding.BackwardSparse(Upload(device, TestData.Normal(DType.Float32, n, 1)).Reshape(new Shape(n, 1)), Upload(device, Numbers("repeated", n, n / 8)), n / 8, sparse);
            string[] kernels = ["embedding_runs", "embedding_run_offsets", "embedding_slots"];
            KernelCounters[] counted = [.. device.Emulation!.ReadCounters().Where(c => kernels.Contains(c.Key)).Select(c => c.Value)];
            Assert.Equal(kernels.Length, counted.Length);
            return counted.Sum(c => (double)c.GlobalSectorCount) / n;
        }
    }

    [Fact]
    public void OneGraphSortsAnyNumberOfLiveTokens()
    {
        const int Capacity = 3 * Tile;
        const int Rows = 700;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = Interleaving.Random });
        Tensor live = Upload(device, [Capacity]);
        LiveRows tokens = new(Capacity, live);
        Tensor ids = device.NewTensor(DType.Int32, new Shape(Capacity)).WithLiveRows(tokens);
        Tensor dOutput = device.NewTensor(DType.Float32, new Shape(Capacity, 1)).WithLiveRows(tokens);
        Tensor table = device.NewTensor(DType.Float32, new Shape(Rows, 1));
        ids.CopyFrom<int>(Numbers("repeated", Capacity, Rows));
        Step();
        using CudaGraph graph = CudaGraph.Capture(device, Step);
        foreach (int n in (int[])[Capacity, 1, (2 * Tile) + 5, 0, Tile, 40])
        {
            // What lies behind the live tokens names no row.
            int[] numbers = Numbers("repeated", Capacity, Rows);
            Array.Fill(numbers, int.MaxValue, n, Capacity - n);
            float[] gradients = TestData.Normal(DType.Float32, Capacity, (uint)n + 3);
            float[] before = TestData.Normal(DType.Float32, Rows, 4);
            ids.CopyFrom<int>(numbers);
            dOutput.CopyFrom<float>(gradients);
            table.CopyFrom<float>(before);
            live.CopyFrom<int>([n]);
            graph.Launch();
            AssertSameBits(Expected(numbers[..n], gradients[..n], before), table.ToArray<float>());
        }

        void Step() => Embedding.Backward(dOutput, ids, ids, default, table, default, default);
    }

    [Fact]
    public void TheExpectedSumsDependOnTheOrderOfEqualNumbers()
    {
        int[] ids = Numbers("repeated", Tile, 7);
        float[] dOutput = TestData.Normal(DType.Float32, Tile, 1);
        float[] before = new float[7];
        float[] expected = Expected(ids, dOutput, before);
        Array.Reverse(ids);
        Array.Reverse(dOutput);
        Assert.NotEqual(expected, Expected(ids, dOutput, before));
    }

    private static int[] Numbers(string pattern, int n, int rows)
    {
        CounterRandom random = new(11, 0x1D6, 0);
        int[] numbers = new int[n];
        for (int i = 0; i < n; i++)
        {
            numbers[i] = pattern switch
            {
                "one" => rows - 1,
                "repeated" => random.Next(rows),
                "sorted" => (int)((long)i * rows / n),
                "reversed" => rows - 1 - (int)((long)i * rows / n),
                "low digit" => (256 * 257) + random.Next(8),
                "high digit" => (65_536 * random.Next(3)) + 7,

                // A permutation of the first n.
                _ => (int)((i * 1021L) % n),
            };
        }

        return numbers;
    }

    // In chunks of the sorted tokens; the pieces of a run that reaches over borders in their order.
    private static float[] Expected(int[] ids, float[] dOutput, float[] before)
    {
        float[] table = [.. before];
        int[] order = [.. Enumerable.Range(0, ids.Length).OrderBy(i => ids[i])];
        for (int start = 0; start < order.Length;)
        {
            int number = ids[order[start]];
            float? run = null;
            int i = start;
            while (i < order.Length && ids[order[i]] == number)
            {
                float piece = 0;
                do
                {
                    piece += dOutput[order[i]];
                    i++;
                }
                while (i % Chunk != 0 && i < order.Length && ids[order[i]] == number);
                run = run is { } sum ? sum + piece : piece;
            }

            table[number] += run!.Value;
            start = i;
        }

        return table;
    }

    private static RowSparseGradient Sparse(CudaDevice device, int n) =>
        new(device.NewTensor(DType.Int32, new Shape(n)), device.NewTensor(DType.Float32, new Shape(n, 1)), device.NewTensor(DType.Int32, new Shape(1)));

    private static void AssertRows(int[] ids, float[] dOutput, int rows, in RowSparseGradient actual)
    {
        int count = actual.RowCount.ToArray<int>()[0];
        int[] different = [.. ids.Distinct().Order()];
        Assert.Equal(different.Length, count);
        Assert.Equal(different, actual.RowIds.ToArray<int>()[..count]);
        float[] expected = Expected(ids, dOutput, new float[rows]);
        AssertSameBits([.. different.Select(row => expected[row])], actual.Values.ToArray<float>()[..count]);
    }

    private static Tensor Upload<T>(CudaDevice device, T[] values)
        where T : unmanaged
    {
        Tensor tensor = device.NewTensor(typeof(T) == typeof(int) ? DType.Int32 : DType.Float32, new Shape(values.Length));
        tensor.CopyFrom<T>(values);
        return tensor;
    }

    private static void AssertSameBits(float[] expected, float[] actual)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]), $"row {i}: {actual[i]:R}, not {expected[i]:R}");
        }
    }
}
