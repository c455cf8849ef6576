using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// Who touched a cell of memory last, in 64 bits: launch (7), atomic (1), block (20), barrier epoch (14), warp epoch (11), thread (11). A
/// barrier of the block starts a new barrier epoch, <c>__syncwarp</c> a new warp epoch. Threads from 1024 on stand for several lanes of
/// one warp, 2047 for several warps, 2046 for an asynchronous copy in flight; block 0xFFFFF for several blocks.
/// </summary>
internal static class RaceTag
{
    /// <summary>Launch numbers run from 1 to this; 0 marks a cell that nobody touched.</summary>
    public const int LaunchCount = 127;
    public const ulong ThreadMask = 0x7FF;
    public const ulong SeveralLanes = 1024;
    public const ulong SeveralWarps = 2047;
    public const ulong InFlight = 2046;
    public const int WarpEpochShift = 11;
    public const int BarrierEpochShift = 22;
    public const int BlockShift = 36;
    public const ulong BlockMask = 0xFFFFF;
    public const int LaunchShift = 57;
    public const ulong AtomicBit = 1UL << 56;

    private const ulong BarrierEpochMask = 0x3FFFUL << BarrierEpochShift;
    private const ulong WarpEpochMask = 0x7FFUL << WarpEpochShift;

    public static ulong Launch(int launch, uint block) =>
        ((ulong)((launch % LaunchCount) + 1) << LaunchShift) | ((block & BlockMask) << BlockShift);

    public static ulong Epochs(int barrierEpoch, int warpEpoch) =>
        (((ulong)barrierEpoch << BarrierEpochShift) & BarrierEpochMask) | (((ulong)warpEpoch << WarpEpochShift) & WarpEpochMask);

    public static uint Block(ulong tag) => (uint)((tag >> BlockShift) & BlockMask);

    public static int Thread(ulong tag) => (int)(tag & ThreadMask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsStale(ulong tag, ulong me) => tag == 0 || ((tag ^ me) >> LaunchShift) != 0;

    public static bool SameBlock(ulong tag, ulong me) => (((tag ^ me) >> BlockShift) & BlockMask) == 0;

    /// <summary>Whether an earlier access of the same block has no order with <paramref name="me"/>.</summary>
    public static bool IsUnordered(ulong tag, ulong me)
    {
        ulong thread = tag & ThreadMask;
        if (thread == InFlight)
        {
            return true;
        }

        if (((tag ^ me) & BarrierEpochMask) != 0 || thread == (me & ThreadMask))
        {
            return false;
        }

        if (thread == SeveralWarps)
        {
            return true;
        }

        ulong warp = thread >= SeveralLanes ? thread - SeveralLanes : thread >> 5;
        return warp != (me & ThreadMask) >> 5 || ((tag ^ me) & WarpEpochMask) == 0;
    }

    /// <summary>The readers of a cell after one more has come.</summary>
    public static ulong AddReader(ulong readers, ulong me)
    {
        if (IsStale(readers, me))
        {
            return me;
        }

        if (!SameBlock(readers, me))
        {
            return readers | (BlockMask << BlockShift);
        }

        if (((readers ^ me) & BarrierEpochMask) != 0)
        {
            return me;
        }

        ulong thread = readers & ThreadMask;
        ulong mine = me & ThreadMask;
        if (thread == SeveralWarps)
        {
            return readers;
        }

        ulong warp = thread >= SeveralLanes ? thread - SeveralLanes : thread >> 5;
        if (warp != mine >> 5)
        {
            return readers | SeveralWarps;
        }

        if (((readers ^ me) & WarpEpochMask) != 0 || thread == mine)
        {
            return me;
        }

        return (me & ~ThreadMask) | (SeveralLanes + warp);
    }
}
