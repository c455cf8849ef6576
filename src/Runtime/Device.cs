namespace CrossAlign.Runtime;

/// <summary>Which backend computes on a device.</summary>
public enum DeviceKind
{
    /// <summary>The processor: <see cref="CpuDevice"/>.</summary>
    Cpu,

    /// <summary>A CUDA device, real or emulated.</summary>
    Cuda,

    /// <summary>None: operations check their arguments and return (<see cref="PlanDevice"/>).</summary>
    Plan,
}

/// <summary>
/// A place where tensors live and operations run. Operations on one device are ordered; <see cref="Synchronize"/> waits for them.
/// </summary>
public abstract class Device : IDisposable
{
    private MatMulPrecision _matMulPrecision;

    /// <summary>Which backend computes here.</summary>
    public abstract DeviceKind Kind { get; }

    /// <summary>The device's name as run records and <c>doctor</c> show it.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Whether nothing is computed here, and memory is counted alone: what reads from a tensor reads zeros, and what would fill one need not.
    /// </summary>
    public virtual bool IsPlan => false;

    /// <summary>Bytes of tensors, and of what operations keep to work in, that are held at present.</summary>
    public abstract long AllocatedByteCount { get; }

    /// <summary>The most bytes held at once so far.</summary>
    public abstract long PeakByteCount { get; }

    /// <summary>Where operations on this device are timed; null, as at first, for nowhere. On a CUDA device by events, without waiting for any.</summary>
    public OperationLog? Operations { get; set; }

    /// <summary>How matrix products treat float32 operands from now on; at first <see cref="Runtime.MatMulPrecision.Float32"/>.</summary>
    /// <exception cref="NotSupportedException">The device does not have the precision.</exception>
    public MatMulPrecision MatMulPrecision
    {
        get => _matMulPrecision;
        set
        {
            if (WhyNot(value) is string reason)
            {
                throw new NotSupportedException(reason);
            }

            _matMulPrecision = value;
        }
    }

    /// <summary>Takes zeroed memory, aligned to 64 bytes at least.</summary>
    /// <param name="byteCount">Size in bytes; 0 is allowed.</param>
    /// <returns>The memory, owned by the caller.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="byteCount"/> is negative.</exception>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public abstract DeviceMemory Allocate(long byteCount);

    /// <summary>Takes memory of its own for one zeroed tensor; dispose <see cref="Tensor.Memory"/> to give it back.</summary>
    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Extents.</param>
    /// <returns>The tensor.</returns>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public Tensor NewTensor(DType dtype, Shape shape) =>
        new(Allocate(checked(shape.Count * dtype.ByteSize())), 0, dtype, shape);

    /// <summary>Copies from the host into a tensor on this device, in order with the device's other work.</summary>
    /// <param name="source">Exactly <see cref="Tensor.ByteCount"/> bytes; free for reuse when the call returns.</param>
    /// <param name="destination">Overwritten.</param>
    /// <exception cref="ArgumentException">The lengths differ or the tensor is on another device.</exception>
    public abstract void CopyFromHost(ReadOnlySpan<byte> source, in Tensor destination);

    /// <summary>Copies a tensor of this device to the host and waits for it.</summary>
    /// <param name="source">The tensor.</param>
    /// <param name="destination">Exactly <see cref="Tensor.ByteCount"/> bytes, overwritten.</param>
    /// <exception cref="ArgumentException">The lengths differ or the tensor is on another device.</exception>
    public abstract void CopyToHost(in Tensor source, Span<byte> destination);

    /// <summary>Copies one tensor of this device to another of the same size; they must not overlap.</summary>
    /// <param name="source">Read.</param>
    /// <param name="destination">Overwritten.</param>
    /// <exception cref="ArgumentException">Sizes or devices differ.</exception>
    public abstract void Copy(in Tensor source, in Tensor destination);

    /// <summary>Sets every byte of a tensor to zero.</summary>
    /// <param name="tensor">Overwritten.</param>
    /// <exception cref="ArgumentException">The tensor is on another device.</exception>
    public abstract void Zero(in Tensor tensor);

    /// <summary>Waits until all work issued so far is done; errors of earlier work surface here.</summary>
    public abstract void Synchronize();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>A mark behind what was issued so far; null where work is done when the call returns that asks for it.</summary>
    internal virtual OperationMark? Mark() => null;

    /// <summary>Why the device does not have a precision, with what to choose instead; null where it has it.</summary>
    /// <param name="precision">The precision.</param>
    /// <returns>The reason, or null.</returns>
    protected virtual string? WhyNot(MatMulPrecision precision) =>
        Enum.IsDefined(precision) ? null : $"{precision} is not a precision of matrix products.";

    /// <summary>Releases what the device holds.</summary>
    /// <param name="disposing">True when called from <see cref="Dispose()"/>.</param>
    protected abstract void Dispose(bool disposing);

    /// <summary>Refuses a tensor of another device or of another size than a copy's other side.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="byteCount">The bytes that the other side has.</param>
    /// <exception cref="ArgumentException">The device or the size differs.</exception>
    protected void CheckTransfer(in Tensor tensor, long byteCount)
    {
        if (!ReferenceEquals(tensor.Device, this))
        {
            throw new ArgumentException($"The tensor lies on {tensor.Device.Name}, not on {Name}.");
        }

        if (tensor.ByteCount != byteCount)
        {
            throw new ArgumentException($"The tensor {tensor} has {tensor.ByteCount} bytes, the other side {byteCount}.");
        }
    }
}
