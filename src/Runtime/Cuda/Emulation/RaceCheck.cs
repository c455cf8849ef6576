using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>The race check of global and shared memory: every access looks at who touched its cells before, and leaves its own mark.</summary>
internal static unsafe class RaceCheck
{
    private const ulong WhoMask = RaceTag.ThreadMask | (RaceTag.BlockMask << RaceTag.BlockShift);

    /// <summary>A plain read of cells.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(Warp warp, PtxOp op, int lane, ulong* writers, ulong* readers, long cell, long count, bool shared)
    {
        ulong me = warp.Tag + (uint)lane;
        for (long i = cell; i < cell + count; i++)
        {
            ulong writer = writers[i];
            if (!RaceTag.IsStale(writer, me) && ((writer ^ me) & WhoMask) != 0)
            {
                Conflict(warp, op, lane, writer, me, shared, "reads what", "has written");
            }

            ulong reader = readers[i];
            if (reader != me)
            {
                readers[i] = shared && !RaceTag.SameBlock(reader, me) ? me : RaceTag.AddReader(reader, me, warp.PartialOrder);
            }
        }
    }

    /// <summary>A plain write of cells. Two writers without an order are a race also where both write the same bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Warp warp, PtxOp op, int lane, ulong* writers, ulong* readers, long cell, long count, bool shared)
    {
        ulong me = warp.Tag + (uint)lane;
        for (long i = cell; i < cell + count; i++)
        {
            ulong writer = writers[i];
            if (!RaceTag.IsStale(writer, me) && ((writer ^ me) & WhoMask) != 0)
            {
                Conflict(warp, op, lane, writer, me, shared, "writes what", "has written");
            }

            ulong reader = readers[i];
            if (!RaceTag.IsStale(reader, me) && ((reader ^ me) & WhoMask) != 0)
            {
                Conflict(warp, op, lane, reader, me, shared, "writes what", "has read");
            }

            writers[i] = me;
        }
    }

    /// <summary>An atomic access of cells: only plain accesses are in its way.</summary>
    public static void Atomic(Warp warp, PtxOp op, int lane, ulong* writers, ulong* readers, long cell, long count, bool shared)
    {
        ulong me = warp.Tag + (uint)lane;
        for (long i = cell; i < cell + count; i++)
        {
            ulong writer = writers[i];
            if (!RaceTag.IsStale(writer, me) && ((writer ^ me) & WhoMask) != 0 && (writer & RaceTag.AtomicBit) == 0)
            {
                Conflict(warp, op, lane, writer, me, shared, "changes what", "has written");
            }

            ulong reader = readers[i];
            if (!RaceTag.IsStale(reader, me) && ((reader ^ me) & WhoMask) != 0)
            {
                Conflict(warp, op, lane, reader, me, shared, "changes what", "has read");
            }

            writers[i] = me | RaceTag.AtomicBit;
        }
    }

    /// <summary>Marks cells as the destination of an asynchronous copy that was issued and not waited for.</summary>
    public static void MarkInFlight(Warp warp, PtxOp op, int lane, ulong* writers, ulong* readers, long cell, long count)
    {
        Write(warp, op, lane, writers, readers, cell, count, shared: true);
        for (long i = cell; i < cell + count; i++)
        {
            writers[i] |= RaceTag.ThreadMask;
            writers[i] = (writers[i] & ~RaceTag.ThreadMask) | RaceTag.InFlight;
        }
    }

