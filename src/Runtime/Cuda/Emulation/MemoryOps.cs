using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Loads and stores, each through the checks of bounds, alignment, initialisation and races.</summary>
internal static unsafe partial class MemoryOps
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
}
