namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>Streams, their order, and events.</content>
public sealed unsafe partial class EmulatedDriver
{
    // CU_STREAM_NON_BLOCKING.
    private const uint NonBlocking = 1;

    /// <inheritdoc/>
    public CuResult StreamCreate(out nint stream, uint flags)
    {
        stream = 0;
        lock (_lock)
        {
            return Guard() ?? Add(new StreamQueue { IsBlocking = (flags & NonBlocking) == 0 }, out stream);
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
            return RefuseInCapture(queue) ?? Drain(queue);
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

            if (RefuseImplicit(stream, joins: e.Capture) is { } refused)
            {
                return refused;
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

            if (RefuseImplicit(stream, joins: null) is { } refused)
            {
                return refused;
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
                Break(e.Kind, e.Message, e.Kind switch
                {
                    FaultKind.OutOfBounds or FaultKind.Misaligned => CuResult.IllegalAddress,
                    FaultKind.Timeout => CuResult.LaunchTimeout,
                    _ => CuResult.LaunchFailed,
                });
            }
#pragma warning disable CA1031 // whatever the emulation itself fails by is a result of the call, too, which may come from native code
            catch (Exception e)
#pragma warning restore CA1031
            {
                Break(null, $"the emulated device itself fails: {e}", CuResult.Unknown);
            }
        }

        return _sticky;
    }

    // An error that stays until the context is reset; what waits in the streams is lost.
    private void Break(FaultKind? kind, string detail, CuResult result)
    {
        LastFault = kind;
        _errorDetail = detail;
        _sticky = result;
        foreach (StreamQueue queue in _handles.Values.OfType<StreamQueue>())
        {
            queue.Commands.Clear();
        }
    }
}
