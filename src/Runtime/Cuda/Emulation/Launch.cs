namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>One launch of a kernel: what all of its blocks share, and their execution on the host's threads.</summary>
internal sealed class Launch
{
    private readonly Dictionary<ulong, Dictionary<uint, FenceStamps>> _releases = [];

    public required PtxKernel Kernel { get; init; }

    public required Dim3 Grid { get; init; }

    public required Dim3 Block { get; init; }

    /// <summary>Static and dynamic together.</summary>
    public required int SharedByteCount { get; init; }

    /// <summary>The parameter buffer.</summary>
    public required byte[] Parameters { get; init; }

    public required DeviceHeap Heap { get; init; }

    /// <summary>Counts the launches of the device.</summary>
    public required int Number { get; init; }

    public required ulong Seed { get; init; }

    public required Interleaving Interleaving { get; init; }

    public required Arithmetic Arithmetic { get; init; }

    public required int WorkerCount { get; init; }

    public bool CountsFootprint { get; init; }

    public required long MaxInstructionsPerBlock { get; init; }

    public int ThreadsPerBlock => (int)(Block.X * Block.Y * Block.Z);

    /// <summary>Executes every block.</summary>
    /// <returns>What was counted.</returns>
    /// <exception cref="EmulatedFault">A check has failed; the one of the block that comes first in the order of execution.</exception>
    public KernelCounters Run()
    {
        uint[] order = BlockOrder();

        // Blocks that talk through atomic operations run one after the other, so that a run can be repeated.
        int workers = Kernel.HasAtomics || order.Length < 8 ? 1 : Math.Min(WorkerCount, order.Length);
        KernelCounters total = new();
        int next = -1;
        object gate = new();
        EmulatedFault? fault = null;
        int faultAt = int.MaxValue;
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        void Work()
        {
            try
            {
                RunBlocks();
            }
#pragma warning disable CA1031 // whatever is thrown is thrown again when no thread works on the device's memory any more
            catch (Exception e)
#pragma warning restore CA1031
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
                Volatile.Write(ref faultAt, -1);
            }
        }

        void RunBlocks()
        {
            using BlockRunner runner = new(this);
            while (true)
            {
                int at = Interlocked.Increment(ref next);
                if (at >= order.Length || at > Volatile.Read(ref faultAt))
                {
                    break;
                }

                try
                {
                    runner.RunBlock(order[at]);
                }
                catch (EmulatedFault e)
                {
                    lock (gate)
                    {
                        if (at < faultAt)
                        {
                            fault = e;
                            faultAt = at;
                        }
                    }

                    break;
                }
            }

            lock (gate)
            {
                total.Add(runner.Counters);
            }
        }

        if (workers <= 1)
        {
            Work();
        }
        else
        {
            Thread[] threads = new Thread[workers - 1];
            for (int i = 0; i < threads.Length; i++)
            {
                threads[i] = new Thread(Work);
                threads[i].Start();
            }

            Work();
            foreach (Thread thread in threads)
            {
                thread.Join();
            }
        }

        failure?.Throw();
        if (fault is not null)
        {
            throw fault;
        }

        foreach (Allocation allocation in Heap.Live)
        {
            allocation.Refresh();
            if (CountsFootprint)
            {
                (long read, long written) = allocation.SectorCounts(Number);
                total.FootprintSectorCount += read + written;
            }
        }

        total.LaunchCount = 1;
        total.SharedByteCount = SharedByteCount;
        total.ThreadCount = (long)order.Length * ThreadsPerBlock;
        return total;
    }

    /// <summary>An atomic operation of a warp on an address: its block sees what blocks before it have fenced, then announced there.</summary>
    public void Synchronise(Warp warp, ulong address)
    {
        BlockRunner block = warp.Block;
        lock (_releases)
        {
            if (!_releases.TryGetValue(address, out Dictionary<uint, FenceStamps>? released))
            {
                _releases[address] = released = [];
            }

            foreach ((uint other, FenceStamps stamps) in released)
            {
                StampsOf(block.Acquired ??= [], other).Add(stamps);
            }

            if (block.Fenced is not null)
            {
                StampsOf(released, block.BlockIndex).Announce(block.Fenced, warp.Index, block.BarrierEpoch);
                foreach ((uint other, FenceStamps stamps) in block.Acquired ?? [])
                {
                    StampsOf(released, other).Add(stamps);
                }
            }
        }
    }

    private FenceStamps StampsOf(Dictionary<uint, FenceStamps> table, uint block)
    {
        if (!table.TryGetValue(block, out FenceStamps? stamps))
        {
            table[block] = stamps = new FenceStamps((ThreadsPerBlock + Warp.LaneCount - 1) / Warp.LaneCount);
        }

        return stamps;
    }

    private uint[] BlockOrder()
    {
        uint count = Grid.X * Grid.Y * Grid.Z;
        uint[] order = new uint[count];
        for (uint i = 0; i < count; i++)
        {
            order[i] = Interleaving == Interleaving.Reverse ? count - 1 - i : i;
        }

        if (Interleaving == Interleaving.Random)
        {
            new CounterRandom(Seed, 0x0D3, (uint)Number).Shuffle<uint>(order);
        }

        return order;
    }
}
