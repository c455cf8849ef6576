using System.Globalization;
using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// mbarrier objects in shared memory. The object's 64 bits are opaque to a program; here they hold the phase (32), the arrivals that are
/// awaited in each phase (16) and those still missing (16).
/// </summary>
internal static unsafe class BarrierObjectOps
{
    private const int Size = 8;

    /// <summary>mbarrier.init: A the address, B the number of arrivals.</summary>
    public static void Init(Warp warp, PtxOp op)
    {
        BlockRunner block = Prepare(warp, op);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong address = warp.Addresses[lane];
            uint count = ((uint*)(warp.R + op.B))[lane];
            int shift = block.Kernel.SharedCellShift;
            RaceCheck.Write(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), Size >> shift, shared: true);
            new Span<byte>(block.SharedInitialised + address, Size).Fill(1);
            *(ulong*)(block.Shared + address) = ((ulong)(ushort)count << 16) | (ushort)count;
        }
    }

    /// <summary>mbarrier.arrive: A the address, D the state before.</summary>
    public static void Arrive(Warp warp, PtxOp op)
    {
        BlockRunner block = Prepare(warp, op);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong* p = Touch(warp, op, lane);
            ulong state = *p;
            if (op.D >= 0)
            {
                ((ulong*)(warp.R + op.D))[lane] = state;
            }

            ulong missing = (state & 0xFFFF) - 1;
            if (missing == 0)
            {
                // The phase is complete: what was done before the arrivals is ordered with what comes after the waits.
                ulong expected = (state >> 16) & 0xFFFF;
                *p = (((state >> 32) + 1) << 32) | (expected << 16) | expected;
                block.StartBarrierEpoch();
            }
            else
            {
                *p = (state & ~0xFFFFUL) | missing;
            }
        }
    }

    /// <summary>mbarrier.test_wait: D a predicate, A the address, B the state that an arrival gave.</summary>
    public static void TestWait(Warp warp, PtxOp op)
    {
        Prepare(warp, op);
        uint complete = 0;
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong now = *Touch(warp, op, lane);
            complete |= (now >> 32) != (((ulong*)(warp.R + op.B))[lane] >> 32) ? 1u << lane : 0;
        }

        warp.SetPredicate(op.D, complete);
    }

    /// <summary>mbarrier.inval: the memory may be used for something else.</summary>
    public static void Invalidate(Warp warp, PtxOp op)
    {
        BlockRunner block = Prepare(warp, op);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            Touch(warp, op, lane);
            new Span<byte>(block.SharedInitialised + warp.Addresses[lane], Size).Clear();
        }
    }

    private static BlockRunner Prepare(Warp warp, PtxOp op)
    {
        MemoryOps.ComputeAddresses(warp, op);
        MemoryOps.CheckShared(warp, op, warp.Exec, Size, "mbarrier object");
        return warp.Block;
    }

    private static ulong* Touch(Warp warp, PtxOp op, int lane)
    {
        BlockRunner block = warp.Block;
        ulong address = warp.Addresses[lane];
        if (block.SharedInitialised[address] == 0)
        {
            throw block.Fault(FaultKind.Uninitialised, warp, op, lane, string.Create(
                CultureInfo.InvariantCulture, $"the mbarrier object at 0x{address:X} of shared memory was not initialised"));
        }

        int shift = block.Kernel.SharedCellShift;
        RaceCheck.Atomic(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), Size >> shift, shared: true);
        return (ulong*)(block.Shared + address);
    }
}
