using System.Globalization;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>Memory, streams, events, graphs and launches.</content>
public sealed unsafe partial class EmulatedDriver
{
    private readonly Dictionary<nint, long> _pinned = [];

    /// <inheritdoc/>
    public CuResult MemGetInfo(out nuint freeByteCount, out nuint totalByteCount)
    {
        totalByteCount = (nuint)_heap.CapacityByteCount;
        freeByteCount = totalByteCount - (nuint)_heap.UsedByteCount;
        return Guard() ?? CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult MemAlloc(out ulong address, nuint byteCount)
    {
        address = 0;
        lock (_lock)
        {
            if (Guard() is { } sticky)
            {
                return sticky;
            }

            if (byteCount == 0)
            {
                return Fail(CuResult.InvalidValue, "an allocation of 0 bytes");
            }

            if (RefuseInCapture() is { } refused)
            {
                return refused;
            }

            Allocation? allocation = _heap.Allocate((long)byteCount);
            if (allocation is null)
            {
                return Fail(CuResult.OutOfMemory, string.Create(
                    CultureInfo.InvariantCulture, $"{byteCount} bytes were asked for, {_heap.CapacityByteCount - _heap.UsedByteCount} of {_heap.CapacityByteCount} are free"));
            }

            address = allocation.Address;
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult MemFree(ulong address)
    {
        lock (_lock)
        {
            // Freeing waits for the device, as cuMemFree does.
            CuResult drained = DrainAll();
            return _heap.Free(address) ? drained : Fail(CuResult.InvalidValue, "the address is not one of an allocation");
        }
    }

    /// <inheritdoc/>
    public CuResult MemAllocHost(out nint address, nuint byteCount)
    {
        lock (_lock)
        {
            address = (nint)NativeMemory.AlignedAlloc(Math.Max(byteCount, 1), 4096);
            _pinned[address] = (long)byteCount;
            return Guard() ?? CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult MemFreeHost(nint address)
    {
        lock (_lock)
        {
            CuResult drained = DrainAll();
            if (!_pinned.Remove(address))
            {
                return CuResult.InvalidValue;
            }

            NativeMemory.AlignedFree((void*)address);
            return drained;
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyHtoDAsync(ulong destination, void* source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            // Page-locked memory is read when the copy runs; other memory is read at once, as the driver stages it.
            nint from = (nint)source;
            byte[]? staged = IsPinned(from, (long)byteCount) ? null : new ReadOnlySpan<byte>(source, checked((int)byteCount)).ToArray();
            return Enqueue(stream, () =>
            {
                Allocation allocation = Require(destination, (long)byteCount, "the destination of a copy");
                long offset = (long)(destination - allocation.Address);
                if (staged is null)
                {
                    Buffer.MemoryCopy((void*)from, allocation.Data + offset, (long)byteCount, (long)byteCount);
                }
                else
                {
                    staged.CopyTo(new Span<byte>(allocation.Data + offset, staged.Length));
                }

                allocation.MarkInitialised(offset, (long)byteCount);
                _hostToDevice += (long)byteCount;
                _clockMs += byteCount / 1e7;
            });
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyDtoHAsync(void* destination, ulong source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            nint to = (nint)destination;
            bool pinned = IsPinned(to, (long)byteCount);
            CuResult result = Enqueue(stream, () =>
            {
                Allocation allocation = Require(source, (long)byteCount, "the source of a copy");
                Buffer.MemoryCopy(allocation.Data + (source - allocation.Address), (void*)to, (long)byteCount, (long)byteCount);
                _deviceToHost += (long)byteCount;
                _clockMs += byteCount / 1e7;
            });

            // A copy to pageable memory has ended when the call returns.
            return result != CuResult.Success || pinned ? result : TryGet(stream, out StreamQueue? queue) && queue.Capture is null ? Drain(queue) : result;
        }
    }

    /// <inheritdoc/>
    public CuResult MemcpyDtoDAsync(ulong destination, ulong source, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            return Enqueue(stream, () =>
            {
                Allocation from = Require(source, (long)byteCount, "the source of a copy");
                Allocation to = Require(destination, (long)byteCount, "the destination of a copy");
                Buffer.MemoryCopy(from.Data + (source - from.Address), to.Data + (destination - to.Address), (long)byteCount, (long)byteCount);
                to.CopyInitialised((long)(destination - to.Address), from, (long)(source - from.Address), (long)byteCount);
            });
        }
    }

    /// <inheritdoc/>
    public CuResult MemsetD8Async(ulong destination, byte value, nuint byteCount, nint stream)
    {
        lock (_lock)
        {
            return Enqueue(stream, () =>
            {
                Allocation to = Require(destination, (long)byteCount, "the destination of a fill");
                long offset = (long)(destination - to.Address);
                new Span<byte>(to.Data + offset, checked((int)byteCount)).Fill(value);
                to.MarkInitialised(offset, (long)byteCount);
            });
        }
    }

    /// <inheritdoc/>
    public CuResult StreamCreate(out nint stream, uint flags)
    {
        stream = 0;
        lock (_lock)
        {
            return Guard() ?? Add(new StreamQueue(), out stream);
        }
    }

    /// <inheritdoc/>
    public CuResult StreamDestroy(nint stream)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue))
            {
                return CuResult.InvalidHandle;
            }

            CuResult drained = Drain(queue);
            _handles.Remove(stream);
            return drained;
        }
    }

    /// <inheritdoc/>
    public CuResult StreamSynchronize(nint stream)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue))
            {
                return CuResult.InvalidHandle;
            }

