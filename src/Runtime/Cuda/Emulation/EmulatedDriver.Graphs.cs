namespace CrossAlign.Runtime.Cuda.Emulation;

/// <content>The capture of streams and the replay of graphs.</content>
public sealed unsafe partial class EmulatedDriver
{
    // CU_STREAM_CAPTURE_MODE_RELAXED: no thread is kept from anything.
    private const int NoThread = -1;

    /// <inheritdoc/>
    public CuResult StreamBeginCapture(nint stream, int mode)
    {
        lock (_lock)
        {
            if (!TryGet(stream, out StreamQueue? queue) || queue.Capture is not null || stream == 0)
            {
                return CuResult.InvalidValue;
            }

            queue.Capture = new GraphCapture(queue) { Thread = mode == 0 ? null : mode == 1 ? Environment.CurrentManagedThreadId : NoThread };
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

    /// <summary>Whether what is issued to a stream is captured.</summary>
    internal bool IsCaptured(nint stream)
    {
        lock (_lock)
        {
            return TryGet(stream, out StreamQueue? queue) && queue.Capture is not null;
        }
    }

    // The legacy stream waits for the work of blocking streams, which one that is captured does not do; nor can it be captured itself.
    private CuResult? RefuseImplicit(nint stream, GraphCapture? joins)
    {
        GraphCapture? capture = stream != 0 ? null : joins ?? _handles.Values.OfType<StreamQueue>().FirstOrDefault(q => q.IsBlocking && q.Capture is not null)?.Capture;
        if (capture is null)
        {
            return null;
        }

        capture.IsInvalid = true;
        return Fail(CuResult.StreamCaptureImplicit, "the legacy stream would have to wait for a stream that is captured");
    }

    // What a capture forbids: all threads by its mode, or the one that began it; to wait for a stream that is captured always.
    private CuResult? RefuseInCapture(StreamQueue? waitedFor = null)
    {
        GraphCapture? capture = waitedFor?.Capture ?? _handles.Values.OfType<StreamQueue>()
            .FirstOrDefault(q => q.Capture is { } c && (c.Thread is null || c.Thread == Environment.CurrentManagedThreadId))?.Capture;
        if (capture is null)
        {
            return null;
        }

        capture.IsInvalid = true;
        return Fail(CuResult.StreamCaptureUnsupported, "the call is not allowed while a stream is captured");
    }
}
