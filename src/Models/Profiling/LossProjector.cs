using CrossAlign.Kernels;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// Computes what the fused loss of a large batch costs, from what the emulated device counts of small ones. Each count of a kernel is a
/// polynomial of the second degree in the extent of a super-tile, also of the two products that add to the gradients. So three small calls determine it, and evaluating it where the batch is large is no guess about the kernel; a test
/// compares it with a larger call. (Below the first super-tiles merging reads 8 bytes a column more, of a thousand.) Lines have kernels of a few blocks whose last round may be half empty; they are a hundredth of the whole. What caches, latencies and clocks make of it only a GPU can say.
/// </summary>
public static class LossProjector
{
    /// <summary>The name of the kernels with a thread or warp a line of the matrix: norms, merged statistics, the gradients' last step.</summary>
    public const string Lines = "lines";

    /// <summary>B of the documentation's table.</summary>
    public const int DefaultRows = 65536;

    /// <summary>E of the documentation's table.</summary>
    public const int DefaultWidth = 768;

    // The tile of tile_product.cuh, and after which depth its sums are added up.
    private const int Tile = 128;
    private const int ChainDepth = 64;

    private static readonly GpuDataSheet[] s_gpus = [GpuDataSheet.A100, GpuDataSheet.H100, GpuDataSheet.H100Warps];
    private static readonly int[] s_extents = [Tile, 2 * Tile, 3 * Tile];
    private static readonly string[] s_perSuperTile = ["similarity_stats_", "similarity_merge", "similarity_gradients_", "matmul_nn_", "matmul_tn_"];