    private static void Conflict(Warp warp, PtxOp op, int lane, ulong tag, ulong me, bool shared, string does, string hasDone)
    {
        bool sameBlock = RaceTag.SameBlock(tag, me);
        if (sameBlock && (tag & RaceTag.ThreadMask) == RaceTag.InFlight)
        {
            throw warp.Block.Fault(FaultKind.PendingCopy, warp, op, lane, "touches data of an asynchronous copy (cp.async) that was not waited for");
        }

        if (sameBlock ? !RaceTag.IsUnordered(tag, me, warp.PartialOrder) : shared)
        {
            return;
        }

        uint block = RaceTag.Block(tag);
        if (!sameBlock && warp.Block.Acquired is { } acquired && acquired.TryGetValue(block, out FenceStamps? stamps) && stamps.Covers(tag))
        {
            return;
        }

        int thread = RaceTag.Thread(tag);
        string who = thread == (int)RaceTag.SeveralWarps ? "a thread of another warp"
            : thread >= (int)RaceTag.SeveralLanes ? string.Create(CultureInfo.InvariantCulture, $"a thread of warp {RaceTag.Warp(tag)}")
            : string.Create(CultureInfo.InvariantCulture, $"thread {thread}");
        string where = sameBlock ? "of its block" : string.Create(CultureInfo.InvariantCulture, $"of block {(block == RaceTag.BlockMask ? "(several)" : block)}");
        string order = sameBlock && thread < (int)RaceTag.SeveralWarps && RaceTag.Warp(tag) == warp.Index ? "no __syncwarp" : sameBlock ? "no barrier" : "no order of blocks";
        string space = shared ? "shared" : "global";
        throw warp.Block.Fault(FaultKind.Race, warp, op, lane, $"race in {space} memory: {does} {who} {where} {hasDone}, with {order} between");
    }

    /// <summary>Counts the passes through the banks that an access of shared memory takes, and the least it could take: up to 4 bytes a lane in
    /// one go, 8 in halves of a warp, 16 in quarters.</summary>
    public static void CountWavefronts(KernelCounters counters, ulong* addresses, uint lanes, int size)
    {
        int perPhase = size <= 4 ? 32 : size == 8 ? 16 : 8;
        for (int start = 0; start < Warp.LaneCount; start += perPhase)
        {
            uint phase = (uint)(((1UL << perPhase) - 1) << start) & lanes;
            if (phase != 0)
            {
                CountPhase(counters, addresses, phase, size);
            }
        }
    }

    public static void CountPhase(KernelCounters counters, ulong* addresses, uint lanes, int size)
    {
        // The distinct words, by bank: a bank serves one word a pass.
        byte* perBank = stackalloc byte[32];
        new Span<byte>(perBank, 32).Clear();
        uint* words = stackalloc uint[64];
        int distinct = 0;
        int most = 0;
        uint last = uint.MaxValue;
        bool ascending = true;
        int wordsPerLane = Math.Max(size / 4, 1);
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            ulong address = addresses[BitOperations.TrailingZeroCount(m)];
            for (int k = 0; k < wordsPerLane; k++)
            {
                uint word = (uint)(address >> 2) + (uint)k;
                if (word == last)
                {
                    continue;
                }

                // Words that ascend are new without a look at the others.
                if (distinct > 0 && word < last)
                {
                    ascending = false;
                }

                if (!ascending && new ReadOnlySpan<uint>(words, distinct).Contains(word))
                {
                    last = word;
                    continue;
                }

                words[distinct++] = word;
                last = word;
                most = Math.Max(most, ++perBank[word & 31]);
            }
        }

        counters.SharedWavefrontCount += most;
        counters.MinSharedWavefrontCount += (distinct + 31) / 32;
    }

    /// <summary>Counts the 32-byte sectors that a request of global memory touches, and the least that could hold its bytes.</summary>
    public static void CountSectors(KernelCounters counters, ulong* addresses, uint lanes, int size)
    {
        ulong* sorted = stackalloc ulong[32];
        int n = 0;
        bool ascending = true;
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            ulong address = addresses[BitOperations.TrailingZeroCount(m)];
            ascending &= n == 0 || address >= sorted[n - 1];
            sorted[n++] = address;
        }

        if (!ascending)
        {
            new Span<ulong>(sorted, n).Sort();
        }

        int sectors = 0;
        int distinct = 0;
        ulong lastSector = ulong.MaxValue;
        ulong lastAddress = ulong.MaxValue;
        for (int i = 0; i < n; i++)
        {
            distinct += sorted[i] != lastAddress ? 1 : 0;
            lastAddress = sorted[i];
            ulong sector = sorted[i] >> 5;
            sectors += sector != lastSector ? 1 : 0;
            lastSector = sector;
        }

        counters.GlobalRequestCount++;
        counters.GlobalSectorCount += sectors;
        counters.MinGlobalSectorCount += ((distinct * size) + 31) / 32;
    }
}
