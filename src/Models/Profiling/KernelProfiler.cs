using System.Globalization;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Profiling;

/// <summary>Runs operations on the emulated device and says what each of their kernels costs: exact counts, the same on every machine.</summary>
public static class KernelProfiler
{
    private static readonly GpuDataSheet[] s_gpus = [GpuDataSheet.A100, GpuDataSheet.H100];

    /// <summary>Runs the cases one after the other.</summary>
    /// <param name="cases">What to run.</param>
    /// <param name="progress">Told which case runs; may be null.</param>
    /// <param name="cancellation">Stops between two cases.</param>
    /// <returns>A row a kernel of a case.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="cases"/> is null.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static KernelProfileReport Run(IReadOnlyList<KernelProfileCase> cases, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(cases);
        List<KernelProfileRow> rows = [];
        for (int i = 0; i < cases.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            KernelProfileCase profiled = cases[i];
            progress?.Report(string.Create(CultureInfo.InvariantCulture, $"{i + 1}/{cases.Count}: {profiled.Operation}, {profiled.Shape}, {profiled.Precisions}"));
            rows.AddRange(Count(profiled));
        }

        return new KernelProfileReport { Kernels = rows };
    }

    private static IEnumerable<KernelProfileRow> Count(KernelProfileCase profiled)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { CountsFootprint = true });
        device.MatMulPrecision = profiled.Precision;
        device.MatMulEngine = profiled.Engine;
        profiled.Run(device);
        device.Synchronize();

        // cuBLAS's products are not among the kernels that there is PTX of.
        EmulatedDriver driver = device.Emulation!;
        IReadOnlyDictionary<string, int> registers = driver.ReadLiveRegisters();
        return [.. driver.ReadCounters().Where(pair => registers.ContainsKey(pair.Key)).OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => Row(profiled, pair.Key, pair.Value, registers[pair.Key]))];
    }

    private static KernelProfileRow Row(KernelProfileCase profiled, string kernel, KernelCounters counters, int registers)
    {
        int threads = (int)(counters.ThreadCount / Math.Max(counters.BlockCount, 1));
        long operations = counters.MmaOperationCount + (32 * counters.Instructions[(int)InstructionClass.Float]);
        return new KernelProfileRow
        {
            Operation = profiled.Operation,
            Shape = profiled.Shape,
            DType = profiled.Precisions,
            Kernel = kernel,
            Launches = counters.LaunchCount,
            Blocks = counters.BlockCount / counters.LaunchCount,
            Threads = threads,
            SharedBytes = counters.SharedByteCount,
            LiveRegisters = registers,
            Instructions = counters.InstructionCount,
            InstructionsByClass = Enum.GetValues<InstructionClass>().ToDictionary(c => c.ToString(), c => counters.Instructions[(int)c], StringComparer.Ordinal),
            DivergentBranches = counters.DivergentBranchCount,
            Barriers = counters.BarrierCount,
            Sectors = counters.GlobalSectorCount,
            MinSectors = counters.MinGlobalSectorCount,
            FootprintBytes = 32 * counters.FootprintSectorCount,
            Wavefronts = counters.SharedWavefrontCount,
            MinWavefronts = counters.MinSharedWavefrontCount,
            TensorOperations = counters.MmaOperationCount,
            Intensity = operations / (32.0 * Math.Max(counters.FootprintSectorCount, 1)),
            Bounds = [.. s_gpus.Select(gpu => Bound(gpu, counters, threads, profiled.DType == DType.BFloat16 || profiled.Precision == MatMulPrecision.BFloat16))],
        };
    }

    private static KernelBound Bound(GpuDataSheet gpu, KernelCounters counters, int threads, bool isBFloat16)
    {
        (string resource, double microseconds) = gpu.LowerBounds(counters, isBFloat16)[0];
        (int blocks, string limit) = gpu.Occupancy(threads, counters.SharedByteCount);
        return new KernelBound(gpu.Name, blocks, limit, microseconds / counters.LaunchCount, resource);
    }
}
