namespace CrossAlign.Runtime.Cuda;

/// <content>Memory and copies.</content>
public sealed unsafe partial class CudaDevice
{
    // One copy each between two synchronisations without waiting for the device; larger copies are cut.
    private const int StagingSlots = 64;
    private const int MaxStagingByteCount = 4 << 20;

    private readonly PinnedMemory?[] _staging = new PinnedMemory?[StagingSlots];
    private readonly bool[] _stagingInUse = new bool[StagingSlots];
    private PinnedMemory? _download;
    private int _nextStaging;
    private nint _blas;
    private CudaMemory? _blasWorkspace;

    /// <inheritdoc/>
    public override DeviceMemory Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        CudaMemory memory = Take(byteCount);
        if (byteCount > 0)
        {
            CudaException.ThrowIfFailed(Driver.MemsetD8Async((ulong)memory.Address, 0, (nuint)byteCount, Stream.Handle), Driver);
        }

        return memory;
    }

    /// <inheritdoc/>
    public override void CopyFromHost(ReadOnlySpan<byte> source, in Tensor destination)
    {
        CheckTransfer(destination, source.Length);
        MakeCurrent();
        ulong address = (ulong)destination.Address;
        while (source.Length > 0)
        {
            int count = Math.Min(source.Length, MaxStagingByteCount);
            PinnedMemory staging = NextStaging(count);
            source[..count].CopyTo(staging.Span);
            CudaException.ThrowIfFailed(Driver.MemcpyHtoDAsync(address, staging.Pointer, (nuint)count, Stream.Handle), Driver);
            source = source[count..];
            address += (ulong)count;
        }
    }

    /// <inheritdoc/>
    public override void CopyToHost(in Tensor source, Span<byte> destination)
    {
        CheckTransfer(source, destination.Length);
        if (destination.Length == 0)
        {
            return;
        }

        MakeCurrent();
        if (_download is null || _download.ByteCount < destination.Length)
        {
            _download?.Dispose();
            _download = new PinnedMemory(this, destination.Length);
        }

        CudaException.ThrowIfFailed(
            Driver.MemcpyDtoHAsync(_download.Pointer, (ulong)source.Address, (nuint)destination.Length, Stream.Handle), Driver);
        Synchronize();
        _download.Span[..destination.Length].CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Copy(in Tensor source, in Tensor destination)
    {
        CheckTransfer(source, destination.ByteCount);
        CheckTransfer(destination, source.ByteCount);
        if (source.ByteCount > 0)
        {
            MakeCurrent();
            CudaException.ThrowIfFailed(
                Driver.MemcpyDtoDAsync((ulong)destination.Address, (ulong)source.Address, (nuint)source.ByteCount, Stream.Handle), Driver);
        }
    }

    /// <inheritdoc/>
    public override void Zero(in Tensor tensor)
    {
        CheckTransfer(tensor, tensor.ByteCount);
        if (tensor.ByteCount > 0)
        {
            MakeCurrent();
            CudaException.ThrowIfFailed(Driver.MemsetD8Async((ulong)tensor.Address, 0, (nuint)tensor.ByteCount, Stream.Handle), Driver);
        }
    }

    /// <summary>In the stream's order: what a piece of memory holds is no operation's result any more. The emulated device then reports who reads
    /// it before it is written; elsewhere nothing is done.</summary>
    /// <param name="memory">Working memory of this device, whole.</param>
    /// <exception cref="ArgumentNullException"><paramref name="memory"/> is null.</exception>
    public void ForgetContent(DeviceMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (memory.ByteCount > 0)
        {
            Emulation?.ForgetContent(Stream.Handle, (ulong)memory.Address, memory.ByteCount);
        }
    }

    /// <summary>The cuBLAS handle, made when first asked for and bound to <see cref="Stream"/>; behind the call the device's context is current.</summary>
    /// <returns>The handle.</returns>
    /// <exception cref="InvalidOperationException">There is no cuBLAS.</exception>
    /// <exception cref="CudaException">cuBLAS fails.</exception>
    public nint BlasHandle()
    {
        MakeCurrent();
        if (_blas == 0)
        {
            ICublas cublas = Cublas ?? throw new InvalidOperationException($"{Name} has no cuBLAS.");
            CudaException.ThrowIfCublasFailed(cublas.Create(out nint handle));
            CudaException.ThrowIfCublasFailed(cublas.SetStream(handle, Stream.Handle));

            // By default a bfloat16 result may be the sum of partial sums in bfloat16. TF32 is asked for product by product, by its type.
            CudaException.ThrowIfCublasFailed(cublas.SetMathMode(handle, ICublas.WideReductions));

            // Its own pool of workspaces takes memory when it needs some, which a capture can not; as large as that is. To be set behind
            // the stream, which gives the handle back to the pool.
            _blasWorkspace = Take(ComputeCapability >= 90 ? 32 << 20 : 4 << 20);
            CudaException.ThrowIfCublasFailed(cublas.SetWorkspace(handle, (ulong)_blasWorkspace.Address, (nuint)_blasWorkspace.ByteCount));
            _blas = handle;
        }

        return _blas;
    }

    /// <summary>Refuses a tensor of another device.</summary>
    internal void CheckOwn(in Tensor tensor) => CheckTransfer(tensor, tensor.ByteCount);

    private CudaMemory Take(long byteCount) => new(this, Pool.Take(Math.Max(byteCount, 1)), byteCount);

    private PinnedMemory NextStaging(int byteCount)
    {
        int slot = _nextStaging;
        _nextStaging = (slot + 1) % StagingSlots;
        if (_stagingInUse[slot])
        {
            Synchronize();
        }

        PinnedMemory? memory = _staging[slot];
        if (memory is null || memory.ByteCount < byteCount)
        {
            memory?.Dispose();
            long rounded = Math.Min(MaxStagingByteCount, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(byteCount, 4096)));
            _staging[slot] = memory = new PinnedMemory(this, rounded);
        }

        _stagingInUse[slot] = true;
        return memory;
    }

    private void StagingIsFree() => Array.Clear(_stagingInUse);

    private void DisposeStaging()
    {
        _download?.Dispose();
        foreach (PinnedMemory? memory in _staging)
        {
            memory?.Dispose();
        }
    }

    private sealed class CudaMemory(CudaDevice device, ulong address, long byteCount) : DeviceMemory(device, (nint)address, byteCount)
    {
        protected override bool ReleaseHandle()
        {
            CudaDevice owner = (CudaDevice)Device;
            if (owner.IsOpen)
            {
                owner.Pool.Return((ulong)handle);
            }

            return true;
        }
    }
}
