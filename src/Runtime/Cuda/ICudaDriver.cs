namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// The part of the CUDA driver API that the runtime uses, call by call: names, order and meaning of the parameters are the driver's
/// (<c>MemAlloc</c> is <c>cuMemAlloc_v2</c>, and so on). Implemented over the driver's library, over ManagedCuda, and by the emulated device.
/// </summary>
public unsafe interface ICudaDriver
{
    /// <summary>What is known about the last error beyond its number, or null.</summary>
    string? ErrorDetail => null;

    /// <summary>cuInit.</summary>
    CuResult Init();

    /// <summary>cuDriverGetVersion: 12040 for 12.4.</summary>
    CuResult DriverGetVersion(out int version);

    /// <summary>cuDeviceGetCount.</summary>
    CuResult DeviceGetCount(out int count);

    /// <summary>cuDeviceGet.</summary>
    CuResult DeviceGet(out int device, int ordinal);

    /// <summary>cuDeviceGetName: NUL-terminated.</summary>
    CuResult DeviceGetName(byte* name, int byteCount, int device);

    /// <summary>cuDeviceTotalMem_v2.</summary>
    CuResult DeviceTotalMem(out nuint byteCount, int device);

    /// <summary>cuDeviceGetAttribute.</summary>
    CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device);

    /// <summary>cuDevicePrimaryCtxRetain.</summary>
    CuResult DevicePrimaryCtxRetain(out nint context, int device);

    /// <summary>cuDevicePrimaryCtxRelease_v2.</summary>
    CuResult DevicePrimaryCtxRelease(int device);

    /// <summary>cuDevicePrimaryCtxReset_v2.</summary>
    CuResult DevicePrimaryCtxReset(int device);

    /// <summary>cuCtxSetCurrent: for the calling thread.</summary>
    CuResult CtxSetCurrent(nint context);

    /// <summary>cuCtxSynchronize.</summary>
    CuResult CtxSynchronize();

    /// <summary>cuMemGetInfo_v2.</summary>
    CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount);

    /// <summary>cuModuleLoadData: PTX text, NUL-terminated.</summary>
    CuResult ModuleLoadData(out nint module, byte* image);

    /// <summary>cuModuleUnload.</summary>
    CuResult ModuleUnload(nint module);

    /// <summary>cuModuleGetFunction.</summary>
    CuResult ModuleGetFunction(out nint function, nint module, byte* name);

    /// <summary>cuFuncSetAttribute.</summary>
    CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value);

    /// <summary>cuFuncGetAttribute.</summary>
    CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function);

    /// <summary>cuOccupancyMaxActiveBlocksPerMultiprocessor.</summary>
    CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount);

    /// <summary>cuLaunchKernel. The parameters lie in room for <see cref="KernelArguments.MaxCount"/> pointers, of which the kernel reads its own; there is no extra.</summary>
    CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra);

    /// <summary>cuMemAlloc_v2.</summary>
    CuResult MemAlloc(out ulong address, nuint byteCount);

    /// <summary>cuMemFree_v2.</summary>
    CuResult MemFree(ulong address);

    /// <summary>cuMemAllocHost_v2: page-locked memory.</summary>
    CuResult MemAllocHost(out nint address, nuint byteCount);

    /// <summary>cuMemFreeHost.</summary>
    CuResult MemFreeHost(nint address);

    /// <summary>cuMemcpyHtoDAsync_v2.</summary>
    CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream);

    /// <summary>cuMemcpyDtoHAsync_v2.</summary>
    CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream);

    /// <summary>cuMemcpyDtoDAsync_v2.</summary>
    CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream);

    /// <summary>cuMemsetD8Async.</summary>
    CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream);

    /// <summary>cuStreamCreate.</summary>
    CuResult StreamCreate(out nint stream, uint flags);

    /// <summary>cuStreamDestroy_v2.</summary>
    CuResult StreamDestroy(nint stream);

    /// <summary>cuStreamSynchronize.</summary>
    CuResult StreamSynchronize(nint stream);

    /// <summary>cuStreamWaitEvent.</summary>
    CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags);

    /// <summary>cuStreamBeginCapture_v2; mode 0 is global.</summary>
    CuResult StreamBeginCapture(nint stream, int mode);

    /// <summary>cuStreamEndCapture.</summary>
    CuResult StreamEndCapture(nint stream, out nint graph);

    /// <summary>cuGraphInstantiateWithFlags; without flags cuGraphInstantiate_v2 does the same on drivers that are older than CUDA 11.4.</summary>
    CuResult GraphInstantiate(out nint executable, nint graph, ulong flags);

    /// <summary>cuGraphLaunch.</summary>
    CuResult GraphLaunch(nint executable, nint stream);

    /// <summary>cuGraphExecDestroy.</summary>
    CuResult GraphExecDestroy(nint executable);

    /// <summary>cuGraphDestroy.</summary>
    CuResult GraphDestroy(nint graph);

    /// <summary>cuEventCreate.</summary>
    CuResult EventCreate(out nint cudaEvent, uint flags);

    /// <summary>cuEventRecord.</summary>
    CuResult EventRecord(nint cudaEvent, nint stream);

    /// <summary>cuEventSynchronize.</summary>
    CuResult EventSynchronize(nint cudaEvent);

    /// <summary>cuEventElapsedTime, in milliseconds.</summary>
    CuResult EventElapsedTime(out float elapsedMs, nint start, nint end);

    /// <summary>cuEventDestroy_v2.</summary>
    CuResult EventDestroy(nint cudaEvent);

    /// <summary>cuGetErrorName: a static, NUL-terminated string.</summary>
    CuResult GetErrorName(CuResult error, out byte* name);
}
