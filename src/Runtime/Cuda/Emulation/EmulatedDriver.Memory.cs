using System.Globalization;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>Memory of the device, page-locked memory of the host, and copies.</content>
public sealed unsafe partial class EmulatedDriver
{
    private readonly Dictionary<nint, long> _pinned = [];

    /// <inheritdoc/>
    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount)
    {
        totalByteCount = (nuint)_heap.CapacityByteCount;
        freeByteCount = totalByteCount - (nuint)_heap.UsedByteCount;
        return Guard() ?? CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemAlloc(out ulong address, nuint byteCount)
    {
        address = 0;
        lock (_lock)
        {
            if (Guard() is { } sticky)
            {
                return sticky;
            }

            if (byteCount == 0)
            {
                return Fail(CuResult.InvalidValue, "an allocation of 0 bytes");
            }

            if (RefuseInCapture() is { } refused)
            {
                return refused;
            }

            Allocation? allocation = byteCount > (nuint)_heap.CapacityByteCount ? null : _heap.Allocate((long)byteCount);
            if (allocation is null)
            {
                return Fail(CuResult.OutOfMemory, string.Create(
                    CultureInfo.InvariantCulture, $"{byteCount} bytes were asked for, {_heap.CapacityByteCount - _heap.UsedByteCount} of {_heap.CapacityByteCount} are free"));
            }

            address = allocation.Address;
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult MemFree(ulong address)
    {
        lock (_lock)
        {
            // Freeing waits for the device, as cuMemFree does.
            CuResult drained = DrainAll();
            return _heap.Free(address) ? drained : Fail(CuResult.InvalidValue, "the address is not one of an allocation");
        }
    }

    /// <inheritdoc/>
    public CuResult MemAllocHost(out nint address, nuint byteCount)
    {
        lock (_lock)
        {
            try
            {
                address = (nint)NativeMemory.AlignedAlloc(Math.Max(byteCount, 1), 4096);
            }
            catch (OutOfMemoryException)
            {
                address = 0;
                return Fail(CuResult.OutOfMemory, string.Create(CultureInfo.InvariantCulture, $"{byteCount} bytes of page-locked memory were asked for"));
            }

            _pinned[address] = (long)byteCount;
            return Guard() ?? CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult MemFreeHost(nint address)
    {
        lock (_lock)
        {
            CuResult drained = DrainAll();
            if (!_pinned.Remove(address))
            {
                return CuResult.InvalidValue;
            }

            NativeMemory.AlignedFree((void*)address);
            return drained;
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            // Page-locked memory is read when the copy runs; other memory is read at once, as the driver stages it.
            nint from = (nint)source;
            bool pinned = IsPinned(from, (long)byteCount);
            if (RefuseStaging(pinned, byteCount) is { } refused)
            {
                return refused;
            }

            byte[]? staged = pinned ? null : new ReadOnlySpan<byte>(source, (int)byteCount).ToArray();
            return Enqueue(stream, () =>
            {
                Allocation allocation = Require(destination, (long)byteCount, "the destination of a copy");
                long offset = (long)(destination - allocation.Address);
                if (staged is null)
                {
                    RequirePinned(from, (long)byteCount);
                    Buffer.MemoryCopy((void*)from, allocation.Data + offset, (long)byteCount, (long)byteCount);
                }
                else
                {
                    staged.CopyTo(new Span<byte>(allocation.Data + offset, staged.Length));
                }

                allocation.MarkInitialised(offset, (long)byteCount);
                _hostToDevice += (long)byteCount;
                _clockMs += byteCount / 1e7;
            });
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            nint to = (nint)destination;
            bool pinned = IsPinned(to, (long)byteCount);
            if (!pinned && IsCaptured(stream))
            {
                return RefuseInCapture() ?? CuResult.StreamCaptureUnsupported;
            }

            // A copy to pageable memory has ended when the call returns, so what it points to lives no longer than the call.
            if (RefuseStaging(pinned, byteCount) is { } tooLarge)
            {
                return tooLarge;
            }

            byte[]? staged = pinned ? null : new byte[(int)byteCount];
            CuResult result = Enqueue(stream, () =>
            {
                Allocation allocation = Require(source, (long)byteCount, "the source of a copy");
                byte* bytes = allocation.Data + (source - allocation.Address);
                if (staged is null)
                {
                    RequirePinned(to, (long)byteCount);
                    Buffer.MemoryCopy(bytes, (void*)to, (long)byteCount, (long)byteCount);
                }
                else
                {
                    new ReadOnlySpan<byte>(bytes, staged.Length).CopyTo(staged);
                }

                _deviceToHost += (long)byteCount;
                _clockMs += byteCount / 1e7;
            });
            if (result == CuResult.Success && staged is not null && TryGet(stream, out StreamQueue? queue))
            {
                result = Drain(queue);
                if (result == CuResult.Success)
                {
                    staged.CopyTo(new Span<byte>(destination, staged.Length));
                }
            }

            return result;
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            return Enqueue(stream, () =>
            {
                Allocation from = Require(source, (long)byteCount, "the source of a copy");
                Allocation to = Require(destination, (long)byteCount, "the destination of a copy");
                Buffer.MemoryCopy(from.Data + (source - from.Address), to.Data + (destination - to.Address), (long)byteCount, (long)byteCount);
                to.CopyInitialised((long)(destination - to.Address), from, (long)(source - from.Address), (long)byteCount);
            });
        }
    }

    /// <inheritdoc/>
    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            return Enqueue(stream, () =>
            {
                Allocation to = Require(destination, (long)byteCount, "the destination of a fill");
                long offset = (long)(destination - to.Address);
                NativeMemory.Fill(to.Data + offset, byteCount, value);
                to.MarkInitialised(offset, (long)byteCount);
            });
        }
    }

    /// <summary>In a stream's order: what an allocation holds is not to be read any more.</summary>
    internal void ForgetContent(nint stream, ulong address, long byteCount) =>
        Enqueue(stream, () => Require(address, byteCount, "working memory").MarkUninitialised(0, byteCount));

    /// <summary>The allocation of a range that the host's side works on.</summary>
    internal Allocation Require(ulong address, long byteCount, string what) => _heap.Find(address, byteCount)
        ?? throw new EmulatedFault(FaultKind.OutOfBounds, string.Create(
            CultureInfo.InvariantCulture, $"{what}, {byteCount} bytes at 0x{address:X}: {_heap.Describe(address, (int)Math.Min(byteCount, int.MaxValue))}"));

    // A copy of pageable memory goes through an array.
    private CuResult? RefuseStaging(bool pinned, nuint byteCount) => pinned || byteCount <= (nuint)Array.MaxLength
        ? null
        : Fail(CuResult.NotSupported, string.Create(CultureInfo.InvariantCulture, $"a copy of {byteCount} bytes of pageable memory; the emulated device stages at most {Array.MaxLength}"));

    // A replayed graph may name memory that was given back since it was captured.
    private void RequirePinned(nint address, long byteCount)
    {
        if (!IsPinned(address, byteCount))
        {
            throw new EmulatedFault(FaultKind.OutOfBounds, string.Create(
                CultureInfo.InvariantCulture, $"page-locked memory of the host was freed before a copy of {byteCount} bytes to or from it ran"));
        }
    }

    private bool IsPinned(nint address, long byteCount)
    {
        foreach ((nint start, long size) in _pinned)
        {
            if (address >= start && address + byteCount <= start + size)
            {
                return true;
            }
        }

        return false;
    }

    private void FreePinned()
    {
        foreach (nint address in _pinned.Keys)
        {
            NativeMemory.AlignedFree((void*)address);
        }

        _pinned.Clear();
    }
}
