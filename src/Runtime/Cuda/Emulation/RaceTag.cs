using System.Numerics;
using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// Who touched a cell of memory last, in 64 bits: launch (7), atomic (1), block (20), barrier epoch (14), warp epoch (11), thread (11). A
/// barrier of the block starts a new barrier epoch, <c>__syncwarp</c> (and a fence) a new warp epoch. Threads from 1024 on stand for several
/// lanes of one warp: 1024 + 32 g + warp for the g-th group of lanes (all; the halves; the quarters; the eighths; the pairs); 2047 for several
/// warps, 2046 for an asynchronous copy in flight; block 0xFFFFF for several blocks.
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
    public const int BarrierEpochCount = 1 << (BlockShift - BarrierEpochShift);
    public const int WarpEpochCount = 1 << (BarrierEpochShift - WarpEpochShift);

    private const ulong BarrierEpochMask = 0x3FFFUL << BarrierEpochShift;
    private const ulong WarpEpochMask = 0x7FFUL << WarpEpochShift;

    public static ulong Launch(int launch, uint block) =>
        ((ulong)((launch % LaunchCount) + 1) << LaunchShift) | ((block & BlockMask) << BlockShift);

    public static ulong Epochs(int barrierEpoch, int warpEpoch) =>
        (((ulong)barrierEpoch << BarrierEpochShift) & BarrierEpochMask) | (((ulong)warpEpoch << WarpEpochShift) & WarpEpochMask);

    public static uint Block(ulong tag) => (uint)((tag >> BlockShift) & BlockMask);

    public static int Thread(ulong tag) => (int)(tag & ThreadMask);

    public static int BarrierEpoch(ulong tag) => (int)((tag & BarrierEpochMask) >> BarrierEpochShift);

    public static int WarpEpoch(ulong tag) => (int)((tag & WarpEpochMask) >> WarpEpochShift);

    /// <summary>How far an epoch, of which a tag has the low bits, lies behind another.</summary>
    public static int EpochsBehind(int epoch, int tagEpoch, int count) => (epoch - tagEpoch) & (count - 1);

    /// <summary>The warp of a tag of one lane or several.</summary>
    public static int Warp(ulong tag)
    {
        int thread = Thread(tag);
        return thread >= (int)SeveralLanes ? thread & 31 : thread >> 5;
    }

    /// <summary>The lanes of a tag of one or several of one warp.</summary>
    public static uint Lanes(ulong tag)
    {
        int node = Node(Thread(tag));
        int level = BitOperations.Log2((uint)node);
        int width = Emulation.Warp.LaneCount >> level;
        return (width == 32 ? uint.MaxValue : (1u << width) - 1) << ((node - (1 << level)) * width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsStale(ulong tag, ulong me) => tag == 0 || ((tag ^ me) >> LaunchShift) != 0;

    public static bool SameBlock(ulong tag, ulong me) => (((tag ^ me) >> BlockShift) & BlockMask) == 0;

    /// <summary>Whether an earlier access of the same block has no order with <paramref name="me"/>.</summary>
    /// <param name="tag">The earlier access.</param>
    /// <param name="me">The access of one lane.</param>
    /// <param name="order">The order of the warp's lanes, where they were synchronised in part.</param>
    public static bool IsUnordered(ulong tag, ulong me, LaneOrder? order)
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

        if (thread == SeveralWarps || Warp(tag) != Warp(me))
        {
            return true;
        }

        return order is null
            ? ((tag ^ me) & WarpEpochMask) == 0
            : !order.IsBehind((int)(me & 31), Lanes(tag), order.Epoch - EpochsBehind(order.Epoch, WarpEpoch(tag), WarpEpochCount));
    }

    /// <summary>The readers of a cell after one more has come.</summary>
    public static ulong AddReader(ulong readers, ulong me, LaneOrder? order)
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

        if (Warp(readers) != Warp(me))
        {
            return readers | SeveralWarps;
        }

        if (thread == mine || (order is null ? ((readers ^ me) & WarpEpochMask) != 0 : !IsUnordered(readers, me, order)))
        {
            return me;
        }

        // The smallest group of lanes that holds those that have read and this one.
        int group = Node((int)thread);
        int lane = Node((int)mine) >> (5 - BitOperations.Log2((uint)group));
        group >>= group == lane ? 0 : BitOperations.Log2((uint)(group ^ lane)) + 1;
        return (me & ~ThreadMask) | (SeveralLanes + ((ulong)(group - 1) << 5) + (mine >> 5));
    }

    // Groups of lanes are the nodes of a binary tree: 1 is the warp, 2 n and 2 n + 1 are the halves of n, 32 and on single lanes.
    private static int Node(int thread) => thread >= (int)SeveralLanes ? ((thread - (int)SeveralLanes) >> 5) + 1 : 32 + (thread & 31);
}
