using System.Globalization;
using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Asynchronous copies from global to shared memory (cp.async): moved at once or at the wait, by a seeded choice; touched before
/// the wait they are an error.</summary>
internal static unsafe class AsyncOps
{
    /// <summary>cp.async: A the destination, B the source, C the number of bytes to read (the rest is zero) or -1; Size the bytes a lane.</summary>
    public static void Copy(Warp warp, PtxOp op)
    {
        BlockRunner block = warp.Block;
        int size = op.Size;
        ulong* addresses = warp.Addresses;
        uint* destinations = (uint*)(warp.R + op.A);
        ulong* sources = (ulong*)(warp.R + op.B);
        uint* counts = op.C >= 0 ? (uint*)(warp.R + op.C) : null;
        PendingCopy copy = new()
        {
            Op = op,
            Lanes = warp.Exec,
            Destinations = new uint[Warp.LaneCount],
            Sources = new ulong[Warp.LaneCount],
            SourceByteCounts = new int[Warp.LaneCount],
            Groups = (int[])warp.CommittedGroups.Clone(),
            ByteCount = size,
        };
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            copy.Destinations[lane] = op.WideAddress ? (uint)((ulong*)destinations)[lane] + (uint)op.Immediate : destinations[lane] + (uint)op.Immediate;
            copy.Sources[lane] = sources[lane] + (ulong)(long)op.Vector[0];
            copy.SourceByteCounts[lane] = counts == null ? size : (int)Math.Min(counts[lane], (uint)size);
            addresses[lane] = copy.Destinations[lane];
        }

        MemoryOps.CheckShared(warp, op, warp.Exec, size, "asynchronous write");
        RaceCheck.CountWavefronts(block.Counters, addresses, warp.Exec, size);
        int shift = block.Kernel.SharedCellShift;
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            RaceCheck.MarkInFlight(warp, op, lane, block.SharedWriters, block.SharedReaders, copy.Destinations[lane] >> shift, Math.Max(size >> shift, 1));
        }

        CheckSources(warp, op, copy);
        if ((block.NextRandom() & 1) == 0)
        {
            Move(warp, copy);
        }

        warp.Pending.Add(copy);
    }

    /// <summary>cp.async.commit_group: the copies so far are a group.</summary>
    public static void Commit(Warp warp, PtxOp op)
    {
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            warp.CommittedGroups[BitOperations.TrailingZeroCount(m)]++;
        }
    }

    /// <summary>cp.async.wait_group n, and wait_all (n = -1, uncommitted copies included).</summary>
    public static void Wait(Warp warp, PtxOp op)
    {
        BlockRunner block = warp.Block;
        int shift = block.Kernel.SharedCellShift;
        for (int i = 0; i < warp.Pending.Count; i++)
        {
            PendingCopy copy = warp.Pending[i];
            uint finished = 0;
            for (uint m = copy.Lanes & warp.Exec; m != 0; m &= m - 1)
            {
                int lane = BitOperations.TrailingZeroCount(m);
                if (op.Immediate < 0 || copy.Groups[lane] < warp.CommittedGroups[lane] - op.Immediate)
                {
                    finished |= 1u << lane;
                }
            }

            if (finished == 0)
            {
                continue;
            }

            if (!copy.IsDone)
            {
                Move(warp, copy);
            }

            // From here on the bytes are the lane's own writes; other threads need a barrier.
            for (uint m = finished; m != 0; m &= m - 1)
            {
                int lane = BitOperations.TrailingZeroCount(m);
                long cell = copy.Destinations[lane] >> shift;
                for (long c = cell; c < cell + Math.Max(copy.ByteCount >> shift, 1); c++)
                {
                    block.SharedWriters[c] = warp.Tag + (uint)lane;
                }
            }

            copy.Lanes &= ~finished;
        }

        warp.Pending.RemoveAll(static c => c.Lanes == 0);
    }

    private static void CheckSources(Warp warp, PtxOp op, PendingCopy copy)
    {
        ulong* addresses = warp.Addresses;
        BlockRunner block = warp.Block;
        uint reading = 0;
        long bytes = 0;
        for (uint m = copy.Lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            addresses[lane] = copy.Sources[lane];
            if ((copy.Sources[lane] & (ulong)(copy.ByteCount - 1)) != 0)
            {
                MemoryOps.Misaligned(warp, op, copy.Lanes, copy.ByteCount, "asynchronous read");
            }

            reading |= copy.SourceByteCounts[lane] > 0 ? 1u << lane : 0;
            bytes += copy.SourceByteCounts[lane];
        }

        if (reading == 0)
        {
            return;
        }

        RaceCheck.CountSectors(block.Counters, addresses, reading, copy.ByteCount);
        block.Counters.GlobalReadByteCount += bytes;
        int shift = block.Kernel.GlobalCellShift;
        for (uint m = reading; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            int count = copy.SourceByteCounts[lane];
            Allocation allocation = Source(warp, op, lane, copy.Sources[lane], count);
            long offset = (long)(copy.Sources[lane] - allocation.Address);
            RaceCheck.Read(warp, op, lane, allocation.Writers, allocation.Readers, offset >> shift, Math.Max(count >> shift, 1), shared: false);
            if (block.Launch.CountsFootprint)
            {
                allocation.MarkSectorRead(warp.Tag, offset, count);
            }

            for (int i = 0; !allocation.IsAllInitialised && i < count; i++)
            {
                if (!allocation.IsInitialised(offset + i))
                {
                    throw block.Fault(FaultKind.Uninitialised, warp, op, lane, string.Create(
                        CultureInfo.InvariantCulture, $"copies {count} bytes at 0x{copy.Sources[lane]:X} that were never written"));
                }
            }
        }
    }

    private static Allocation Source(Warp warp, PtxOp op, int lane, ulong address, int count)
    {
        BlockRunner block = warp.Block;
        Allocation? last = block.LastAllocation;
        if (last is not null && address - last.Address <= (ulong)last.ByteCount && address - last.Address + (ulong)count <= (ulong)last.ByteCount)
        {
            return last;
        }

        Allocation found = block.Launch.Heap.Find(address, count)
            ?? throw block.Fault(FaultKind.OutOfBounds, warp, op, lane, string.Create(
                CultureInfo.InvariantCulture, $"asynchronous read of {count} bytes at 0x{address:X}: {block.Launch.Heap.Describe(address, count)}"));
        found.PrepareRaceShadow(block.Launch.Number, block.Kernel.GlobalCellShift);
        block.LastAllocation = found;
        return found;
    }

    private static void Move(Warp warp, PendingCopy copy)
    {
        BlockRunner block = warp.Block;
        for (uint m = copy.Lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            int count = copy.SourceByteCounts[lane];
            byte* destination = block.Shared + copy.Destinations[lane];
            if (count > 0)
            {
                Allocation source = Source(warp, copy.Op, lane, copy.Sources[lane], count);
                Buffer.MemoryCopy(source.Data + (copy.Sources[lane] - source.Address), destination, count, count);
            }

            new Span<byte>(destination + count, copy.ByteCount - count).Clear();
            new Span<byte>(block.SharedInitialised + copy.Destinations[lane], copy.ByteCount).Fill(1);
        }

        copy.IsDone = true;
    }
}
