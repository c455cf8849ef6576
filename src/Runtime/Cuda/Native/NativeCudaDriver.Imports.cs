using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Native;

/// <content>The entry points. A launch may wait for room in the driver's queue, so none of them suppresses the collector's transition.</content>
public sealed unsafe partial class NativeCudaDriver
{
    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuInit(uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDriverGetVersion(out int version);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDeviceGetCount(out int count);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDeviceGet(out int device, int ordinal);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDeviceGetName(byte* name, int byteCount, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDeviceTotalMem_v2(out nuint byteCount, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuDevicePrimaryCtxReset_v2(int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuCtxSetCurrent(nint context);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuCtxSynchronize();

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemGetInfo_v2(out nuint freeByteCount, out nuint totalByteCount);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuModuleLoadData(out nint module, byte* image);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuModuleUnload(nint module);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuModuleGetFunction(out nint function, nint module, byte* name);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuFuncSetAttribute(nint function, CuFunctionAttribute attribute, int value);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuFuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuOccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuLaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemAlloc_v2(out ulong address, nuint byteCount);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemFree_v2(ulong address);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemAllocHost_v2(out nint address, nuint byteCount);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemFreeHost(nint address);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemcpyHtoDAsync_v2(ulong destination, void* source, nuint byteCount, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemcpyDtoHAsync_v2(void* destination, ulong source, nuint byteCount, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemcpyDtoDAsync_v2(ulong destination, ulong source, nuint byteCount, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuMemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamCreate(out nint stream, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamDestroy_v2(nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamSynchronize(nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamWaitEvent(nint stream, nint cudaEvent, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamBeginCapture_v2(nint stream, int mode);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuStreamEndCapture(nint stream, out nint graph);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGraphInstantiate_v2(out nint executable, nint graph, nint* errorNode, byte* log, nuint logByteCount);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGraphExecDestroy(nint executable);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGraphDestroy(nint graph);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuEventCreate(out nint cudaEvent, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuEventRecord(nint cudaEvent, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuEventSynchronize(nint cudaEvent);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuEventElapsedTime(out float elapsedMs, nint start, nint end);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuEventDestroy_v2(nint cudaEvent);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial CuResult cuGetErrorName(CuResult error, out byte* name);
}
