using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>The emulated driver behind another name: what derives from it changes single calls. Linked into the other projects' tests.</summary>
internal unsafe class ForwardingDriver(EmulationOptions options) : ICudaDriver, IDisposable
{
    private readonly EmulatedDriver _driver = new(options);

    public string? ErrorDetail => ((ICudaDriver)_driver).ErrorDetail;

    public void Dispose()
    {
        _driver.Dispose();
        GC.SuppressFinalize(this);
    }

    public CuResult Init() => _driver.Init();

    public CuResult DriverGetVersion(out int version) => _driver.DriverGetVersion(out version);

    public CuResult DeviceGetCount(out int count) => _driver.DeviceGetCount(out count);

    public CuResult DeviceGet(out int device, int ordinal) => _driver.DeviceGet(out device, ordinal);

    public CuResult DeviceGetName(byte* name, int byteCount, int device) => _driver.DeviceGetName(name, byteCount, device);

    public CuResult DeviceTotalMem(out nuint byteCount, int device) => _driver.DeviceTotalMem(out byteCount, device);

    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device) => _driver.DeviceGetAttribute(out value, attribute, device);

    public CuResult DevicePrimaryCtxRetain(out nint context, int device) => _driver.DevicePrimaryCtxRetain(out context, device);

    public CuResult DevicePrimaryCtxRelease(int device) => _driver.DevicePrimaryCtxRelease(device);

    public CuResult DevicePrimaryCtxReset(int device) => _driver.DevicePrimaryCtxReset(device);

    public CuResult CtxSetCurrent(nint context) => _driver.CtxSetCurrent(context);

    public CuResult CtxSynchronize() => _driver.CtxSynchronize();

    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount) => _driver.MemGetInfo(out freeByteCount, out totalByteCount);

    public CuResult ModuleLoadData(out nint module, byte* image) => _driver.ModuleLoadData(out module, image);

    public CuResult ModuleUnload(nint module) => _driver.ModuleUnload(module);

    public CuResult ModuleGetFunction(out nint function, nint module, byte* name) => _driver.ModuleGetFunction(out function, module, name);

    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value) => _driver.FuncSetAttribute(function, attribute, value);

    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function) => _driver.FuncGetAttribute(out value, attribute, function);

    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount) => _driver.OccupancyMaxActiveBlocksPerMultiprocessor(out blockCount, function, threadsPerBlock, dynamicSharedByteCount);

    public virtual CuResult LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra) => _driver.LaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, stream, parameters, extra);

    public CuResult MemAlloc(out ulong address, nuint byteCount) => _driver.MemAlloc(out address, byteCount);

    public CuResult MemFree(ulong address) => _driver.MemFree(address);

    public CuResult MemAllocHost(out nint address, nuint byteCount) => _driver.MemAllocHost(out address, byteCount);

    public CuResult MemFreeHost(nint address) => _driver.MemFreeHost(address);

    public virtual CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) => _driver.MemcpyHtoDAsync(destination, source, byteCount, stream);

    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream) => _driver.MemcpyDtoHAsync(destination, source, byteCount, stream);

    public virtual CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) => _driver.MemcpyDtoDAsync(destination, source, byteCount, stream);

    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) => _driver.MemsetD8Async(destination, value, byteCount, stream);

    public virtual CuResult StreamCreate(out nint stream, uint flags) => _driver.StreamCreate(out stream, flags);

    public CuResult StreamDestroy(nint stream) => _driver.StreamDestroy(stream);

    public virtual CuResult StreamSynchronize(nint stream) => _driver.StreamSynchronize(stream);

    public virtual CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags) => _driver.StreamWaitEvent(stream, cudaEvent, flags);

    public CuResult StreamBeginCapture(nint stream, int mode) => _driver.StreamBeginCapture(stream, mode);

    public CuResult StreamEndCapture(nint stream, out nint graph) => _driver.StreamEndCapture(stream, out graph);

    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags) => _driver.GraphInstantiate(out executable, graph, flags);

    public virtual CuResult GraphLaunch(nint executable, nint stream) => _driver.GraphLaunch(executable, stream);

    public CuResult GraphExecDestroy(nint executable) => _driver.GraphExecDestroy(executable);

    public CuResult GraphDestroy(nint graph) => _driver.GraphDestroy(graph);

    public CuResult EventCreate(out nint cudaEvent, uint flags) => _driver.EventCreate(out cudaEvent, flags);

    public CuResult EventRecord(nint cudaEvent, nint stream) => _driver.EventRecord(cudaEvent, stream);

    public virtual CuResult EventSynchronize(nint cudaEvent) => _driver.EventSynchronize(cudaEvent);

    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end) => _driver.EventElapsedTime(out elapsedMs, start, end);

    public CuResult EventDestroy(nint cudaEvent) => _driver.EventDestroy(cudaEvent);

    public CuResult GetErrorName(CuResult error, out byte* name) => _driver.GetErrorName(error, out name);
}
