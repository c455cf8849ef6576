using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>One access: its lanes one by one, and the marks that it leaves.</content>
internal static unsafe partial class MemoryOps
{
    private static void AccessGeneric(Warp warp, PtxOp op, bool isWrite)
    {
        ComputeAddresses(warp, op);
        uint lanes = warp.Exec;
        uint shared = 0;
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            if (warp.Addresses[lane] - DeviceHeap.SharedWindow < DeviceHeap.SharedWindowSize)
            {
                shared |= 1u << lane;
                warp.Addresses[lane] -= DeviceHeap.SharedWindow;
            }
        }

        if (shared != 0)
        {
            warp.Exec = shared;
            AccessShared(warp, op, isWrite);
        }

        if ((lanes & ~shared) != 0)
        {
            warp.Exec = lanes & ~shared;
            AccessGlobal(warp, op, isWrite);
        }

        warp.Exec = lanes;
    }

    private static void AccessGlobal(Warp warp, PtxOp op, bool isWrite)
    {
        int size = op.Size * op.Count;
        int shift = warp.Block.Kernel.GlobalCellShift;
        long cells = Math.Max(size >> shift, 1);
        KernelCounters counters = warp.Block.Counters;
        RaceCheck.CountSectors(counters, warp.Addresses, warp.Exec, size);
        long bytes = (long)BitOperations.PopCount(warp.Exec) * size;
        if (isWrite)
        {
            counters.GlobalWriteByteCount += bytes;
        }
        else
        {
            counters.GlobalReadByteCount += bytes;
        }

        for (uint left = warp.Exec; left != 0;)
        {
            Allocation allocation = Resolve(warp, op, left, size, isWrite ? "write" : "read", out uint hit);
            for (uint m = hit; m != 0; m &= m - 1)
            {
                int lane = BitOperations.TrailingZeroCount(m);
                long offset = (long)(warp.Addresses[lane] - allocation.Address);
                byte* p = allocation.Data + offset;
                if (isWrite)
                {
                    RaceCheck.Write(warp, op, lane, allocation.Writers, allocation.Readers, offset >> shift, cells, shared: false);
                    if (!allocation.IsAllInitialised)
                    {
                        MarkWritten(allocation.Initialised, offset, size);
                    }

                    Store(warp, op, lane, p);
                }
                else
                {
                    RaceCheck.Read(warp, op, lane, allocation.Writers, allocation.Readers, offset >> shift, cells, shared: false);
                    if (!allocation.IsAllInitialised && !IsWritten(allocation.Initialised, offset, size))
                    {
                        throw warp.Block.Fault(FaultKind.Uninitialised, warp, op, lane, string.Create(
                            CultureInfo.InvariantCulture,
                            $"reads {size} bytes at 0x{warp.Addresses[lane]:X} that were never written ({offset} bytes into an allocation of {allocation.ByteCount})"));
                    }

                    if (warp.Block.Launch.CountsFootprint)
                    {
                        allocation.MarkSectorRead(warp.Tag, offset, size);
                    }

                    Load(warp, op, lane, p);
                }
            }

            left &= ~hit;
        }
    }

    private static void AccessShared(Warp warp, PtxOp op, bool isWrite)
    {
        int size = op.Size * op.Count;
        BlockRunner block = warp.Block;
        CheckShared(warp, op, warp.Exec, size, isWrite ? "write" : "read");
        RaceCheck.CountWavefronts(block.Counters, warp.Addresses, warp.Exec, size);
        int shift = block.Kernel.SharedCellShift;
        long cells = Math.Max(size >> shift, 1);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong address = warp.Addresses[lane];
            byte* p = block.Shared + address;
            if (isWrite)
            {
                RaceCheck.Write(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), cells, shared: true);
                new Span<byte>(block.SharedInitialised + address, size).Fill(1);
                Store(warp, op, lane, p);
            }
            else
            {
                ReadShared(warp, op, lane, address, size);
                Load(warp, op, lane, p);
            }
        }
    }

    /// <summary>Whether the bits of a range are set, a bit a byte.</summary>
    public static bool IsWritten(byte* bits, long offset, int size)
    {
        // Aligned ranges of up to 8 bytes lie in one byte of bits, 16 bytes in two.
        if (size == 16)
        {
            return *(ushort*)(bits + (offset >> 3)) == ushort.MaxValue;
        }

        int mask = ((1 << size) - 1) << (int)(offset & 7);
        return (bits[offset >> 3] & mask) == mask;
    }

    public static void MarkWritten(byte* bits, long offset, int size)
    {
        // Other blocks set bits of the same word at the same time.
        ref uint word = ref *(uint*)(bits + (offset >> 5 << 2));
        uint mask = (uint)(((1UL << size) - 1) << (int)(offset & 31));
        if ((Volatile.Read(ref word) & mask) != mask)
        {
            Interlocked.Or(ref word, mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(Warp warp, PtxOp op, int lane, byte* p)
    {
        for (int k = 0; k < op.Count; k++)
        {
            byte* r = warp.R + op.Vector[k];
            switch (op.Size)
            {
                case 4:
                    ((uint*)r)[lane] = ((uint*)p)[k];
                    break;
                case 8:
                    ((ulong*)r)[lane] = ((ulong*)p)[k];
                    break;
                case 2:
                    ((uint*)r)[lane] = op.PNegated ? Signed(((short*)p)[k], op) : ((ushort*)p)[k];
                    break;
                default:
                    ((uint*)r)[lane] = op.PNegated ? Signed(((sbyte*)p)[k], op) : p[k];
                    break;
            }
        }
    }

    // 16-bit registers keep their upper half zero.
    private static uint Signed(int value, PtxOp op) => op.P == 16 ? (ushort)value : (uint)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Warp warp, PtxOp op, int lane, byte* p)
    {
        for (int k = 0; k < op.Count; k++)
        {
            byte* r = warp.R + op.Vector[k];
            switch (op.Size)
            {
                case 4:
                    ((uint*)p)[k] = ((uint*)r)[lane];
                    break;
                case 8:
                    ((ulong*)p)[k] = ((ulong*)r)[lane];
                    break;
                case 2:
                    ((ushort*)p)[k] = (ushort)((uint*)r)[lane];
                    break;
                default:
                    p[k] = (byte)((uint*)r)[lane];
                    break;
            }
        }
    }
}
