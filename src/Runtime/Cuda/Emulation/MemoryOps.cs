using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Loads and stores, each through the checks of bounds, alignment, initialisation and races.</summary>
internal static unsafe class MemoryOps
{
    /// <summary>ld.param: the same value for every lane.</summary>
    public static void LoadParameter(Warp warp, PtxOp op)
    {
        fixed (byte* parameters = warp.Block.Launch.Parameters)
        {
            for (int k = 0; k < op.Count; k++)
            {
                byte* source = parameters + op.Immediate + (k * op.Size);
                int d = op.Vector[k];
                if (op.Size == 8)
                {
                    ulong value = *(ulong*)source;
                    ulong* r = (ulong*)(warp.R + d);
                    for (uint m = warp.Exec; m != 0; m &= m - 1)
                    {
                        r[BitOperations.TrailingZeroCount(m)] = value;
                    }
                }
                else
                {
                    uint value = op.Size == 4 ? *(uint*)source : op.Size == 2 ? *(ushort*)source : *source;
                    uint* r = (uint*)(warp.R + d);
                    for (uint m = warp.Exec; m != 0; m &= m - 1)
                    {
                        r[BitOperations.TrailingZeroCount(m)] = value;
                    }
                }
            }
        }
    }

    public static void LoadGlobal(Warp warp, PtxOp op)
    {
        ComputeAddresses(warp, op);
        AccessGlobal(warp, op, isWrite: false);
    }

    public static void StoreGlobal(Warp warp, PtxOp op)
    {
        ComputeAddresses(warp, op);
        AccessGlobal(warp, op, isWrite: true);
    }

    public static void LoadShared(Warp warp, PtxOp op)
    {
        ComputeAddresses(warp, op);
        AccessShared(warp, op, isWrite: false);
    }

    public static void StoreShared(Warp warp, PtxOp op)
    {
        ComputeAddresses(warp, op);
        AccessShared(warp, op, isWrite: true);
    }

    public static void LoadGeneric(Warp warp, PtxOp op) => AccessGeneric(warp, op, isWrite: false);

    public static void StoreGeneric(Warp warp, PtxOp op) => AccessGeneric(warp, op, isWrite: true);

    public static void LoadParameterWidened<TWord>(Warp warp, PtxOp op)
        where TWord : unmanaged
    {
        LoadParameter(warp, op);
        Widen<TWord>(warp, op);
    }

    public static void LoadGlobalWidened<TWord>(Warp warp, PtxOp op)
        where TWord : unmanaged
    {
        LoadGlobal(warp, op);
        Widen<TWord>(warp, op);
    }

    public static void LoadSharedWidened<TWord>(Warp warp, PtxOp op)
        where TWord : unmanaged
    {
        LoadShared(warp, op);
        Widen<TWord>(warp, op);
    }

    public static void LoadGenericWidened<TWord>(Warp warp, PtxOp op)
        where TWord : unmanaged
    {
        LoadGeneric(warp, op);
        Widen<TWord>(warp, op);
    }

