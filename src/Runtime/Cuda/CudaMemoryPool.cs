using System.Globalization;

namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// Device memory that is kept and used again. All work on pooled memory goes through one stream, so a freed piece may be handed out at
/// once: what its new owner does comes after what the old one did. Without pooling (on the emulated device, whose checks need the exact
/// extent of each allocation) every piece is the driver's own.
/// </summary>
public sealed class CudaMemoryPool
{
    private const long SmallUnit = 512;
    private const long LargeUnit = 2 << 20;

    private readonly CudaDevice _device;
    private readonly bool _reuses;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, Stack<ulong>> _free = [];
    private readonly Dictionary<ulong, long> _live = [];

    internal CudaMemoryPool(CudaDevice device, bool reuses)
    {
        _device = device;
        _reuses = reuses;
    }

    /// <summary>Whether freed memory is kept.</summary>
    public bool Reuses => _reuses;

    /// <summary>Bytes handed out at present, rounded up as they are taken.</summary>
    public long LiveByteCount { get; private set; }

    /// <summary>The high-water mark of <see cref="LiveByteCount"/>.</summary>
    public long PeakByteCount { get; private set; }

    /// <summary>Bytes taken from the driver: handed out or kept.</summary>
    public long ReservedByteCount { get; private set; }

    /// <summary>Allocations that the driver was asked for.</summary>
    public long DriverAllocationCount { get; private set; }

    /// <summary>Pieces handed out at present.</summary>
    public int LiveCount
    {
        get
        {
            lock (_lock)
            {
                return _live.Count;
            }
        }
    }

    internal ulong Take(long byteCount)
    {
        long rounded = Round(byteCount);
        lock (_lock)
        {
            ulong address;
            if (_free.TryGetValue(rounded, out Stack<ulong>? stack) && stack.Count > 0)
            {
                address = stack.Pop();
            }
            else
            {
                _device.MakeCurrent();
                CuResult result = _device.Driver.MemAlloc(out address, (nuint)rounded);
                if (result == CuResult.OutOfMemory && ReservedByteCount > LiveByteCount)
                {
                    // What is kept but not used may be enough.
                    Trim();
                    result = _device.Driver.MemAlloc(out address, (nuint)rounded);
                }

                CudaException.ThrowIfFailed(result, _device.Driver, "MemAlloc");
                ReservedByteCount += rounded;
                DriverAllocationCount++;
            }

            _live[address] = rounded;
            LiveByteCount += rounded;
            PeakByteCount = Math.Max(PeakByteCount, LiveByteCount);
            return address;
        }
    }

    internal void Return(ulong address)
    {
        lock (_lock)
        {
            if (!_live.Remove(address, out long size))
            {
                return;
            }

            LiveByteCount -= size;
            if (_reuses)
            {
                if (!_free.TryGetValue(size, out Stack<ulong>? stack))
                {
                    _free[size] = stack = new Stack<ulong>();
                }

                stack.Push(address);
            }
            else
            {
                // Called where memory is disposed, also while another error is on its way: a failed context frees all at its end.
                _device.MakeCurrent();
                _device.Driver.MemFree(address);
                ReservedByteCount -= size;
            }
        }
    }

    /// <summary>Gives back to the driver what is kept but not used.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            _device.MakeCurrent();
            foreach ((long size, Stack<ulong> stack) in _free)
            {
                while (stack.TryPop(out ulong address))
                {
                    _device.Driver.MemFree(address);
                    ReservedByteCount -= size;
                }
            }
        }
    }

    /// <summary>What was not given back, in words, or null when all was.</summary>
    /// <returns>The report.</returns>
    public string? LeakReport()
    {
        lock (_lock)
        {
            if (_live.Count == 0)
            {
                return null;
            }

            string sizes = string.Join(", ", _live.Values.GroupBy(s => s).OrderByDescending(g => g.Key).Take(8)
                .Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Count()} x {g.Key} bytes")));
            return string.Create(CultureInfo.InvariantCulture, $"{_device.Name}: {_live.Count} allocations ({LiveByteCount} bytes) were not given back: {sizes}");
        }
    }

    private long Round(long byteCount)
    {
        if (!_reuses)
        {
            return Math.Max(byteCount, 1);
        }

        long unit = byteCount < LargeUnit ? SmallUnit : LargeUnit;
        return Math.Max((byteCount + unit - 1) / unit * unit, SmallUnit);
    }
}
