using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Native;

/// <summary>The CUDA driver's library, call by call. See <see cref="CudaLibraries"/> for where it is looked for.</summary>
public sealed unsafe partial class NativeCudaDriver : ICudaDriver
{
    // Drivers of CUDA 11.0 to 11.3 have the call without flags alone.
    private static readonly Lazy<bool> s_graphsHaveFlags =
        new(() => NativeLibrary.TryGetExport(CudaLibraries.DriverHandle, nameof(cuGraphInstantiateWithFlags), out _));

    private NativeCudaDriver()
    {
    }

    /// <summary>The only one: the driver's state is the process's.</summary>
    public static NativeCudaDriver Instance { get; } = new();

    /// <inheritdoc/>
    public CuResult Init() => cuInit(0);

    /// <inheritdoc/>
    public CuResult DriverGetVersion(out int version) => cuDriverGetVersion(out version);

    /// <inheritdoc/>
    public CuResult DeviceGetCount(out int count) => cuDeviceGetCount(out count);

    /// <inheritdoc/>
    public CuResult DeviceGet(out int device, int ordinal) => cuDeviceGet(out device, ordinal);

    /// <inheritdoc/>
    public CuResult DeviceGetName(byte* name, int byteCount, int device) => cuDeviceGetName(name, byteCount, device);

    /// <inheritdoc/>
    public CuResult DeviceTotalMem(out nuint byteCount, int device) => cuDeviceTotalMem_v2(out byteCount, device);

    /// <inheritdoc/>
    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device) => cuDeviceGetAttribute(out value, attribute, device);

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRetain(out nint context, int device) => cuDevicePrimaryCtxRetain(out context, device);

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRelease(int device) => cuDevicePrimaryCtxRelease_v2(device);

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxReset(int device) => cuDevicePrimaryCtxReset_v2(device);

    /// <inheritdoc/>
    public CuResult CtxSetCurrent(nint context) => cuCtxSetCurrent(context);

    /// <inheritdoc/>
    public CuResult CtxSynchronize() => cuCtxSynchronize();

    /// <inheritdoc/>
    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount) => cuMemGetInfo_v2(out freeByteCount, out totalByteCount);

    /// <inheritdoc/>
    public CuResult ModuleLoadData(out nint module, byte* image) => cuModuleLoadData(out module, image);

    /// <inheritdoc/>
    public CuResult ModuleUnload(nint module) => cuModuleUnload(module);

    /// <inheritdoc/>
    public CuResult ModuleGetFunction(out nint function, nint module, byte* name) => cuModuleGetFunction(out function, module, name);

    /// <inheritdoc/>
    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value) => cuFuncSetAttribute(function, attribute, value);

    /// <inheritdoc/>
    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function) => cuFuncGetAttribute(out value, attribute, function);

    /// <inheritdoc/>
    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount) => cuOccupancyMaxActiveBlocksPerMultiprocessor(out blockCount, function, threadsPerBlock, dynamicSharedByteCount);

    /// <inheritdoc/>
    public CuResult LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra) => cuLaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, stream, parameters, extra);

    /// <inheritdoc/>
    public CuResult MemAlloc(out ulong address, nuint byteCount) => cuMemAlloc_v2(out address, byteCount);

    /// <inheritdoc/>
    public CuResult MemFree(ulong address) => cuMemFree_v2(address);

    /// <inheritdoc/>
    public CuResult MemAllocHost(out nint address, nuint byteCount) => cuMemAllocHost_v2(out address, byteCount);

    /// <inheritdoc/>
    public CuResult MemFreeHost(nint address) => cuMemFreeHost(address);

    /// <inheritdoc/>
    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) => cuMemcpyHtoDAsync_v2(destination, source, byteCount, stream);

    /// <inheritdoc/>
    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream) => cuMemcpyDtoHAsync_v2(destination, source, byteCount, stream);

    /// <inheritdoc/>
    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) => cuMemcpyDtoDAsync_v2(destination, source, byteCount, stream);

    /// <inheritdoc/>
    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) => cuMemsetD8Async(destination, value, byteCount, stream);

    /// <inheritdoc/>
    public CuResult StreamCreate(out nint stream, uint flags) => cuStreamCreate(out stream, flags);

    /// <inheritdoc/>
    public CuResult StreamDestroy(nint stream) => cuStreamDestroy_v2(stream);

    /// <inheritdoc/>
    public CuResult StreamSynchronize(nint stream) => cuStreamSynchronize(stream);

    /// <inheritdoc/>
    public CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags) => cuStreamWaitEvent(stream, cudaEvent, flags);

    /// <inheritdoc/>
    public CuResult StreamBeginCapture(nint stream, int mode) => cuStreamBeginCapture_v2(stream, mode);

    /// <inheritdoc/>
    public CuResult StreamEndCapture(nint stream, out nint graph) => cuStreamEndCapture(stream, out graph);

    /// <inheritdoc/>
    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags) =>
        s_graphsHaveFlags.Value || flags != 0
            ? cuGraphInstantiateWithFlags(out executable, graph, flags)
            : cuGraphInstantiate_v2(out executable, graph, null, null, 0);

    /// <inheritdoc/>
    public CuResult GraphLaunch(nint executable, nint stream) => cuGraphLaunch(executable, stream);

    /// <inheritdoc/>
    public CuResult GraphExecDestroy(nint executable) => cuGraphExecDestroy(executable);

    /// <inheritdoc/>
    public CuResult GraphDestroy(nint graph) => cuGraphDestroy(graph);

    /// <inheritdoc/>
    public CuResult EventCreate(out nint cudaEvent, uint flags) => cuEventCreate(out cudaEvent, flags);

    /// <inheritdoc/>
    public CuResult EventRecord(nint cudaEvent, nint stream) => cuEventRecord(cudaEvent, stream);

    /// <inheritdoc/>
    public CuResult EventSynchronize(nint cudaEvent) => cuEventSynchronize(cudaEvent);

    /// <inheritdoc/>
    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end) => cuEventElapsedTime(out elapsedMs, start, end);

    /// <inheritdoc/>
    public CuResult EventDestroy(nint cudaEvent) => cuEventDestroy_v2(cudaEvent);

    /// <inheritdoc/>
    public CuResult GetErrorName(CuResult error, out byte* name) => cuGetErrorName(error, out name);
}
