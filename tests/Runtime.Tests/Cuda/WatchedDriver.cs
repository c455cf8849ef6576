using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>The emulated driver; what is issued to which stream is noted, and waits between them can be left out. Linked into the other projects' tests.</summary>
internal sealed unsafe class WatchedDriver(EmulationOptions options, LostWait lost = LostWait.None) : ForwardingDriver(options)
{
    private readonly List<nint> _streams = [];

    public List<StreamCall> Calls { get; } = [];

    /// <summary>How many waits were left out.</summary>
    public int LostCount { get; private set; }

    public override CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        Note(StreamCallKind.Launch, stream);
        return base.LaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedByteCount, stream, parameters, extra);
    }

    public override CuResult GraphLaunch(nint executable, nint stream)
    {
        Note(StreamCallKind.GraphLaunch, stream);
        return base.GraphLaunch(executable, stream);
    }

    public override CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream)
    {
        Note(StreamCallKind.CopyFromHost, stream);
        return base.MemcpyHtoDAsync(destination, source, byteCount, stream);
    }

    public override CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream)
    {
        Note(StreamCallKind.CopyOnDevice, stream);
        return base.MemcpyDtoDAsync(destination, source, byteCount, stream);
    }

    public override CuResult StreamCreate(out nint stream, uint flags)
    {
        CuResult result = base.StreamCreate(out stream, flags);
        _streams.Add(stream);
        return result;
    }

    public override CuResult StreamSynchronize(nint stream)
    {
        Note(StreamCallKind.Synchronize, stream);
        return base.StreamSynchronize(stream);
    }

    public override CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags)
    {
        Note(StreamCallKind.Wait, stream);
        return IsLost(_streams.IndexOf(stream) == 0 ? LostWait.OfOperationsForCopies : LostWait.OfCopiesForOperations)
            ? CuResult.Success
            : base.StreamWaitEvent(stream, cudaEvent, flags);
    }

    public override CuResult EventSynchronize(nint cudaEvent) => IsLost(LostWait.OfHostForCopies) ? CuResult.Success : base.EventSynchronize(cudaEvent);

    private bool IsLost(LostWait wait)
    {
        LostCount += wait == lost ? 1 : 0;
        return wait == lost;
    }

    private void Note(StreamCallKind kind, nint stream) => Calls.Add(new StreamCall(kind, _streams.IndexOf(stream)));
}