    // The word just loaded, as 64 bits with its sign (int) or with zeros (uint).
    private static void Widen<TWord>(Warp warp, PtxOp op)
        where TWord : unmanaged
    {
        int* words = (int*)(warp.R + op.Vector[0]);
        long* d = (long*)(warp.R + op.D);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = typeof(TWord) == typeof(int) ? words[lane] : (uint)words[lane];
        }
    }

    /// <summary>The lanes' addresses: register plus offset.</summary>
    public static void ComputeAddresses(Warp warp, PtxOp op)
    {
        ulong* addresses = warp.Addresses;
        if (op.WideAddress)
        {
            Vector256<ulong> offset = Vector256.Create((ulong)op.Immediate);
            ulong* a = (ulong*)(warp.R + op.A);
            for (int i = 0; i < Warp.LaneCount; i += 4)
            {
                (Vector256.Load(a + i) + offset).Store(addresses + i);
            }
        }
        else
        {
            uint* a = (uint*)(warp.R + op.A);
            for (int i = 0; i < Warp.LaneCount; i++)
            {
                addresses[i] = a[i] + (uint)op.Immediate;
            }
        }
    }

    /// <summary>The live allocation that the lowest of the lanes hits, and the lanes that hit it, too.</summary>
    public static Allocation Resolve(Warp warp, PtxOp op, uint lanes, int size, string access, out uint hit)
    {
        ulong* addresses = warp.Addresses;
        int first = BitOperations.TrailingZeroCount(lanes);
        Allocation? allocation = warp.Block.LastAllocation;
        if (allocation is null || allocation.ByteCount < size || addresses[first] - allocation.Address > (ulong)(allocation.ByteCount - size))
        {
            allocation = warp.Block.Launch.Heap.Find(addresses[first], size)
                ?? throw warp.Block.Fault(FaultKind.OutOfBounds, warp, op, first, string.Create(
                    CultureInfo.InvariantCulture,
                    $"{access} of {size} bytes at 0x{addresses[first]:X}: {Miss(warp, addresses[first], size)}"));
            allocation.PrepareRaceShadow(warp.Block.Launch.Number, warp.Block.Kernel.GlobalCellShift);
            warp.Block.LastAllocation = allocation;
        }

        ulong start = allocation.Address;
        ulong last = (ulong)(allocation.ByteCount - size);
        ulong misaligned = 0;
        hit = 0;
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong address = addresses[lane];
            misaligned |= address;
            hit |= address - start <= last && last <= long.MaxValue ? 1u << lane : 0;
        }

        if ((misaligned & (ulong)(size - 1)) != 0)
        {
            Misaligned(warp, op, lanes, size, access);
        }

        return allocation;
    }

    public static void Misaligned(Warp warp, PtxOp op, uint lanes, int size, string access)
    {
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            if ((warp.Addresses[lane] & (ulong)(size - 1)) != 0)
            {
                throw warp.Block.Fault(FaultKind.Misaligned, warp, op, lane, string.Create(
                    CultureInfo.InvariantCulture, $"misaligned {access} of {size} bytes at 0x{warp.Addresses[lane]:X}"));
            }
        }
    }

    /// <summary>Checks that the lanes' ranges lie in the block's shared memory and are aligned.</summary>
    public static void CheckShared(Warp warp, PtxOp op, uint lanes, int size, string access)
    {
        ulong limit = (ulong)warp.Block.SharedByteCount;
        ulong misaligned = 0;
        for (uint m = lanes; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong address = warp.Addresses[lane];
            misaligned |= address;
            if (address > limit || address + (ulong)size > limit)
            {
                throw warp.Block.Fault(FaultKind.OutOfBounds, warp, op, lane, string.Create(
                    CultureInfo.InvariantCulture,
                    $"{access} of {size} bytes at 0x{address:X} of shared memory: the block has {limit} bytes"));
            }
        }

        if ((misaligned & (ulong)(size - 1)) != 0)
        {
            Misaligned(warp, op, lanes, size, access);
        }
    }

    /// <summary>Checks and marks a read of shared memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadShared(Warp warp, PtxOp op, int lane, ulong address, int size)
    {
        BlockRunner block = warp.Block;
        int shift = block.Kernel.SharedCellShift;
        RaceCheck.Read(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), Math.Max(size >> shift, 1), shared: true);
        byte* initialised = block.SharedInitialised + address;
        for (int i = 0; i < size; i++)
        {
            if (initialised[i] == 0)
            {
                throw block.Fault(FaultKind.Uninitialised, warp, op, lane, string.Create(
                    CultureInfo.InvariantCulture, $"reads {size} bytes at 0x{address:X} of shared memory that were never written"));
            }
        }
    }

    private static string Miss(Warp warp, ulong address, int size) =>
        address - DeviceHeap.SharedWindow < DeviceHeap.SharedWindowSize
            ? "a generic address of shared memory used for global memory"
            : warp.Block.Launch.Heap.Describe(address, size);

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
                    bool same = Store(warp, op, lane, p, compareOnly: true);
                    RaceCheck.Write(warp, op, lane, allocation.Writers, allocation.Readers, offset >> shift, cells, shared: false, same);
                    if (!allocation.IsAllInitialised)
                    {
                        MarkWritten(allocation.Initialised, offset, size);
                    }

                    Store(warp, op, lane, p, compareOnly: false);
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
                bool same = Store(warp, op, lane, p, compareOnly: true);
                RaceCheck.Write(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), cells, shared: true, same);
                new Span<byte>(block.SharedInitialised + address, size).Fill(1);
                Store(warp, op, lane, p, compareOnly: false);
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
    private static bool Store(Warp warp, PtxOp op, int lane, byte* p, bool compareOnly)
    {
        bool same = true;
        for (int k = 0; k < op.Count; k++)
        {
            byte* r = warp.R + op.Vector[k];
            switch (op.Size)
            {
                case 4:
                    uint word = ((uint*)r)[lane];
                    if (compareOnly)
                    {
                        same &= ((uint*)p)[k] == word;
                        break;
                    }

                    ((uint*)p)[k] = word;
                    break;
                case 8:
                    ulong wide = ((ulong*)r)[lane];
                    if (compareOnly)
                    {
                        same &= ((ulong*)p)[k] == wide;
                        break;
                    }

                    ((ulong*)p)[k] = wide;
                    break;
                case 2:
                    ushort half = (ushort)((uint*)r)[lane];
                    if (compareOnly)
                    {
                        same &= ((ushort*)p)[k] == half;
                        break;
                    }

                    ((ushort*)p)[k] = half;
                    break;
                default:
                    byte b = (byte)((uint*)r)[lane];
                    if (compareOnly)
                    {
                        same &= p[k] == b;
                        break;
                    }

                    p[k] = b;
                    break;
            }
        }

        return same;
    }
}
