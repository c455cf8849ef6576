using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// A driver that takes every call and does nothing: addresses of the device lead nowhere, what is copied from there is zero, and there is no end of
/// memory. What a program would hold on a GPU is counted on it before any of it is taken (<see cref="CudaDevice.NewPlan"/>). It puts nothing on
/// the managed heap, so that what a call of the runtime puts there shows in tests.
/// </summary>
/// <param name="like">The device whose sizes and limits this one has; null for those of an A100.</param>
public sealed unsafe class IdleDriver(CudaDevice? like = null) : ICudaDriver
{
    private static nuint MemoryByteCount => (nuint)40 << 30;

    private ulong _nextAddress = 1 << 20;
    private nint _nextHandle = 1;

    /// <summary>Kernels launched, but for those of graphs.</summary>
    public int LaunchCount { get; private set; }

    /// <summary>Graphs launched.</summary>
    public int GraphLaunchCount { get; private set; }

    /// <summary>Pieces of the device's memory asked for.</summary>
    public int AllocationCount { get; private set; }

    /// <inheritdoc/>
    public CuResult Init() => CuResult.Success;

    /// <inheritdoc/>
    public CuResult DriverGetVersion(out int version) => Give(12040, out version);

    /// <inheritdoc/>
    public CuResult DeviceGetCount(out int count) => Give(1, out count);

    /// <inheritdoc/>
    public CuResult DeviceGet(out int device, int ordinal) => Give(ordinal, out device);

    /// <inheritdoc/>
    public CuResult DeviceGetName(byte* name, int byteCount, int device)
    {
        *name = 0;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult DeviceTotalMem(out nuint byteCount, int device)
    {
        byteCount = MemoryByteCount;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device)
    {
        if (like is not null)
        {
            return like.Driver.DeviceGetAttribute(out value, attribute, like.Handle);
        }

        return Give(
            attribute switch
            {
                CuDeviceAttribute.ComputeCapabilityMajor => 8,
                CuDeviceAttribute.ComputeCapabilityMinor => 0,
                CuDeviceAttribute.MultiprocessorCount => 108,
                CuDeviceAttribute.MaxSharedMemoryPerBlockOptin => 163 * 1024,
                CuDeviceAttribute.MaxSharedMemoryPerMultiprocessor => 164 * 1024,
                CuDeviceAttribute.MaxThreadsPerMultiprocessor => 2048,
                CuDeviceAttribute.MaxBlocksPerMultiprocessor => 32,
                CuDeviceAttribute.MaxGridDimY => 65_535,
                _ => 48 * 1024,
            },
            out value);
    }

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRetain(out nint context, int device) => Make(out context);

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRelease(int device) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxReset(int device) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult CtxSetCurrent(nint context) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult CtxSynchronize() => CuResult.Success;

    /// <inheritdoc/>
    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount)
    {
        freeByteCount = totalByteCount = MemoryByteCount;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult ModuleLoadData(out nint module, byte* image) => Make(out module);

    /// <inheritdoc/>
    public CuResult ModuleUnload(nint module) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult ModuleGetFunction(out nint function, nint module, byte* name) => Make(out function);

    /// <inheritdoc/>
    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function) => Give(0, out value);

    /// <inheritdoc/>
    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount) => Give(1, out blockCount);

    /// <inheritdoc/>
    public CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        LaunchCount++;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemAlloc(out ulong address, nuint byteCount)
    {
        AllocationCount++;
        address = _nextAddress;
        _nextAddress += ((ulong)byteCount + 511) / 512 * 512;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemFree(ulong address) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult MemAllocHost(out nint address, nuint byteCount)
    {
        address = (nint)NativeMemory.AllocZeroed(byteCount);
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemFreeHost(nint address)
    {
        NativeMemory.Free((void*)address);
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream)
    {
        NativeMemory.Clear(destination, byteCount);
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult StreamCreate(out nint stream, uint flags) => Make(out stream);

    /// <inheritdoc/>
    public CuResult StreamDestroy(nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult StreamSynchronize(nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult StreamBeginCapture(nint stream, int mode) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult StreamEndCapture(nint stream, out nint graph) => Make(out graph);

    /// <inheritdoc/>
    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags) => Make(out executable);

    /// <inheritdoc/>
    public CuResult GraphLaunch(nint executable, nint stream)
    {
        GraphLaunchCount++;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult GraphExecDestroy(nint executable) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult GraphDestroy(nint graph) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult EventCreate(out nint cudaEvent, uint flags) => Make(out cudaEvent);

    /// <inheritdoc/>
    public CuResult EventRecord(nint cudaEvent, nint stream) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult EventSynchronize(nint cudaEvent) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end)
    {
        elapsedMs = 0;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult EventDestroy(nint cudaEvent) => CuResult.Success;

    /// <inheritdoc/>
    public CuResult GetErrorName(CuResult error, out byte* name)
    {
        name = null;
        return CuResult.InvalidValue;
    }

    private static CuResult Give(int given, out int value)
    {
        value = given;
        return CuResult.Success;
    }

    private CuResult Make(out nint handle)
    {
        handle = _nextHandle++;
        return CuResult.Success;
    }
}
