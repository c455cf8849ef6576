namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Something that a stream has to do.</summary>
/// <param name="Run">Does it; null for a mere wait.</param>
/// <param name="WaitsFor">An event that must have come to pass first, or null.</param>
/// <param name="Version">How often it must have been recorded.</param>
internal sealed record StreamCommand(Action? Run, EmulatedEvent? WaitsFor, long Version);

/// <summary>A stream: commands that are done in order, but not before somebody has to wait for them.</summary>
internal sealed class StreamQueue
{
    /// <summary>Whether it and the legacy stream wait for each other.</summary>
    public bool IsBlocking { get; init; }

    public Queue<StreamCommand> Commands { get; } = new();

    /// <summary>The capture that the stream takes part in, or null.</summary>
    public GraphCapture? Capture { get; set; }

    /// <summary>While captured: the nodes that the next one depends on.</summary>
    public HashSet<int> Frontier { get; } = [];

    public bool CanRun => Commands.TryPeek(out StreamCommand? command) && (command.WaitsFor is null || command.WaitsFor.DoneVersion >= command.Version);
}

/// <summary>An event: recorded into a stream, come to pass when the stream has got there.</summary>
internal sealed class EmulatedEvent
{
    public long RecordedVersion { get; set; }

    public long DoneVersion { get; set; }

    /// <summary>A clock of the emulated device: instructions executed; a stand-in for time.</summary>
    public double TimeMs { get; set; }

    public GraphCapture? Capture { get; set; }

    public HashSet<int> Frontier { get; set; } = [];
}

/// <summary>A graph while it is captured, and afterwards.</summary>
internal sealed class GraphCapture(StreamQueue origin)
{
    public StreamQueue Origin { get; } = origin;

    public List<(Action Run, int[] DependsOn)> Nodes { get; } = [];

    public List<StreamQueue> Streams { get; } = [origin];

    public bool IsInvalid { get; set; }

    /// <summary>The thread that may not allocate or wait meanwhile; null for every thread.</summary>
    public int? Thread { get; init; }

    /// <summary>Adds what a captured stream would have done.</summary>
    public void Add(StreamQueue stream, Action run)
    {
        Nodes.Add((run, [.. stream.Frontier]));
        stream.Frontier.Clear();
        stream.Frontier.Add(Nodes.Count - 1);
    }

    /// <summary>Whether everything captured on other streams comes before where the origin has got.</summary>
    public bool IsJoined()
    {
        bool[] reached = new bool[Nodes.Count];
        Stack<int> left = new(Origin.Frontier);
        while (left.TryPop(out int node))
        {
            if (!reached[node])
            {
                reached[node] = true;
                foreach (int before in Nodes[node].DependsOn)
                {
                    left.Push(before);
                }
            }
        }

        return Array.TrueForAll(reached, r => r);
    }

    /// <summary>A topological order: that of the capture, or a seeded one.</summary>
    public int[] Order(CounterRandom? random)
    {
        int[] order = new int[Nodes.Count];
        bool[] done = new bool[Nodes.Count];
        List<int> ready = [];
        for (int i = 0; i < order.Length; i++)
        {
            ready.Clear();
            for (int n = 0; n < done.Length; n++)
            {
                if (!done[n] && Array.TrueForAll(Nodes[n].DependsOn, d => done[d]))
                {
                    ready.Add(n);
                }
            }

            CounterRandom draw = random ?? default;
            int chosen = random is null ? ready[0] : ready[draw.Next(ready.Count)];
            random = random is null ? null : draw;
            done[chosen] = true;
            order[i] = chosen;
        }

        return order;
    }
}
