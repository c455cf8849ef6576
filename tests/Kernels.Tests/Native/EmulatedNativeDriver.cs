using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Native;

/// <summary>The emulated driver as C functions: what the forwarding library calls. See <see cref="NativeBindingTests"/>.</summary>
internal static unsafe class EmulatedNativeDriver
{
    /// <summary>The variable with the path of the forwarding library, set for the child process that runs the suite over the binding.</summary>
    public const string Variable = "CROSSALIGN_TEST_FORWARD";

    private static EmulatedDriver s_driver = null!;
    private static EmulatedCublas s_cublas = null!;

    /// <summary>In the child process, before anything loads the driver: connects the library with an emulated driver of this process.</summary>
#pragma warning disable CA2255 // a test process, and the library must be connected before the first test asks for a GPU
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Connect()
    {
#if WITH_MANAGED_CUDA
        CudaBinding.Use(CrossAlign.Integrations.ManagedCuda.ManagedCudaBinding.Create());
#endif
        string? path = Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(path))
        {
            return;
        }

        s_driver = new EmulatedDriver(new EmulationOptions());
        s_cublas = new EmulatedCublas(s_driver);
        nint library = NativeLibrary.Load(path);
        delegate* unmanaged[Cdecl]<nint*, int, int> connect = (delegate* unmanaged[Cdecl]<nint*, int, int>)NativeLibrary.GetExport(library, "crossalign_forward");
        nint[] entries =
        [
            (nint)(delegate* unmanaged[Cdecl]<uint, int>)&Init,
            (nint)(delegate* unmanaged[Cdecl]<int*, int>)&DriverGetVersion,
            (nint)(delegate* unmanaged[Cdecl]<int*, int>)&DeviceGetCount,
            (nint)(delegate* unmanaged[Cdecl]<int*, int, int>)&DeviceGet,
            (nint)(delegate* unmanaged[Cdecl]<byte*, int, int, int>)&DeviceGetName,
            (nint)(delegate* unmanaged[Cdecl]<nuint*, int, int>)&DeviceTotalMem,
            (nint)(delegate* unmanaged[Cdecl]<int*, int, int, int>)&DeviceGetAttribute,
            (nint)(delegate* unmanaged[Cdecl]<nint*, int, int>)&DevicePrimaryCtxRetain,
            (nint)(delegate* unmanaged[Cdecl]<int, int>)&DevicePrimaryCtxRelease,
            (nint)(delegate* unmanaged[Cdecl]<int, int>)&DevicePrimaryCtxReset,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&CtxSetCurrent,
            (nint)(delegate* unmanaged[Cdecl]<int>)&CtxSynchronize,
            (nint)(delegate* unmanaged[Cdecl]<nuint*, nuint*, int>)&MemGetInfo,
            (nint)(delegate* unmanaged[Cdecl]<nint*, byte*, int>)&ModuleLoadData,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&ModuleUnload,
            (nint)(delegate* unmanaged[Cdecl]<nint*, nint, byte*, int>)&ModuleGetFunction,
            (nint)(delegate* unmanaged[Cdecl]<nint, int, int, int>)&FuncSetAttribute,
            (nint)(delegate* unmanaged[Cdecl]<int*, int, nint, int>)&FuncGetAttribute,
            (nint)(delegate* unmanaged[Cdecl]<int*, nint, int, nuint, int>)&OccupancyMaxActiveBlocksPerMultiprocessor,
            (nint)(delegate* unmanaged[Cdecl]<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)&LaunchKernel,
            (nint)(delegate* unmanaged[Cdecl]<ulong*, nuint, int>)&MemAlloc,
            (nint)(delegate* unmanaged[Cdecl]<ulong, int>)&MemFree,
            (nint)(delegate* unmanaged[Cdecl]<nint*, nuint, int>)&MemAllocHost,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&MemFreeHost,
            (nint)(delegate* unmanaged[Cdecl]<ulong, void*, nuint, nint, int>)&MemcpyHtoDAsync,
            (nint)(delegate* unmanaged[Cdecl]<void*, ulong, nuint, nint, int>)&MemcpyDtoHAsync,
            (nint)(delegate* unmanaged[Cdecl]<ulong, ulong, nuint, nint, int>)&MemcpyDtoDAsync,
            (nint)(delegate* unmanaged[Cdecl]<ulong, byte, nuint, nint, int>)&MemsetD8Async,
            (nint)(delegate* unmanaged[Cdecl]<nint*, uint, int>)&StreamCreate,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&StreamDestroy,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&StreamSynchronize,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint, uint, int>)&StreamWaitEvent,
            (nint)(delegate* unmanaged[Cdecl]<nint, int, int>)&StreamBeginCapture,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint*, int>)&StreamEndCapture,
            (nint)(delegate* unmanaged[Cdecl]<nint*, nint, ulong, int>)&GraphInstantiate,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&GraphLaunch,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&GraphExecDestroy,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&GraphDestroy,
            (nint)(delegate* unmanaged[Cdecl]<nint*, uint, int>)&EventCreate,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&EventRecord,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&EventSynchronize,
            (nint)(delegate* unmanaged[Cdecl]<float*, nint, nint, int>)&EventElapsedTime,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&EventDestroy,
            (nint)(delegate* unmanaged[Cdecl]<int, byte**, int>)&GetErrorName,
            (nint)(delegate* unmanaged[Cdecl]<nint*, int>)&BlasCreate,
            (nint)(delegate* unmanaged[Cdecl]<nint, int>)&BlasDestroy,
            (nint)(delegate* unmanaged[Cdecl]<nint, int*, int>)&BlasGetVersion,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&BlasSetStream,
            (nint)(delegate* unmanaged[Cdecl]<nint, ulong, nuint, int>)&BlasSetWorkspace,
            (nint)(delegate* unmanaged[Cdecl]<nint, int, int>)&BlasSetMathMode,
            (nint)(delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, void*, ulong, int, int, ulong, int, int, void*, ulong, int, int, int, int, int>)&BlasGemmEx,
            (nint)(delegate* unmanaged[Cdecl]<nint, int, int, int, int, int, void*, ulong, int, int, long, ulong, int, int, long, void*, ulong, int, int, long, int, int, int, int>)&BlasGemmStridedBatchedEx,
        ];
        fixed (nint* p = entries)
        {
            int expected = connect(p, entries.Length);
            if (expected != 0)
            {
                throw new InvalidOperationException($"The forwarding library has {expected} entries, the table {entries.Length}.");
            }
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Init(uint flags) => flags == 0 ? (int)s_driver.Init() : (int)CuResult.InvalidValue;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DriverGetVersion(int* version) => (int)s_driver.DriverGetVersion(out *version);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DeviceGetCount(int* count) => (int)s_driver.DeviceGetCount(out *count);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DeviceGet(int* device, int ordinal) => (int)s_driver.DeviceGet(out *device, ordinal);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DeviceGetName(byte* name, int byteCount, int device) => (int)s_driver.DeviceGetName(name, byteCount, device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DeviceTotalMem(nuint* byteCount, int device) => (int)s_driver.DeviceTotalMem(out *byteCount, device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DeviceGetAttribute(int* value, int attribute, int device) => (int)s_driver.DeviceGetAttribute(out *value, (CuDeviceAttribute)attribute, device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DevicePrimaryCtxRetain(nint* context, int device) => (int)s_driver.DevicePrimaryCtxRetain(out *context, device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DevicePrimaryCtxRelease(int device) => (int)s_driver.DevicePrimaryCtxRelease(device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int DevicePrimaryCtxReset(int device) => (int)s_driver.DevicePrimaryCtxReset(device);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int CtxSetCurrent(nint context) => (int)s_driver.CtxSetCurrent(context);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int CtxSynchronize() => (int)s_driver.CtxSynchronize();

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemGetInfo(nuint* freeByteCount, nuint* totalByteCount) => (int)s_driver.MemGetInfo(out *freeByteCount, out *totalByteCount);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int ModuleLoadData(nint* module, byte* image) => (int)s_driver.ModuleLoadData(out *module, image);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int ModuleUnload(nint module) => (int)s_driver.ModuleUnload(module);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int ModuleGetFunction(nint* function, nint module, byte* name) => (int)s_driver.ModuleGetFunction(out *function, module, name);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int FuncSetAttribute(nint function, int attribute, int value) => (int)s_driver.FuncSetAttribute(function, (CuFunctionAttribute)attribute, value);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int FuncGetAttribute(int* value, int attribute, nint function) => (int)s_driver.FuncGetAttribute(out *value, (CuFunctionAttribute)attribute, function);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OccupancyMaxActiveBlocksPerMultiprocessor(int* blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount) => (int)s_driver.OccupancyMaxActiveBlocksPerMultiprocessor(out *blockCount, function, threadsPerBlock, dynamicSharedByteCount);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra) => (int)s_driver.LaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, stream, parameters, extra);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemAlloc(ulong* address, nuint byteCount) => (int)s_driver.MemAlloc(out *address, byteCount);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemFree(ulong address) => (int)s_driver.MemFree(address);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemAllocHost(nint* address, nuint byteCount) => (int)s_driver.MemAllocHost(out *address, byteCount);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemFreeHost(nint address) => (int)s_driver.MemFreeHost(address);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) => (int)s_driver.MemcpyHtoDAsync(destination, source, byteCount, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream) => (int)s_driver.MemcpyDtoHAsync(destination, source, byteCount, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) => (int)s_driver.MemcpyDtoDAsync(destination, source, byteCount, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) => (int)s_driver.MemsetD8Async(destination, value, byteCount, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamCreate(nint* stream, uint flags) => (int)s_driver.StreamCreate(out *stream, flags);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamDestroy(nint stream) => (int)s_driver.StreamDestroy(stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamSynchronize(nint stream) => (int)s_driver.StreamSynchronize(stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamWaitEvent(nint stream, nint cudaEvent, uint flags) => (int)s_driver.StreamWaitEvent(stream, cudaEvent, flags);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamBeginCapture(nint stream, int mode) => (int)s_driver.StreamBeginCapture(stream, mode);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int StreamEndCapture(nint stream, nint* graph) => (int)s_driver.StreamEndCapture(stream, out *graph);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int GraphInstantiate(nint* executable, nint graph, ulong flags) => (int)s_driver.GraphInstantiate(out *executable, graph, flags);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int GraphLaunch(nint executable, nint stream) => (int)s_driver.GraphLaunch(executable, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int GraphExecDestroy(nint executable) => (int)s_driver.GraphExecDestroy(executable);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int GraphDestroy(nint graph) => (int)s_driver.GraphDestroy(graph);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int EventCreate(nint* cudaEvent, uint flags) => (int)s_driver.EventCreate(out *cudaEvent, flags);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int EventRecord(nint cudaEvent, nint stream) => (int)s_driver.EventRecord(cudaEvent, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int EventSynchronize(nint cudaEvent) => (int)s_driver.EventSynchronize(cudaEvent);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int EventElapsedTime(float* elapsedMs, nint start, nint end) => (int)s_driver.EventElapsedTime(out *elapsedMs, start, end);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int EventDestroy(nint cudaEvent) => (int)s_driver.EventDestroy(cudaEvent);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int GetErrorName(int error, byte** name) => (int)s_driver.GetErrorName((CuResult)error, out *name);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasCreate(nint* handle) => s_cublas.Create(out *handle);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasDestroy(nint handle) => s_cublas.Destroy(handle);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasGetVersion(nint handle, int* version) => s_cublas.GetVersion(handle, out *version);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasSetStream(nint handle, nint stream) => s_cublas.SetStream(handle, stream);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasSetWorkspace(nint handle, ulong workspace, nuint byteCount) => s_cublas.SetWorkspace(handle, workspace, byteCount);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasSetMathMode(nint handle, int mode) => s_cublas.SetMathMode(handle, mode);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasGemmEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, ulong b, int typeB, int ldb, void* beta, ulong c, int typeC, int ldc, int computeType, int algorithm) => s_cublas.GemmEx(handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, b, typeB, ldb, beta, c, typeC, ldc, computeType, algorithm);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int BlasGemmStridedBatchedEx(nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int typeA, int lda, long strideA, ulong b, int typeB, int ldb, long strideB, void* beta, ulong c, int typeC, int ldc, long strideC, int batchCount, int computeType, int algorithm) => s_cublas.GemmStridedBatchedEx(handle, transposeA, transposeB, m, n, k, alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, beta, c, typeC, ldc, strideC, batchCount, computeType, algorithm);
}
