namespace CrossAlign.Runtime;

/// <summary>
/// A device on which everything is planned and nothing is done: memory is counted and not taken, operations check their arguments and
/// return. A program that runs on it says how much it would hold elsewhere, before it holds any. Tensors have no content here: what is read
/// from one is zero.
/// </summary>
/// <remarks>The working memory that a backend's operations keep (<see cref="CpuDevice.Scratch"/>) is not counted. A CUDA device has a plan of its own, in which it is: <see cref="Cuda.CudaDevice.NewPlan"/>.</remarks>
public sealed class PlanDevice : Device
{
    // Never followed: Tensor gives no pointers to devices other than the processor.
    private const nint NoAddress = 64;

    private long _allocatedByteCount;
    private long _peakByteCount;

    /// <inheritdoc/>
    public override DeviceKind Kind => DeviceKind.Plan;

    /// <inheritdoc/>
    public override string Name => "plan";

    /// <inheritdoc/>
    public override bool IsPlan => true;

    /// <inheritdoc/>
    public override long AllocatedByteCount => Volatile.Read(ref _allocatedByteCount);

    /// <inheritdoc/>
    public override long PeakByteCount => Volatile.Read(ref _peakByteCount);

    /// <inheritdoc/>
    public override DeviceMemory Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        long held = Interlocked.Add(ref _allocatedByteCount, byteCount);
        _peakByteCount = Math.Max(_peakByteCount, held);
        return new PlanMemory(this, byteCount);
    }

    /// <inheritdoc/>
    public override void CopyFromHost(ReadOnlySpan<byte> source, in Tensor destination) => CheckTransfer(destination, source.Length);

    /// <inheritdoc/>
    public override void CopyToHost(in Tensor source, Span<byte> destination)
    {
        CheckTransfer(source, destination.Length);
        destination.Clear();
    }

    /// <inheritdoc/>
    public override void Copy(in Tensor source, in Tensor destination)
    {
        CheckTransfer(source, destination.ByteCount);
        CheckTransfer(destination, source.ByteCount);
    }

    /// <inheritdoc/>
    public override void Zero(in Tensor tensor) => CheckTransfer(tensor, tensor.ByteCount);

    /// <summary>Returns at once: there is nothing to wait for.</summary>
    public override void Synchronize()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
    }

    private sealed class PlanMemory(PlanDevice device, long byteCount) : DeviceMemory(device, NoAddress, byteCount)
    {
        protected override bool ReleaseHandle()
        {
            Interlocked.Add(ref device._allocatedByteCount, -ByteCount);
            return true;
        }
    }
}
