using System.Runtime.InteropServices;

namespace CrossAlign.Runtime;

/// <summary>
/// The processor as a device. Work is cut into a number of partitions that depends on shapes alone and is handed to
/// <see cref="Workers"/>, so results have the same bits for any number of threads.
/// </summary>
public sealed unsafe class CpuDevice : Device
{
    /// <summary>The alignment of every allocation: a cache line, and the widest vector.</summary>
    public const int AlignmentBytes = 64;

    private long _allocatedByteCount;
    private long _peakByteCount;
    private DeviceMemory? _scratch;

    /// <summary>Starts the worker threads.</summary>
    /// <param name="threadCount">Threads that compute, the caller's included; 0 takes one for each processor.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threadCount"/> is negative.</exception>
    public CpuDevice(int threadCount = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threadCount);
        Workers = new WorkerPool(threadCount == 0 ? Environment.ProcessorCount : threadCount);
    }

    /// <inheritdoc/>
    public override DeviceKind Kind => DeviceKind.Cpu;

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>The threads that share an operation's work.</summary>
    public WorkerPool Workers { get; }

    /// <inheritdoc/>
    public override long AllocatedByteCount => Volatile.Read(ref _allocatedByteCount);

    /// <inheritdoc/>
    public override long PeakByteCount => Volatile.Read(ref _peakByteCount);

    /// <inheritdoc/>
    public override DeviceMemory Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        void* address = NativeMemory.AlignedAlloc((nuint)Math.Max(byteCount, 1), HugePages.Alignment(byteCount));
        HugePages.Ask(address, byteCount);
        NativeMemory.Clear(address, (nuint)byteCount);
        long held = Interlocked.Add(ref _allocatedByteCount, byteCount);
        long peak;
        while (held > (peak = Volatile.Read(ref _peakByteCount)))
        {
            Interlocked.CompareExchange(ref _peakByteCount, held, peak);
        }

        return new CpuMemory(this, (nint)address, byteCount);
    }

    /// <summary>
    /// Working memory of the operation that is running, kept from one operation to the next and grown when needed. Its content is
    /// undefined at first and gone at the next call; one operation takes it once and cuts it up itself.
    /// </summary>
    /// <param name="byteCount">How much is needed.</param>
    /// <returns>An address aligned to 64 bytes.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="byteCount"/> is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much left.</exception>
    public void* Scratch(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        if (_scratch is null || _scratch.ByteCount < byteCount)
        {
            _scratch?.Dispose();
            _scratch = null;
            _scratch = Allocate(byteCount);
        }

        return (void*)_scratch.Address;
    }

    /// <inheritdoc/>
    public override void CopyFromHost(ReadOnlySpan<byte> source, in Tensor destination)
    {
        CheckTransfer(destination, source.Length);
        source.CopyTo(new Span<byte>((void*)destination.Address, source.Length));
    }

    /// <inheritdoc/>
    public override void CopyToHost(in Tensor source, Span<byte> destination)
    {
        CheckTransfer(source, destination.Length);
        new ReadOnlySpan<byte>((void*)source.Address, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Copy(in Tensor source, in Tensor destination)
    {
        CheckTransfer(source, destination.ByteCount);
        CheckTransfer(destination, source.ByteCount);
        Buffer.MemoryCopy((void*)source.Address, (void*)destination.Address, destination.ByteCount, source.ByteCount);
    }

    /// <inheritdoc/>
    public override void Zero(in Tensor tensor)
    {
        CheckTransfer(tensor, tensor.ByteCount);
        NativeMemory.Clear((void*)tensor.Address, (nuint)tensor.ByteCount);
    }

    /// <summary>Returns at once: every operation on the CPU is done when its call returns.</summary>
    public override void Synchronize()
    {
    }

    /// <inheritdoc/>
    protected override string? WhyNot(MatMulPrecision precision) => precision == MatMulPrecision.Tf32
        ? "The processor has no TF32 arithmetic: choose float32 (exact operands) or bfloat16 (rounded operands)."
        : base.WhyNot(precision);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Workers.Dispose();
            _scratch?.Dispose();
            _scratch = null;
        }
    }

    private sealed class CpuMemory(CpuDevice device, nint address, long byteCount) : DeviceMemory(device, address, byteCount)
    {
        protected override bool ReleaseHandle()
        {
            NativeMemory.AlignedFree((void*)handle);
            Interlocked.Add(ref device._allocatedByteCount, -ByteCount);
            return true;
        }
    }
}
