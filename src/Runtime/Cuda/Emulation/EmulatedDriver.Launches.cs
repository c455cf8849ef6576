using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>The launch of kernels and what they count.</content>
public sealed unsafe partial class EmulatedDriver
{
    // Threads of a block along z on every device; along x and y as many as a block has.
    private const uint MaxBlockDepth = 64;

    // Blocks of a launch that the order of execution is kept for.
    private const uint MaxBlockCount = 1 << 26;

    /// <inheritdoc/>
    public CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        lock (_lock)
        {
            if (Guard() is { } sticky)
            {
                return sticky;
            }

            if (!TryGet(function, out EmulatedFunction? f) || parameters == null)
            {
                return CuResult.InvalidHandle;
            }

            PtxKernel kernel = f.Kernel;
            uint maxRows = (uint)Options.MaxGridRows;
            if (gridX == 0 || gridY == 0 || gridZ == 0 || blockX == 0 || blockY == 0 || blockZ == 0 || gridX > int.MaxValue || gridY > maxRows || gridZ > maxRows)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: grid ({gridX}, {gridY}, {gridZ}) of blocks ({blockX}, {blockY}, {blockZ})"));
            }

            if (kernel.RequiredBlock is { } required && required != new Dim3(blockX, blockY, blockZ))
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: blocks ({blockX}, {blockY}, {blockZ}), compiled for ({required.X}, {required.Y}, {required.Z}) alone (.reqntid)"));
            }

            // In 128 bits, as a count of blocks has 63 and three lengths of a block 96.
            UInt128 threads = (UInt128)blockX * blockY * blockZ;
            int maxThreads = kernel.MaxThreads == 0 ? 1024 : kernel.MaxThreads;
            if (threads > (UInt128)maxThreads)
            {
                return Fail(CuResult.LaunchOutOfResources, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: {threads} threads a block, at most {maxThreads} are possible"));
            }

            if (blockZ > MaxBlockDepth)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: blocks ({blockX}, {blockY}, {blockZ}), of which z is at most {MaxBlockDepth}"));
            }

            UInt128 blocks = (UInt128)gridX * gridY * gridZ;
            if (blocks > MaxBlockCount)
            {
                return Fail(CuResult.NotSupported, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: {blocks} blocks; a GPU takes them, the emulated device at most {MaxBlockCount} a launch"));
            }

            if (sharedByteCount > f.MaxDynamicShared || sharedByteCount + kernel.StaticSharedByteCount > Personality.SharedPerBlock)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: {sharedByteCount} bytes of dynamic shared memory, {f.MaxDynamicShared} are allowed (cuFuncSetAttribute)"));
            }

            byte[] buffer = new byte[kernel.ParameterByteCount + 16];
            for (int i = 0; i < kernel.Parameters.Length; i++)
            {
                PtxParameter p = kernel.Parameters[i];
                new ReadOnlySpan<byte>(parameters[i], p.ByteCount).CopyTo(buffer.AsSpan(p.Offset));
            }

            Dim3 grid = new(gridX, gridY, gridZ);
            Dim3 block = new(blockX, blockY, blockZ);
            return Enqueue(stream, () => Execute(kernel, grid, block, (int)sharedByteCount, buffer));
        }
    }

    internal void CountMma(string name, long operations)
    {
        if (!_counters.TryGetValue(name, out KernelCounters? total))
        {
            _counters[name] = total = new KernelCounters();
        }

        total.LaunchCount++;
        total.MmaOperationCount += operations;
    }

    private void Execute(PtxKernel kernel, Dim3 grid, Dim3 block, int sharedByteCount, byte[] parameters)
    {
        _launches++;
        Launch launch = new()
        {
            Kernel = kernel,
            Grid = grid,
            Block = block,
            SharedByteCount = kernel.StaticSharedByteCount + sharedByteCount,
            Parameters = parameters,
            Heap = _heap,
            Number = _launchNumber++,
            Seed = Options.Seed,
            MaxInstructionsPerBlock = Options.MaxInstructionsPerBlock,
            Interleaving = Options.Interleaving,
            Arithmetic = Options.Arithmetic,
            CountsFootprint = Options.CountsFootprint,
            WorkerCount = Options.WorkerCount == 0 ? Environment.ProcessorCount : Options.WorkerCount,
        };
        KernelCounters counters = launch.Run();
        _clockMs += counters.InstructionCount / 1e6;
        if (!_counters.TryGetValue(kernel.Name, out KernelCounters? total))
        {
            _counters[kernel.Name] = total = new KernelCounters();
        }

        total.Add(counters);
    }
}
