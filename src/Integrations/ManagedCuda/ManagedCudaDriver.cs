using System.Runtime.InteropServices;
using CrossAlign.Runtime.Cuda;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using Library = ManagedCuda.DriverAPINativeMethods;

namespace CrossAlign.Integrations.ManagedCuda;

/// <summary>
/// The CUDA driver through ManagedCuda's declarations of its entry points, call by call. Its classes (contexts, kernels, streams) are not
/// used: a kernel's <c>Run</c> makes two events and waits for each launch.
/// </summary>
public sealed unsafe class ManagedCudaDriver : ICudaDriver
{
    // The driver reads as many of these as the kernel has parameters. Kept, so that a launch puts nothing on the managed heap.
    [ThreadStatic]
    private static IntPtr[]? s_parameters;

    internal ManagedCudaDriver()
    {
    }

    /// <inheritdoc/>
    public CuResult Init() => (CuResult)Library.cuInit(CUInitializationFlags.None);

    /// <inheritdoc/>
    public CuResult DriverGetVersion(out int version)
    {
        version = 0;
        return (CuResult)Library.cuDriverGetVersion(ref version);
    }

    /// <inheritdoc/>
    public CuResult DeviceGetCount(out int count)
    {
        count = 0;
        return (CuResult)Library.DeviceManagement.cuDeviceGetCount(ref count);
    }

    /// <inheritdoc/>
    public CuResult DeviceGet(out int device, int ordinal)
    {
        CUdevice found = default;
        CUResult result = Library.DeviceManagement.cuDeviceGet(ref found, ordinal);
        device = found.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetName(byte* name, int byteCount, int device)
    {
        byte[] text = new byte[byteCount];
        CUResult result = Library.DeviceManagement.cuDeviceGetName(text, byteCount, Device(device));
        text.CopyTo(new Span<byte>(name, byteCount));
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult DeviceTotalMem(out nuint byteCount, int device)
    {
        SizeT size = default;
        CUResult result = Library.DeviceManagement.cuDeviceTotalMem_v2(ref size, Device(device));
        byteCount = (nuint)(ulong)size;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device)
    {
        value = 0;
        return (CuResult)Library.DeviceManagement.cuDeviceGetAttribute(ref value, (CUDeviceAttribute)(int)attribute, Device(device));
    }

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRetain(out nint context, int device)
    {
        CUcontext retained = default;
        CUResult result = Library.ContextManagement.cuDevicePrimaryCtxRetain(ref retained, Device(device));
        context = retained.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRelease(int device) => (CuResult)Library.ContextManagement.cuDevicePrimaryCtxRelease(Device(device));

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxReset(int device) => (CuResult)Library.ContextManagement.cuDevicePrimaryCtxReset(Device(device));

    /// <inheritdoc/>
    public CuResult CtxSetCurrent(nint context) => (CuResult)Library.ContextManagement.cuCtxSetCurrent(new CUcontext { Pointer = context });

    /// <inheritdoc/>
    public CuResult CtxSynchronize() => (CuResult)Library.ContextManagement.cuCtxSynchronize();

    /// <inheritdoc/>
    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount)
    {
        SizeT free = default;
        SizeT total = default;
        CUResult result = Library.MemoryManagement.cuMemGetInfo_v2(ref free, ref total);
        freeByteCount = (nuint)(ulong)free;
        totalByteCount = (nuint)(ulong)total;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult ModuleLoadData(out nint module, byte* image)
    {
        // With the NUL that ends it.
        int length = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(image).Length + 1;
        CUmodule loaded = default;
        CUResult result = Library.ModuleManagement.cuModuleLoadData(ref loaded, new ReadOnlySpan<byte>(image, length).ToArray());
        module = loaded.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult ModuleUnload(nint module) => (CuResult)Library.ModuleManagement.cuModuleUnload(new CUmodule { Pointer = module });

    /// <inheritdoc/>
    public CuResult ModuleGetFunction(out nint function, nint module, byte* name)
    {
        CUfunction found = default;
        CUResult result = Library.ModuleManagement.cuModuleGetFunction(
            ref found, new CUmodule { Pointer = module }, Marshal.PtrToStringUTF8((nint)name) ?? string.Empty);
        function = found.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value) =>
        (CuResult)Library.FunctionManagement.cuFuncSetAttribute(Function(function), (CUFunctionAttribute)(int)attribute, value);

    /// <inheritdoc/>
    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function)
    {
        value = 0;
        return (CuResult)Library.FunctionManagement.cuFuncGetAttribute(ref value, (CUFunctionAttribute)(int)attribute, Function(function));
    }

    /// <inheritdoc/>
    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount)
    {
        blockCount = 0;
        return (CuResult)Library.Occupancy.cuOccupancyMaxActiveBlocksPerMultiprocessor(ref blockCount, Function(function), threadsPerBlock, Size(dynamicSharedByteCount));
    }

    /// <inheritdoc/>
    public CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        if (extra != null)
        {
            return CuResult.InvalidValue;
        }

        s_parameters ??= new IntPtr[KernelArguments.MaxCount];
        new ReadOnlySpan<IntPtr>(parameters, KernelArguments.MaxCount).CopyTo(s_parameters);
        return (CuResult)Library.Launch.cuLaunchKernel(
            Function(function), gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, Stream(stream), s_parameters, null);
    }

    /// <inheritdoc/>
    public CuResult MemAlloc(out ulong address, nuint byteCount)
    {
        CUdeviceptr taken = default;
        CUResult result = Library.MemoryManagement.cuMemAlloc_v2(ref taken, Size(byteCount));
        address = taken;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult MemFree(ulong address) => (CuResult)Library.MemoryManagement.cuMemFree_v2(Address(address));

    /// <inheritdoc/>
    public CuResult MemAllocHost(out nint address, nuint byteCount)
    {
        address = 0;
        return (CuResult)Library.MemoryManagement.cuMemAllocHost_v2(ref address, Size(byteCount));
    }

    /// <inheritdoc/>
    public CuResult MemFreeHost(nint address) => (CuResult)Library.MemoryManagement.cuMemFreeHost(address);

    /// <inheritdoc/>
    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream) =>
        (CuResult)Library.AsynchronousMemcpy_v2.cuMemcpyHtoDAsync_v2(Address(destination), (nint)source, Size(byteCount), Stream(stream));

    /// <inheritdoc/>
    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream) =>
        (CuResult)Library.AsynchronousMemcpy_v2.cuMemcpyDtoHAsync_v2((nint)destination, Address(source), Size(byteCount), Stream(stream));

