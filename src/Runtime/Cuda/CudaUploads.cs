using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// Copies from the host that go on beside the device's computation. What is added lies in page-locked memory, in two pieces that take turns;
/// <see cref="Send"/> copies it to a landing place of the device on <see cref="CudaDevice.CopyStream"/>, while work that was issued before goes on;
/// <see cref="Deliver"/> puts it where it belongs, in the order of the device's other work. Until it is delivered, its places may still be read and
/// written by work that was issued before, and they stay where they are, so that a captured graph reads them. Where page-locked memory is
/// filled anew, the host first waits for the copy out of it, unless it has waited for the device since. A delivery as large as one before takes no
/// memory and puts nothing on the managed heap. Not safe for use from several threads at once.
/// </summary>
public sealed unsafe class CudaUploads : IDisposable
{
    private const long AlignmentBytes = 256;

    private readonly CudaDevice _device;
    private readonly Slot[] _slots;
    private readonly List<Piece> _pieces = [];
    private readonly CudaEvent _landingIsFree;
    private DeviceMemory? _landing;
    private int _slot;
    private long _byteCount;
    private bool _isSent;

    /// <summary>Takes nothing yet but three events.</summary>
    /// <param name="device">Where to.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public CudaUploads(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        _slots = [new Slot(device), new Slot(device)];
        _landingIsFree = new CudaEvent(device);
        _landingIsFree.Record(device.Stream);
    }

    /// <summary>Whether something has been added that is not delivered.</summary>
    public bool IsPending => _pieces.Count > 0;

    /// <summary>Bytes of the device that this holds: at most as many as the destinations of the largest delivery so far have, each rounded up, and an eighth.</summary>
    public long LandingByteCount => _landing?.ByteCount ?? 0;

    /// <summary>Copies values to page-locked memory, to be delivered to a tensor.</summary>
    /// <typeparam name="T">The type of an element.</typeparam>
    /// <param name="values">At most as many bytes as <paramref name="destination"/> has; none are nothing to deliver, but room is taken for them on a device that plans.</param>
    /// <param name="destination">On the device; its first bytes are overwritten by <see cref="Deliver"/>. Room is taken for all of it, so that deliveries
    /// of several lengths to one place need no more room than the longest.</param>
    /// <exception cref="ArgumentException">There are more values than room, or the tensor lies on another device.</exception>
    /// <exception cref="InvalidOperationException">What was added before has been sent and not delivered.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Add<T>(ReadOnlySpan<T> values, in Tensor destination)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values);
        _device.CheckOwn(destination);
        if (bytes.Length > destination.ByteCount)
        {
            throw new ArgumentException($"{bytes.Length} bytes are more than {destination} has.", nameof(values));
        }

        if (_isSent)
        {
            throw new InvalidOperationException("What was added before has been sent: deliver it first.");
        }

        if (bytes.IsEmpty && !_device.IsPlan)
        {
            return;
        }

        long at = _byteCount;
        _byteCount += (destination.ByteCount + AlignmentBytes - 1) / AlignmentBytes * AlignmentBytes;
        if (bytes.IsEmpty)
        {
            // What would lie there is not known where it is only planned.
            return;
        }

        bytes.CopyTo(_slots[_slot].Room(_device, at, _byteCount, bytes.Length));
        _pieces.Add(new Piece(at, destination, bytes.Length));
    }

    /// <summary>Lets what was added go to the device, behind what was delivered last and beside everything else.</summary>
    /// <exception cref="CudaException">The driver refuses, or the device has not that much memory left.</exception>
    public void Send()
    {
        if (_isSent || !IsPending)
        {
            return;
        }

        if (_landing is null || _landing.ByteCount < _byteCount)
        {
            // Memory is the device's stream's: what it held before is done with when the copies' stream has waited for that.
            _landing?.Dispose();
            _landing = null;
            _landing = _device.Allocate(Grown(_byteCount));
            _landingIsFree.Record(_device.Stream);
        }

        // What was delivered last is read from there first, or the copies would run over it.
        Slot slot = _slots[_slot];
        _device.CopyStream.WaitFor(_landingIsFree);
        foreach (ref readonly Piece piece in CollectionsMarshal.AsSpan(_pieces))
        {
            CudaException.ThrowIfFailed(
                _device.Driver.MemcpyHtoDAsync((ulong)(_landing.Address + piece.Offset), slot.Memory!.Pointer + piece.Offset, (nuint)piece.ByteCount, _device.CopyStream.Handle),
                _device.Driver);
        }

        slot.Sent.Record(_device.CopyStream);
        _isSent = true;
    }

    /// <summary>Puts what was added where it belongs, in the order of the device's work; sends it before where that was not done.</summary>
    /// <exception cref="CudaException">The driver refuses, or the device has not that much memory left.</exception>
    public void Deliver()
    {
        Send();
        Finish(delivers: true);
    }

    /// <summary>Forgets what was added and not delivered.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public void Discard() => Finish(delivers: false);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_device.IsOpen)
        {
            // The page-locked memory may still be read. Also called while an error of the device is on its way, which this would tell again.
            _device.MakeCurrent();
            _device.Driver.StreamSynchronize(_device.CopyStream.Handle);
        }

        _pieces.Clear();
        _landing?.Dispose();
        _landing = null;
        _landingIsFree.Dispose();
        foreach (Slot slot in _slots)
        {
            slot.Dispose();
        }
    }

    // Memory that was given back is kept by the pool: not a new piece for each capacity.
    private static long Grown(long byteCount) => byteCount + (byteCount / 8);

    private void Finish(bool delivers)
    {
        if (_isSent)
        {
            Slot slot = _slots[_slot];
            _device.Stream.WaitFor(slot.Sent);
            foreach (ref readonly Piece piece in delivers ? CollectionsMarshal.AsSpan(_pieces) : [])
            {
                CudaException.ThrowIfFailed(
                    _device.Driver.MemcpyDtoDAsync((ulong)piece.Destination.Address, (ulong)(_landing!.Address + piece.Offset), (nuint)piece.ByteCount, _device.Stream.Handle),
                    _device.Driver);
            }

            _landingIsFree.Record(_device.Stream);
            slot.LeftAt = _device.SynchronizationCount;
            _slot = 1 - _slot;
            _isSent = false;
        }

        _pieces.Clear();
        _byteCount = 0;
    }

    private readonly record struct Piece(long Offset, Tensor Destination, int ByteCount);

    private sealed class Slot(CudaDevice device) : IDisposable
    {
        public PinnedMemory? Memory { get; private set; }

        public CudaEvent Sent { get; } = new(device);

        // How often the device had been waited for when the last delivery was issued, which is behind the copy out of this piece: the wait after that
        // is one for the copy too. Negative where nothing is on its way.
        public long LeftAt { get; set; } = -1;

        // Room behind what lies there already.
        public Span<byte> Room(CudaDevice device, long at, long end, int byteCount)
        {
            if (LeftAt >= 0)
            {
                if (LeftAt == device.SynchronizationCount)
                {
                    Sent.Synchronize();
                }

                LeftAt = -1;
            }

            if (Memory is null || Memory.ByteCount < end)
            {
                PinnedMemory larger = new(device, Grown(end));
                if (Memory is not null)
                {
                    Buffer.MemoryCopy(Memory.Pointer, larger.Pointer, larger.ByteCount, at);
                    Memory.Dispose();
                }

                Memory = larger;
            }

            return new Span<byte>(Memory.Pointer + at, byteCount);
        }

        public void Dispose()
        {
            Memory?.Dispose();
            Sent.Dispose();
        }
    }
}
