namespace CrossAlign.Runtime;

/// <summary>
/// The activations of a step as slices of one allocation, taken in a fixed order and given back all at once. Because a
/// <see cref="Tensor"/> is a value, a step whose shapes change puts nothing on the managed heap; the device's memory grows only
/// when a step needs more than any before.
/// </summary>
public sealed class TensorArena : IDisposable
{
    private const long AlignmentBytes = 256;

    private readonly Device _device;
    private readonly List<DeviceMemory> _overflow = [];
    private DeviceMemory _memory;
    private long _usedByteCount;
    private long _wantedByteCount;

    /// <summary>Takes the memory.</summary>
    /// <param name="device">Where.</param>
    /// <param name="byteCount">How much is expected to be needed; the arena grows at a <see cref="Reset"/> when it was too little.</param>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public TensorArena(Device device, long byteCount)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        _memory = device.Allocate(byteCount);
    }

    /// <summary>Bytes held on the device.</summary>
    public long CapacityByteCount => _memory.ByteCount + _overflow.Sum(m => m.ByteCount);

    /// <summary>How often the memory was given up for more: while it stays the same, the same takes in the same order give the same addresses.</summary>
    public int Generation { get; private set; }

    /// <summary>Bytes taken since the last <see cref="Reset"/>.</summary>
    public long UsedByteCount => _wantedByteCount;

    /// <summary>A tensor of undefined content of which only some rows count, valid until the next <see cref="Reset"/>.</summary>
    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Extents.</param>
    /// <param name="rows">How many rows count; null for all.</param>
    /// <returns>A slice aligned to 256 bytes.</returns>
    /// <exception cref="ArgumentException">The extents have another number of rows.</exception>
    /// <exception cref="OutOfMemoryException">The arena was too small and the device has not that much left.</exception>
    public Tensor Take(DType dtype, Shape shape, LiveRows? rows) => Take(dtype, shape).WithLiveRows(rows);

    /// <summary>A tensor of undefined content, valid until the next <see cref="Reset"/>.</summary>
    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Extents.</param>
    /// <returns>A slice aligned to 256 bytes.</returns>
    /// <exception cref="OutOfMemoryException">The arena was too small and the device has not that much left.</exception>
    public Tensor Take(DType dtype, Shape shape)
    {
        long byteCount = checked(shape.Count * dtype.ByteSize());
        long rounded = (byteCount + AlignmentBytes - 1) / AlignmentBytes * AlignmentBytes;
        _wantedByteCount += rounded;
        if (rounded <= _memory.ByteCount - _usedByteCount)
        {
            Tensor tensor = new(_memory, _usedByteCount, dtype, shape);
            _usedByteCount += rounded;
            return tensor;
        }

        DeviceMemory more = _device.Allocate(rounded);
        _overflow.Add(more);
        return new Tensor(more, 0, dtype, shape);
    }

    /// <summary>Gives back everything taken. The tensors taken so far must not be used any more.</summary>
    /// <exception cref="OutOfMemoryException">The arena has to grow and the device has not that much left.</exception>
    public void Reset()
    {
        if (_overflow.Count > 0)
        {
            // A quarter more than the step that did not fit: batches of captions differ in their number of tokens.
            long byteCount = _wantedByteCount + (_wantedByteCount / 4);
            Release();
            _memory = _device.Allocate(byteCount);
            Generation++;
        }

        _usedByteCount = 0;
        _wantedByteCount = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => Release();

    private void Release()
    {
        _memory.Dispose();
        foreach (DeviceMemory memory in _overflow)
        {
            memory.Dispose();
        }

        _overflow.Clear();
    }
}