            _synchronizations++;
            return RefuseInCapture() ?? Drain(queue);
        }
    }

    /// <inheritdoc/>
    public CuResult CtxSynchronize()
    {
        lock (_lock)
        {
            _synchronizations++;
            return RefuseInCapture() ?? DrainAll();
        }
    }

    /// <inheritdoc/>
    public CuResult StreamWaitEvent(nint stream, nint cudaEvent, uint flags)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue) || !TryGet(cudaEvent, out EmulatedEvent? e))
            {
                return CuResult.InvalidHandle;
            }

            if (e.Capture is { } capture)
            {
                if (queue.Capture is null)
                {
                    queue.Capture = capture;
                    queue.Frontier.Clear();
                    capture.Streams.Add(queue);
                }

                queue.Frontier.UnionWith(e.Frontier);
                return CuResult.Success;
            }

            queue.Commands.Enqueue(new StreamCommand(null, e, e.RecordedVersion));
            return Guard() ?? CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult EventCreate(out nint cudaEvent, uint flags)
    {
        lock (_lock)
        {
            return Add(new EmulatedEvent(), out cudaEvent);
        }
    }

    /// <inheritdoc/>
    public CuResult EventRecord(nint cudaEvent, nint stream)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue) || !TryGet(cudaEvent, out EmulatedEvent? e))
            {
                return CuResult.InvalidHandle;
            }

            e.Capture = queue.Capture;
            if (queue.Capture is not null)
            {
                e.Frontier = [.. queue.Frontier];
                return CuResult.Success;
            }

            long version = ++e.RecordedVersion;
            return Enqueue(stream, () =>
            {
                e.DoneVersion = version;
                e.TimeMs = _clockMs;
            });
        }
    }

    /// <inheritdoc/>
    public CuResult EventSynchronize(nint cudaEvent)
    {
        lock (_lock)
        {
            if (!TryGet(cudaEvent, out EmulatedEvent? e))
            {
                return CuResult.InvalidHandle;
            }

            _synchronizations++;
            return RefuseInCapture() ?? DrainUntil(() => e.DoneVersion >= e.RecordedVersion);
        }
    }

    /// <summary>The emulated clock is not time: it advances with the instructions and bytes that were executed and copied.</summary>
    /// <inheritdoc/>
    public CuResult EventElapsedTime(out float elapsedMs, nint start, nint end)
    {
        elapsedMs = 0;
        lock (_lock)
        {
            if (!TryGet(start, out EmulatedEvent? first) || !TryGet(end, out EmulatedEvent? last))
            {
                return CuResult.InvalidHandle;
            }

            if (first.DoneVersion < first.RecordedVersion || last.DoneVersion < last.RecordedVersion)
            {
                return CuResult.NotReady;
            }

            elapsedMs = (float)(last.TimeMs - first.TimeMs);
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult EventDestroy(nint cudaEvent)
    {
        lock (_lock)
        {
            return _handles.Remove(cudaEvent) ? CuResult.Success : CuResult.InvalidHandle;
        }
    }

    /// <inheritdoc/>
    public CuResult StreamBeginCapture(nint stream, int mode)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue) || queue.Capture is not null || stream == 0)
            {
                return CuResult.InvalidValue;
            }

            queue.Capture = new GraphCapture(queue);
            queue.Frontier.Clear();
            return Guard() ?? CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult StreamEndCapture(nint stream, out nint graph)
    {
        graph = 0;
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue) || queue.Capture is not { } capture || capture.Origin != queue)
            {
                return CuResult.InvalidValue;
            }

            bool joined = capture.IsJoined();
            foreach (StreamQueue s in capture.Streams)
            {
                s.Capture = null;
                s.Frontier.Clear();
            }

            return capture.IsInvalid ? CuResult.StreamCaptureInvalidated
                : !joined ? Fail(CuResult.StreamCaptureUnjoined, "work of another stream was captured and not waited for by the first")
                : Add(capture, out graph);
        }
    }

    /// <inheritdoc/>
    public CuResult GraphInstantiate(out nint executable, nint graph, ulong flags)
    {
        executable = 0;
        lock (_lock)
        {
            return TryGet(graph, out GraphCapture? capture) ? Add(capture, out executable) : CuResult.InvalidHandle;
        }
    }

    /// <inheritdoc/>
    public CuResult GraphLaunch(nint executable, nint stream)
    {
        lock (_lock)
        {
            if (!TryGet(executable, out GraphCapture? graph))
            {
                return CuResult.InvalidHandle;
            }

            _graphLaunches++;
            CounterRandom? random = Options.Interleaving == Interleaving.Random ? new CounterRandom(Options.Seed, 0x6AF, (uint)_graphLaunches) : null;
            return Enqueue(stream, () =>
            {
                foreach (int node in graph.Order(random))
                {
                    graph.Nodes[node].Run();
                }
            });
        }
    }

    /// <inheritdoc/>
    public CuResult GraphExecDestroy(nint executable) => EventDestroy(executable);

    /// <inheritdoc/>
    public CuResult GraphDestroy(nint graph) => EventDestroy(graph);

    /// <inheritdoc/>
    public CuResult LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedByteCount, nint stream, void** parameters, void** extra)
    {
        lock (_lock)
        {
            if (Guard() is { } sticky)
            {
                return sticky;
            }

            if (!TryGet(function, out EmulatedFunction? f) || parameters == null)
            {
                return CuResult.InvalidHandle;
            }

            PtxKernel kernel = f.Kernel;
            if (gridX == 0 || gridY == 0 || gridZ == 0 || blockX == 0 || blockY == 0 || blockZ == 0 || gridX > int.MaxValue || gridY > 65535 || gridZ > 65535)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: grid ({gridX}, {gridY}, {gridZ}) of blocks ({blockX}, {blockY}, {blockZ})"));
            }

            ulong threads = (ulong)blockX * blockY * blockZ;
            int maxThreads = kernel.MaxThreads == 0 ? 1024 : kernel.MaxThreads;
            if (threads > (ulong)maxThreads)
            {
                return Fail(CuResult.LaunchOutOfResources, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: {threads} threads a block, at most {maxThreads} are possible"));
            }

            if (sharedByteCount > f.MaxDynamicShared || sharedByteCount + kernel.StaticSharedByteCount > Personality.SharedPerBlock)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{kernel.Name}: {sharedByteCount} bytes of dynamic shared memory, {f.MaxDynamicShared} are allowed (cuFuncSetAttribute)"));
            }

            byte[] buffer = new byte[kernel.ParameterByteCount + 16];
            for (int i = 0; i < kernel.Parameters.Length; i++)
            {
                PtxParameter p = kernel.Parameters[i];
                new ReadOnlySpan<byte>(parameters[i], p.ByteCount).CopyTo(buffer.AsSpan(p.Offset));
            }

            Dim3 grid = new(gridX, gridY, gridZ);
            Dim3 block = new(blockX, blockY, blockZ);
            return Enqueue(stream, () => Execute(kernel, grid, block, (int)sharedByteCount, buffer));
        }
    }

    /// <summary>In a stream's order: what an allocation holds is not to be read any more.</summary>
    internal void ForgetContent(nint stream, ulong address, long byteCount) =>
        Enqueue(stream, () => Require(address, byteCount, "working memory").MarkUninitialised(0, byteCount));

    /// <summary>Puts work of the host's side (cuBLAS) into a stream.</summary>
    internal CuResult Enqueue(nint stream, Action run)
    {
        lock (_lock)
        {
            if (Guard() is { } sticky)
            {
                return sticky;
            }

            if (!TryGet(stream, out StreamQueue? queue))
            {
                return CuResult.InvalidHandle;
            }

            if (queue.Capture is { } capture)
            {
                capture.Add(queue, run);
            }
            else
            {
                queue.Commands.Enqueue(new StreamCommand(run, null, 0));
            }

            return CuResult.Success;
        }
    }

    /// <summary>The allocation of a range that the host's side works on.</summary>
    internal Allocation Require(ulong address, long byteCount, string what) => _heap.Find(address, byteCount)
        ?? throw new EmulatedFault(FaultKind.OutOfBounds, string.Create(
            CultureInfo.InvariantCulture, $"{what}, {byteCount} bytes at 0x{address:X}: {_heap.Describe(address, (int)Math.Min(byteCount, int.MaxValue))}"));

    internal void CountMma(string name, long operations)
    {
        if (!_counters.TryGetValue(name, out KernelCounters? total))
        {
            _counters[name] = total = new KernelCounters();
        }

        total.LaunchCount++;
        total.MmaOperationCount += operations;
    }

    private void Execute(PtxKernel kernel, Dim3 grid, Dim3 block, int sharedByteCount, byte[] parameters)
    {
        _launches++;
        Launch launch = new()
        {
            Kernel = kernel,
            Grid = grid,
            Block = block,
            SharedByteCount = kernel.StaticSharedByteCount + sharedByteCount,
            Parameters = parameters,
            Heap = _heap,
            Number = _launchNumber++,
            Seed = Options.Seed,
            MaxInstructionsPerBlock = Options.MaxInstructionsPerBlock,
            Interleaving = Options.Interleaving,
            Arithmetic = Options.Arithmetic,
            CountsFootprint = Options.CountsFootprint,
            WorkerCount = Options.WorkerCount == 0 ? Environment.ProcessorCount : Options.WorkerCount,
        };
        KernelCounters counters = launch.Run();
        _clockMs += counters.InstructionCount / 1e6;
        if (!_counters.TryGetValue(kernel.Name, out KernelCounters? total))
        {
            _counters[kernel.Name] = total = new KernelCounters();
        }

        total.Add(counters);
    }

    private CuResult Drain(StreamQueue queue) => DrainUntil(() => queue.Commands.Count == 0);

    private CuResult DrainAll() => DrainUntil(() => _handles.Values.All(h => h is not StreamQueue q || q.Commands.Count == 0));

    private CuResult DrainUntil(Func<bool> done)
    {
        while (_sticky == CuResult.Success && !done())
        {
            List<StreamQueue> ready = [.. _handles.Values.OfType<StreamQueue>().Where(q => q.CanRun)];
            if (ready.Count == 0)
            {
                return Fail(CuResult.LaunchTimeout, "the streams wait for each other");
            }

            StreamQueue next = Options.Interleaving switch
            {
                Interleaving.Forward => ready[0],
                Interleaving.Reverse => ready[^1],
                _ => ready[_random.Next(ready.Count)],
            };
            try
            {
                next.Commands.Dequeue().Run?.Invoke();
            }
            catch (EmulatedFault e)
            {
                LastFault = e.Kind;
                _errorDetail = e.Message;
                _sticky = e.Kind switch
                {
                    FaultKind.OutOfBounds or FaultKind.Misaligned => CuResult.IllegalAddress,
                    FaultKind.Timeout => CuResult.LaunchTimeout,
                    _ => CuResult.LaunchFailed,
                };
                foreach (StreamQueue queue in _handles.Values.OfType<StreamQueue>())
                {
                    queue.Commands.Clear();
                }
            }
        }

        return _sticky;
    }

    private CuResult? RefuseInCapture()
    {
        GraphCapture? capture = _handles.Values.OfType<StreamQueue>().FirstOrDefault(q => q.Capture is not null)?.Capture;
        if (capture is null)
        {
            return null;
        }

        capture.IsInvalid = true;
        return Fail(CuResult.StreamCaptureUnsupported, "the call is not allowed while a stream is captured");
    }

    private bool IsPinned(nint address, long byteCount)
    {
        foreach ((nint start, long size) in _pinned)
        {
            if (address >= start && address + byteCount <= start + size)
            {
                return true;
            }
        }

        return false;
    }

    private void FreePinned()
    {
        foreach (nint address in _pinned.Keys)
        {
            NativeMemory.AlignedFree((void*)address);
        }

        _pinned.Clear();
    }
}
