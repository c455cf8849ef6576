using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// The memory of an emulated device: allocations at addresses that are never used twice soon, with unmapped space between them, so that
/// an access past an end or to freed memory meets nothing.
/// </summary>
internal sealed class DeviceHeap(long capacityByteCount) : IDisposable
{
    // Generic addresses of shared memory lie in a window of their own, as on a device.
    public const ulong SharedWindow = 0x7F00_0000_0000_0000;
    public const ulong SharedWindowSize = 1UL << 24;

    private const ulong FirstAddress = 0x7_0000_0000;
    private const ulong Gap = 4096;
    private const int FreedKept = 256;

    private readonly Lock _lock = new();
    private readonly Queue<(ulong Address, long ByteCount)> _freed = new();
    private ulong _next = FirstAddress;

    /// <summary>Live allocations by address; replaced, never changed, so that running kernels may read it.</summary>
    public Allocation[] Live { get; private set; } = [];

    public long CapacityByteCount { get; } = capacityByteCount;

    public long UsedByteCount { get; private set; }

    public long PeakByteCount { get; private set; }

    public long AllocationCount { get; private set; }

    /// <summary>Takes memory.</summary>
    /// <returns>The allocation, or null where the device has not that much left.</returns>
    public Allocation? Allocate(long byteCount)
    {
        lock (_lock)
        {
            if (byteCount > CapacityByteCount - UsedByteCount)
            {
                return null;
            }

            Allocation allocation = new(_next, byteCount);
            _next += (((ulong)byteCount + 255) / 256 * 256) + Gap;
            Live = [.. Live, allocation];
            UsedByteCount += byteCount;
            PeakByteCount = Math.Max(PeakByteCount, UsedByteCount);
            AllocationCount++;
            return allocation;
        }
    }

    /// <summary>Gives memory back.</summary>
    /// <returns>False where no allocation starts there.</returns>
    public bool Free(ulong address)
    {
        lock (_lock)
        {
            int index = Array.FindIndex(Live, a => a.Address == address);
            if (index < 0)
            {
                return false;
            }

            Allocation allocation = Live[index];
            Live = [.. Live.AsSpan(0, index), .. Live.AsSpan(index + 1)];
            UsedByteCount -= allocation.ByteCount;
            _freed.Enqueue((allocation.Address, allocation.ByteCount));
            if (_freed.Count > FreedKept)
            {
                _freed.Dequeue();
            }

            allocation.Dispose();
            return true;
        }
    }

    /// <summary>The live allocation that holds a whole range, or null.</summary>
    public Allocation? Find(ulong address, long byteCount)
    {
        Allocation? candidate = Before(address);
        return candidate is not null && (ulong)byteCount <= (ulong)candidate.ByteCount && address - candidate.Address <= (ulong)(candidate.ByteCount - byteCount) ? candidate : null;
    }

    /// <summary>Says in words what an address outside of every allocation has missed.</summary>
    public string Describe(ulong address, int byteCount)
    {
        foreach ((ulong start, long size) in _freed)
        {
            if (address >= start && address < start + (ulong)size)
            {
                return string.Create(CultureInfo.InvariantCulture, $"memory that was freed ({size} bytes at 0x{start:X})");
            }
        }

        Allocation? before = Before(address);
        if (before is not null && address - before.Address < (ulong)before.ByteCount + (1 << 20))
        {
            long past = (long)(address + (ulong)byteCount - before.Address) - before.ByteCount;
            return string.Create(CultureInfo.InvariantCulture, $"{past} bytes past the end of the allocation of {before.ByteCount} bytes at 0x{before.Address:X}");
        }

        Allocation? after = Live.FirstOrDefault(a => a.Address > address);
        if (after is not null && after.Address - address < 1 << 20)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{after.Address - address} bytes before the allocation of {after.ByteCount} bytes at 0x{after.Address:X}");
        }

        return "no allocation is near";
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Allocation allocation in Live)
            {
                allocation.Dispose();
            }

            Live = [];
        }
    }

    private Allocation? Before(ulong address)
    {
        Allocation[] live = Live;
        int low = 0;
        int high = live.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (live[middle].Address <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low == 0 ? null : live[low - 1];
    }
}