    /// <inheritdoc/>
    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream) =>
        (CuResult)Library.AsynchronousMemcpy_v2.cuMemcpyDtoDAsync_v2(Address(destination), Address(source), Size(byteCount), Stream(stream));

    /// <inheritdoc/>
    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream) =>
        (CuResult)Library.MemsetAsync.cuMemsetD8Async(Address(destination), value, Size(byteCount), Stream(stream));

    /// <inheritdoc/>
    public CuResult StreamCreate(out nint stream, uint flags)
    {
        CUstream made = default;
        CUResult result = Library.Streams.cuStreamCreate(ref made, (CUStreamFlags)flags);
        stream = made.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult StreamDestroy(nint stream) => (CuResult)Library.Streams.cuStreamDestroy_v2(Stream(stream));

    /// <inheritdoc/>
    public CuResult StreamSynchronize(nint stream) => (CuResult)Library.Streams.cuStreamSynchronize(Stream(stream));

    /// <inheritdoc/>
    public CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags) =>
        (CuResult)Library.Streams.cuStreamWaitEvent(Stream(stream), Event(cudaEvent), flags);

    /// <inheritdoc/>
    public CuResult StreamBeginCapture(nint stream, int mode) =>
        (CuResult)Library.Streams.cuStreamBeginCapture(Stream(stream), (CUstreamCaptureMode)mode);

    /// <inheritdoc/>
    public CuResult StreamEndCapture(nint stream, out nint graph)
    {
        CUgraph captured = default;
        CUResult result = Library.Streams.cuStreamEndCapture(Stream(stream), ref captured);
        graph = captured.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags)
    {
        CUgraphExec made = default;
        CUResult result = Library.GraphManagment.cuGraphInstantiate(ref made, new CUgraph { Pointer = graph }, (CUgraphInstantiate_flags)flags);
        executable = made.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult GraphLaunch(nint executable, nint stream) =>
        (CuResult)Library.GraphManagment.cuGraphLaunch(new CUgraphExec { Pointer = executable }, Stream(stream));

    /// <inheritdoc/>
    public CuResult GraphExecDestroy(nint executable) => (CuResult)Library.GraphManagment.cuGraphExecDestroy(new CUgraphExec { Pointer = executable });

    /// <inheritdoc/>
    public CuResult GraphDestroy(nint graph) => (CuResult)Library.GraphManagment.cuGraphDestroy(new CUgraph { Pointer = graph });

    /// <inheritdoc/>
    public CuResult EventCreate(out nint cudaEvent, uint flags)
    {
        CUevent made = default;
        CUResult result = Library.Events.cuEventCreate(ref made, (CUEventFlags)flags);
        cudaEvent = made.Pointer;
        return (CuResult)result;
    }

    /// <inheritdoc/>
    public CuResult EventRecord(nint cudaEvent, nint stream) => (CuResult)Library.Events.cuEventRecord(Event(cudaEvent), Stream(stream));

    /// <inheritdoc/>
    public CuResult EventSynchronize(nint cudaEvent) => (CuResult)Library.Events.cuEventSynchronize(Event(cudaEvent));

    /// <inheritdoc/>
    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end)
    {
        // Its second version needs a driver from CUDA 12.8 on.
        elapsedMs = 0;
        return (CuResult)Library.Events.cuEventElapsedTime(ref elapsedMs, Event(start), Event(end));
    }

    /// <inheritdoc/>
    public CuResult EventDestroy(nint cudaEvent) => (CuResult)Library.Events.cuEventDestroy_v2(Event(cudaEvent));

    /// <inheritdoc/>
    public CuResult GetErrorName(CuResult error, out byte* name)
    {
        nint text = 0;
        CUResult result = Library.ErrorHandling.cuGetErrorName((CUResult)(int)error, ref text);
        name = (byte*)text;
        return (CuResult)result;
    }

    private static CUdevice Device(int device) => new() { Pointer = device };

    private static CUfunction Function(nint function) => new() { Pointer = function };

    private static CUstream Stream(nint stream) => new() { Pointer = stream };

    private static CUevent Event(nint cudaEvent) => new() { Pointer = cudaEvent };

    private static CUdeviceptr Address(ulong address) => new(Size((nuint)address));

    private static SizeT Size(nuint byteCount) => (ulong)byteCount;
}
