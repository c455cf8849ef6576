using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Executes the blocks of a launch one after the other, on one thread of the host.</summary>
internal sealed unsafe class BlockRunner : IDisposable
{
    private readonly Launch _launch;
    private readonly PtxKernel _kernel;
    private readonly Warp[] _warps;
    private readonly int _threadCount;
    private CounterRandom _random;
    private byte* _memory;
    private long _instructionCount;

    public BlockRunner(Launch launch)
    {
        _launch = launch;
        _kernel = launch.Kernel;
        _threadCount = launch.ThreadsPerBlock;
        int warps = (_threadCount + Warp.LaneCount - 1) / Warp.LaneCount;
        SharedByteCount = launch.SharedByteCount;
        int cells = (SharedByteCount >> _kernel.SharedCellShift) + 16;
        nuint padded = (nuint)((SharedByteCount + 127) / 64 * 64);
        nuint bytes = (padded * 2) + ((nuint)cells * 2 * sizeof(ulong));
        _memory = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_memory, bytes);
        Shared = _memory;
        SharedInitialised = Shared + padded;
        SharedWriters = (ulong*)(SharedInitialised + padded);
        SharedReaders = SharedWriters + cells;
        _warps = new Warp[warps];
        for (int i = 0; i < warps; i++)
        {
            _warps[i] = new Warp(this, i, _kernel.RegisterByteCount, _kernel.PredicateCount);
            SpreadConstants(_warps[i]);
        }
    }

    public PtxKernel Kernel => _kernel;

    public Launch Launch => _launch;

    /// <summary>The block's shared memory, a byte a byte that says whether it was written, and the race check's cells.</summary>
    public byte* Shared { get; }

    public byte* SharedInitialised { get; }

    public ulong* SharedWriters { get; }

    public ulong* SharedReaders { get; }

    public int SharedByteCount { get; }

    public KernelCounters Counters { get; } = new();

    public uint BlockIndex { get; private set; }

    public ulong BlockTag { get; private set; }

    public int BarrierEpoch { get; private set; }

    /// <summary>What the block's warps have fenced; null for nothing.</summary>
    public FenceStamps? Fenced { get; private set; }

    /// <summary>Blocks of which this block has seen through an atomic operation what they had fenced; null for none.</summary>
    public Dictionary<uint, FenceStamps>? Acquired { get; set; }

    /// <summary>The allocation that the last access of global memory met.</summary>
    public Allocation? LastAllocation { get; set; }

    public uint NextRandom() => _random.NextUInt32();

    /// <summary>Executes one block.</summary>
    /// <exception cref="EmulatedFault">A check has failed.</exception>
    public void RunBlock(uint block)
    {
        BlockIndex = block;
        BlockTag = RaceTag.Launch(_launch.Number, block);
        BarrierEpoch = 0;
        Fenced = null;
        Acquired = null;
        _random = new CounterRandom(_launch.Seed, 0xB10C, block, (uint)_launch.Number);
        new Span<byte>(SharedInitialised, SharedByteCount).Clear();
        new Span<byte>(Shared, SharedByteCount).Fill(0xA5);
        SetBlockRegisters(block);
        SetUnwritten(block);
        int end = _kernel.Ops.Length;
        for (int i = 0; i < _warps.Length; i++)
        {
            int lanes = Math.Min(Warp.LaneCount, _threadCount - (i * Warp.LaneCount));
            _warps[i].Start(lanes == Warp.LaneCount ? Warp.AllLanes : (1u << lanes) - 1, end);
        }

        _instructionCount = 0;
        while (true)
        {
            int running = 0;
            for (int i = 0; i < _warps.Length; i++)
            {
                running += _warps[i].Alive != 0 && !_warps[i].IsWaiting ? 1 : 0;
            }

            if (running == 0)
            {
                if (Array.TrueForAll(_warps, w => w.Alive == 0))
                {
                    break;
                }

                ReleaseBarrier();
                continue;
            }

            Warp warp = Pick(running);
            int quantum = _launch.Interleaving == Interleaving.Random ? 1 + (int)(NextRandom() & 63) : 4096;
            RunWarp(warp, quantum);
        }

        Counters.BlockCount++;
    }

    public EmulatedFault Fault(FaultKind kind, Warp warp, PtxOp op, int lane, string what)
    {
        uint block = BlockIndex;
        Dim3 g = _launch.Grid;
        int thread = (warp.Index * Warp.LaneCount) + lane;
        Dim3 b = _launch.Block;
        return new EmulatedFault(kind, string.Create(
            CultureInfo.InvariantCulture,
            $"{_kernel.Name}, {_kernel.Place(op)}, block ({block % g.X}, {block / g.X % g.Y}, {block / g.X / g.Y}), thread ({thread % b.X}, {thread / b.X % b.Y}, {thread / b.X / b.Y}): {what}"));
    }

    public void Dispose()
    {
        foreach (Warp warp in _warps)
        {
            warp.Dispose();
        }

        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }

    /// <summary>A barrier that waited for all is passed: what came before it is ordered with what comes after.</summary>
    public void StartBarrierEpoch()
    {
        BarrierEpoch++;
        foreach (Warp warp in _warps)
        {
            warp.StartBarrierEpoch();
        }
    }

    /// <summary>A fence of a warp.</summary>
    public void Fence(Warp warp) => (Fenced ??= new FenceStamps(_warps.Length)).Fence(warp.Index, BarrierEpoch, warp.WarpEpoch);

    private Warp Pick(int running)
    {
        int choice = _launch.Interleaving switch
        {
            Interleaving.Forward => 0,
            Interleaving.Reverse => running - 1,
            _ => (int)(NextRandom() % (uint)running),
        };

        // A warp that spins on what another has to do must let it run: after its share the order starts behind it.
        for (int i = 0; ; i++)
        {
            Warp warp = _warps[(i + _rotation) % _warps.Length];
            if (warp.Alive != 0 && !warp.IsWaiting && choice-- == 0)
            {
                return warp;
            }
        }
    }

    private int _rotation;

    private void RunWarp(Warp warp, int quantum)
    {
        PtxOp[] ops = _kernel.Ops;
        long[] counts = Counters.Instructions;
        _instructionCount += quantum;
        if (_instructionCount > _launch.MaxInstructionsPerBlock)
        {
            throw Fault(FaultKind.Timeout, warp, ops[warp.Pc], 0, "the block does not end");
        }

        while (quantum-- > 0)
        {
            int pc = warp.Pc;
            PtxOp op = ops[pc];
            uint exec = warp.Active;
            if (op.Guard >= 0)
            {
                uint p = warp.P[op.Guard];
                exec &= op.GuardNegated ? ~p : p;
            }

            counts[(int)op.Class]++;
            switch (op.Kind)
            {
                case OpKind.Plain:
                    if (exec != 0)
                    {
                        warp.Exec = exec;
                        op.Run(warp, op);
                    }

                    warp.Continue(pc + 1);
                    break;
                case OpKind.Branch:
                    if (exec == warp.Active)
                    {
                        warp.Continue(op.Target);
                    }
                    else if (exec == 0)
                    {
                        warp.Continue(pc + 1);
                    }
                    else
                    {
                        Counters.DivergentBranchCount++;
                        bool takenFirst = _launch.Interleaving switch
                        {
                            Interleaving.Forward => true,
                            Interleaving.Reverse => false,
                            _ => (NextRandom() & 1) == 0,
                        };
                        warp.Part(exec, op.Target, pc + 1, op.Reconverge, takenFirst);
                    }

                    break;
                case OpKind.Exit:
                    if (exec == 0)
                    {
                        warp.Continue(pc + 1);
                    }
                    else if (!warp.End(exec, pc + 1))
                    {
                        return;
                    }

                    break;
                case OpKind.Barrier:
                    if (exec == 0)
                    {
                        warp.Continue(pc + 1);
                        break;
                    }

                    if (exec != warp.Alive)
                    {
                        throw Fault(FaultKind.Synchronisation, warp, op, BitOperations.TrailingZeroCount(warp.Alive & ~exec), "the thread does not reach the barrier that others of its warp wait at (divergent code)");
                    }

                    warp.Exec = exec;
                    warp.IsWaiting = true;
                    return;
            }
        }

        // Where the last is taken first, the order ends before this one.
        _rotation = _launch.Interleaving switch
        {
            Interleaving.Forward => (warp.Index + 1) % _warps.Length,
            Interleaving.Reverse => warp.Index,
            _ => 0,
        };
    }

    private void ReleaseBarrier()
    {
        Warp first = Array.Find(_warps, w => w.Alive != 0)!;
        PtxOp barrier = _kernel.Ops[first.Pc];
        for (int i = 0; i < _warps.Length; i++)
        {
            Warp warp = _warps[i];
            uint born = i == _warps.Length - 1 && _threadCount % Warp.LaneCount != 0 ? (1u << (_threadCount % Warp.LaneCount)) - 1 : Warp.AllLanes;
            if (warp.Alive != born)
            {
                throw Fault(FaultKind.Synchronisation, warp, barrier, BitOperations.TrailingZeroCount(born & ~warp.Alive), "the thread has ended while others of its block wait at the barrier");
            }

            if (_kernel.Ops[warp.Pc] != barrier)
            {
                throw Fault(FaultKind.Synchronisation, warp, _kernel.Ops[warp.Pc], 0, $"the thread waits here while others of its block wait at {_kernel.Place(barrier)}");
            }
        }

        Counters.BarrierCount++;
        StartBarrierEpoch();
        _rotation = 0;
        if (barrier.D >= 0)
        {
            ReducePredicates(barrier);
        }

        foreach (Warp warp in _warps)
        {
            warp.IsWaiting = false;
            warp.Continue(warp.Pc + 1);
        }
    }

    // bar.red: the number of threads whose predicate holds, or whether any or all do.
    private void ReducePredicates(PtxOp op)
    {
        int count = 0;
        foreach (Warp warp in _warps)
        {
            uint p = warp.P[op.P];
            count += BitOperations.PopCount((op.PNegated ? ~p : p) & warp.Alive);
        }

        foreach (Warp warp in _warps)
        {
            if (op.Immediate == 0)
            {
                new Span<int>(warp.R + op.D, Warp.LaneCount).Fill(count);
            }
            else
            {
                bool holds = op.Immediate == 1 ? count > 0 : count == _threadCount;
                warp.SetPredicate(op.D, holds ? uint.MaxValue : 0);
            }
        }
    }

    private void SpreadConstants(Warp warp)
    {
        foreach ((int offset, long value, int size) in _kernel.Constants)
        {
            if (size == 8)
            {
                new Span<long>(warp.R + offset, Warp.LaneCount).Fill(value);
            }
            else
            {
                new Span<int>(warp.R + offset, Warp.LaneCount).Fill((int)value);
            }
        }

        if (_kernel.TruePredicate >= 0)
        {
            warp.P[_kernel.TruePredicate] = uint.MaxValue;
        }

        Dim3 block = _launch.Block;
        foreach ((int offset, SpecialRegister register) in _kernel.Specials)
        {
            uint* r = (uint*)(warp.R + offset);
            for (int lane = 0; lane < Warp.LaneCount; lane++)
            {
                uint thread = (uint)((warp.Index * Warp.LaneCount) + lane);
                r[lane] = register switch
                {
                    SpecialRegister.TidX => thread % block.X,
                    SpecialRegister.TidY => thread / block.X % block.Y,
                    SpecialRegister.TidZ => thread / block.X / block.Y,
                    SpecialRegister.NtidX => block.X,
                    SpecialRegister.NtidY => block.Y,
                    SpecialRegister.NtidZ => block.Z,
                    SpecialRegister.NctaidX => _launch.Grid.X,
                    SpecialRegister.NctaidY => _launch.Grid.Y,
                    SpecialRegister.NctaidZ => _launch.Grid.Z,
                    SpecialRegister.LaneId => (uint)lane,
                    SpecialRegister.WarpId => (uint)warp.Index,
                    SpecialRegister.LaneMaskEq => 1u << lane,
                    SpecialRegister.LaneMaskLt => (1u << lane) - 1,
                    _ => 0,
                };
            }
        }
    }

    private void SetBlockRegisters(uint block)
    {
        Dim3 grid = _launch.Grid;
        foreach ((int offset, SpecialRegister register) in _kernel.Specials)
        {
            uint value = register switch
            {
                SpecialRegister.CtaidX => block % grid.X,
                SpecialRegister.CtaidY => block / grid.X % grid.Y,
                SpecialRegister.CtaidZ => block / grid.X / grid.Y,
                _ => uint.MaxValue,
            };
            if (register is SpecialRegister.CtaidX or SpecialRegister.CtaidY or SpecialRegister.CtaidZ)
            {
                foreach (Warp warp in _warps)
                {
                    new Span<uint>(warp.R + offset, Warp.LaneCount).Fill(value);
                }
            }
        }
    }

    // Registers hold what their last user left: no number, large ones of both signs, or one like any other; as integers none is small.
    private void SetUnwritten(uint block)
    {
        ReadOnlySpan<uint> leftovers = [uint.MaxValue, 0x7149F2CA, 0xF149F2CA, 0x3FC00000];
        uint turn = block + (uint)_launch.Seed;
        foreach (Warp warp in _warps)
        {
            foreach ((int offset, int size) in _kernel.Unwritten)
            {
                uint value = leftovers[(int)(turn++ & 3)];
                new Span<uint>(warp.R + offset, Warp.LaneCount * (size == 8 ? 2 : 1)).Fill(size < 4 ? value >> (32 - (8 * size)) : value);
            }

            foreach (int predicate in _kernel.UnwrittenPredicates)
            {
                warp.P[predicate] = leftovers[(int)(turn++ & 3)];
            }
        }
    }
}