    /// <summary>The documentation's tables: each precision at <see cref="DefaultRows"/> and <see cref="DefaultWidth"/>.</summary>
    /// <param name="progress">Told which one is computed; may be null.</param>
    /// <param name="cancellation">Stops between two.</param>
    /// <returns>One a precision.</returns>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static IReadOnlyList<LossProjection> RunAll(IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        List<LossProjection> all = [];
        foreach (MatMulPrecision precision in (MatMulPrecision[])[MatMulPrecision.BFloat16, MatMulPrecision.Tf32, MatMulPrecision.Float32])
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report($"the loss of a large batch, {NameOf(precision)}");
            all.Add(Run(precision, DefaultRows, DefaultWidth));
        }

        return all;
    }

    /// <summary>Computes the costs of a symmetric loss of normalised rows, with our own matrix products and the default memory budget.</summary>
    /// <param name="precision">Of the products.</param>
    /// <param name="rows">B, a multiple of 128.</param>
    /// <param name="width">E, a multiple of 64; the products that add to the gradients take whole tiles of 128 columns.</param>
    /// <returns>The costs.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is not such a multiple.</exception>
    public static LossProjection Run(MatMulPrecision precision, int rows, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(rows % Tile, 0);
        ArgumentOutOfRangeException.ThrowIfNotEqual(width % ChainDepth, 0);
        int pieces = Pieces(rows, width);
        double extent = rows / (double)pieces;
        long superTiles = (long)pieces * pieces;
        IReadOnlyDictionary<string, KernelCounters>[] calls = [.. s_extents.Select(s => CountLoss(precision, s, width, OneSuperTile(s, width)))];
        List<(string Kernel, long Launches, KernelCounters One)> kernels = [];
        foreach (string kernel in calls[0].Keys.Where(IsPerSuperTile).OrderBy(k => Array.FindIndex(s_perSuperTile, prefix => k.StartsWith(prefix, StringComparison.Ordinal))))
        {
            kernels.Add((kernel, superTiles, AtExtent(calls, kernel, extent)));
        }

        bool isBFloat16 = precision == MatMulPrecision.BFloat16;
        List<LossProjectionPart> parts = [.. kernels.Select(k => Part(k.Kernel, [(k.Launches, k.One)], isBFloat16))];
        parts.Add(Part(
            Lines, [.. calls[0].Keys.Where(k => k.StartsWith("similarity_", StringComparison.Ordinal) && !IsPerSuperTile(k)).Select(k => (1L, AtRows(calls, k, rows)))], isBFloat16));
        return new LossProjection
        {
            Precision = NameOf(precision),
            Rows = rows,
            Width = width,
            SuperTiles = checked((int)superTiles),
            Parts = parts,
            Total = [.. s_gpus.Select((gpu, i) => Sum(gpu.Name, [.. parts.Select(p => p.Gpus[i])]))],
        };
    }

    /// <summary>Counts one call, similarities computed twice.</summary>
    /// <param name="precision">Of the products.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">E.</param>
    /// <param name="budget">The memory budget; not enough to keep similarities.</param>
    /// <returns>The counters by kernel.</returns>
    internal static IReadOnlyDictionary<string, KernelCounters> CountLoss(MatMulPrecision precision, int rows, int width, long budget) => Count(precision, device =>
    {
        SimilarityCrossEntropyOptions options = new() { MemoryBudgetBytes = budget };
        using SimilarityCrossEntropyWorkspace workspace = new(device, options, rows, rows, width);
        if (workspace.KeepsSimilarities)
        {
            throw new InvalidOperationException("The budget is enough to keep the similarities.");
        }

        DType dtype = precision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
        Tensor One() => device.NewTensor(DType.Float32, new Shape(1));
        Tensor Side(DType type) => device.NewTensor(type, new Shape(rows, width));
        SimilarityCrossEntropyInputs inputs = new() { Captions = Side(dtype), Images = Side(dtype), Scale = One() };
        SimilarityCrossEntropyGradients gradients = new() { DCaptions = Side(DType.Float32), DImages = Side(DType.Float32), DScale = One() };
        SimilarityCrossEntropy.ForwardBackward(workspace, inputs, new SimilarityCrossEntropyOutputs { Loss = One() }, gradients);
        device.Synchronize();
    });

    /// <summary>Whether a kernel runs once a super-tile, or else once a call (a constant number of times).</summary>
    /// <param name="kernel">Its name.</param>
    /// <returns>Whether it does.</returns>
    internal static bool IsPerSuperTile(string kernel) => s_perSuperTile.Any(prefix => kernel.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>The counters of a kernel for another extent.</summary>
    /// <param name="calls">The counts at 128, 256 and 384 rows.</param>
    /// <param name="kernel">The kernel.</param>
    /// <param name="extent">Rows and columns.</param>
    /// <returns>Its counters.</returns>
    internal static KernelCounters AtExtent(IReadOnlyList<IReadOnlyDictionary<string, KernelCounters>> calls, string kernel, double extent)
    {
        double[] weights = [.. s_extents.Select(i => s_extents.Where(j => j != i).Aggregate(1.0, (product, j) => product * (extent - j) / (i - j)))];
        return KernelCounters.Combine([.. calls.Select((c, i) => (weights[i], c[kernel]))]);
    }

    /// <summary>The counters of a kernel with a thread or warp a line, for another number of lines: on the straight line through two counts.</summary>
    /// <param name="calls">The counts at 128, 256 and 384 rows.</param>
    /// <param name="kernel">The kernel.</param>
    /// <param name="rows">B.</param>
    /// <returns>Its counters.</returns>
    internal static KernelCounters AtRows(IReadOnlyList<IReadOnlyDictionary<string, KernelCounters>> calls, string kernel, int rows)
    {
        double more = (rows - s_extents[0]) / (double)(s_extents[^1] - s_extents[0]);
        return KernelCounters.Combine([(1 - more, calls[0][kernel]), (more, calls[^1][kernel])]);
    }

    /// <summary>A budget that is not enough to keep similarities, and just enough for one super-tile.</summary>
    /// <param name="rows">B, at most 4096.</param>
    /// <param name="width">E.</param>
    /// <returns>Bytes.</returns>
    internal static long OneSuperTile(int rows, int width)
    {
        const long RowBytes = 32;
        SimilarityCrossEntropyOptions ample = new() { MemoryBudgetBytes = 1L << 40 };
        return SimilarityCrossEntropyWorkspace.PredictByteCount(ample, rows, rows, width, kind: DeviceKind.Cuda) - ((long)rows * rows * sizeof(float)) - (RowBytes * rows);
    }

    private static IReadOnlyDictionary<string, KernelCounters> Count(MatMulPrecision precision, Action<CudaDevice> run)
    {
        // Without cuBLAS: its products are not among the kernels that can be counted.
        EmulatedDriver driver = new(new EmulationOptions { CountsFootprint = true });
        using CudaDevice device = new(driver, null, 0, "cuda-emulated:sm_80", poolsMemory: false);
        device.MatMulPrecision = precision;
        run(device);
        return driver.ReadCounters();
    }

    // Into how many pieces the default budget cuts a side.
    private static int Pieces(int rows, int width)
    {
        EmulatedDriver driver = new(new EmulationOptions());
        using CudaDevice device = new(driver, null, 0, "cuda-emulated:sm_80", poolsMemory: false);
        using SimilarityCrossEntropyWorkspace workspace = new(device, new SimilarityCrossEntropyOptions(), rows, rows, width);
        return (rows + workspace.SuperTile - 1) / workspace.SuperTile;
    }

    private static LossProjectionPart Part(string kernel, IReadOnlyList<(long Launches, KernelCounters One)> launches, bool isBFloat16) => new(
        kernel,
        launches.Sum(l => l.Launches * l.One.LaunchCount),
        launches.Sum(l => l.Launches * l.One.MmaOperationCount) / 1e12,
        launches.Sum(l => l.Launches * l.One.FootprintSectorCount) * 32 / 1e9,
        [.. s_gpus.Select(gpu => Sum(gpu.Name, [.. launches.Select(l => Times(gpu, l.Launches, l.One, isBFloat16))]))]);

    private static PortTimes Times(GpuDataSheet gpu, long launches, KernelCounters one, bool isBFloat16)
    {
        Dictionary<string, double> times = gpu.LowerBounds(one, isBFloat16).ToDictionary(b => b.Resource, b => launches * b.Microseconds / 1e3, StringComparer.Ordinal);
        (string resource, double least) = times.MaxBy(t => t.Value);
        return new PortTimes(gpu.Name, times, least, resource);
    }

    private static PortTimes Sum(string gpu, IReadOnlyList<PortTimes> parts)
    {
        Dictionary<string, double> times = parts.SelectMany(p => p.Milliseconds).GroupBy(t => t.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Sum(t => t.Value), StringComparer.Ordinal);
        return new PortTimes(gpu, times, parts.Sum(p => p.LeastMilliseconds), times.MaxBy(t => t.Value).Key);
    }

    private static string NameOf(MatMulPrecision precision) => precision switch
    {
        MatMulPrecision.BFloat16 => "bf16",
        MatMulPrecision.Tf32 => "tf32",
        _ => "f32",
    };
}
