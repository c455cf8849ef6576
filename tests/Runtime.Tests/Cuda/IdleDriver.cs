using System.Runtime.InteropServices;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>
/// A driver that takes every call and does nothing: addresses of the device lead nowhere, what is copied from there is zero. It puts nothing
/// on the managed heap, so that what a call of the runtime puts there shows. Linked into the other projects' tests.
/// </summary>
internal sealed unsafe class IdleDriver : ICudaDriver
{
    private ulong _nextAddress = 1 << 20;
    private nint _nextHandle = 1;

    public int LaunchCount { get; private set; }

    public int GraphLaunchCount { get; private set; }

    public int AllocationCount { get; private set; }

    public CuResult Init() => CuResult.Success;

    public CuResult DriverGetVersion(out int version) => Give(12040, out version);

    public CuResult DeviceGetCount(out int count) => Give(1, out count);

    public CuResult DeviceGet(out int device, int ordinal) => Give(ordinal, out device);

    public CuResult DeviceGetName(byte* name, int byteCount, int device)
    {
        *name = 0;
        return CuResult.Success;
    }

    public CuResult DeviceTotalMem(out nuint byteCount, int device)
    {
        byteCount = (nuint)1 << 33;
        return CuResult.Success;
    }

    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device) => Give(
        attribute switch
        {
            CuDeviceAttribute.ComputeCapabilityMajor => 8,
            CuDeviceAttribute.ComputeCapabilityMinor => 0,
            CuDeviceAttribute.MultiprocessorCount => 108,
            CuDeviceAttribute.MaxSharedMemoryPerBlockOptin => 163 * 1024,
            CuDeviceAttribute.MaxSharedMemoryPerMultiprocessor => 164 * 1024,
            CuDeviceAttribute.MaxThreadsPerMultiprocessor => 2048,
            CuDeviceAttribute.MaxBlocksPerMultiprocessor => 32,
            _ => 48 * 1024,
        },
        out value);

    public CuResult DevicePrimaryCtxRetain(out nint context, int device) => Make(out context);

    public CuResult DevicePrimaryCtxRelease(int device) => CuResult.Success;

    public CuResult DevicePrimaryCtxReset(int device) => CuResult.Success;

    public CuResult CtxSetCurrent(nint context) => CuResult.Success;

    public CuResult CtxSynchronize() => CuResult.Success;

    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount)
    {
        freeByteCount = totalByteCount = (nuint)1 << 33;
        return CuResult.Success;
    }

    public CuResult ModuleLoadData(out nint module, byte* image) => Make(out module);

    public CuResult ModuleUnload(nint module) => CuResult.Success;

    public CuResult ModuleGetFunction(out nint function, nint module, byte* name) => Make(out function);

    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value) => CuResult.Success;

    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function) => Give(0, out value);

    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount) => Give(1, out blockCount);

    public CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        LaunchCount++;
        return CuResult.Success;
    }

    public CuResult MemAlloc(out ulong address, nuint byteCount)
    {
        AllocationCount++;
        address = _nextAddress;
        _nextAddress += ((ulong)byteCount + 511) / 512 * 512;
        return CuResult.Success;
    }

    public CuResult MemFree(ulong address) => CuResult.Success;

    public CuResult MemAllocHost(out nint address, nuint byteCount)
    {
        address = (nint)NativeMemory.AllocZeroed(byteCount);
        return CuResult.Success;
    }

    public CuResult MemFreeHost(nint address)
    {
        NativeMemory.Free((void*)address);
        return CuResult.Success;
    }

    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) => CuResult.Success;

    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream)
    {
        NativeMemory.Clear(destination, byteCount);
        return CuResult.Success;
    }

    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) => CuResult.Success;

    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) => CuResult.Success;

    public CuResult StreamCreate(out nint stream, uint flags) => Make(out stream);

    public CuResult StreamDestroy(nint stream) => CuResult.Success;

    public CuResult StreamSynchronize(nint stream) => CuResult.Success;

    public CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags) => CuResult.Success;

    public CuResult StreamBeginCapture(nint stream, int mode) => CuResult.Success;

    public CuResult StreamEndCapture(nint stream, out nint graph) => Make(out graph);

    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags) => Make(out executable);

    public CuResult GraphLaunch(nint executable, nint stream)
    {
        GraphLaunchCount++;
        return CuResult.Success;
    }

    public CuResult GraphExecDestroy(nint executable) => CuResult.Success;

    public CuResult GraphDestroy(nint graph) => CuResult.Success;

    public CuResult EventCreate(out nint cudaEvent, uint flags) => Make(out cudaEvent);

    public CuResult EventRecord(nint cudaEvent, nint stream) => CuResult.Success;

    public CuResult EventSynchronize(nint cudaEvent) => CuResult.Success;

    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end)
    {
        elapsedMs = 0;
        return CuResult.Success;
    }

    public CuResult EventDestroy(nint cudaEvent) => CuResult.Success;

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
