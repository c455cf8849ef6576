using System.Diagnostics;

namespace CrossAlign.Runtime;

/// <summary>
/// How often each operation ran on a device, and for how long: given to <see cref="Device.Operations"/>, it is what a profile is made of.
/// An operation that is a part of another counts with that one. Not for several threads at once.
/// </summary>
public sealed class OperationLog
{
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private int _depth;

    /// <summary>What ran since the start or the last <see cref="Clear"/>, the longest first.</summary>
    /// <returns>One item an operation.</returns>
    public IReadOnlyList<OperationTotal> Totals() =>
        [.. _entries.Select(e => new OperationTotal(e.Key, e.Value.Calls, Stopwatch.GetElapsedTime(0, e.Value.Ticks), e.Value.Arithmetic)).OrderByDescending(t => t.Time)];

    /// <summary>Forgets everything.</summary>
    public void Clear() => _entries.Clear();

    /// <summary>Counts additions and multiplications of an operation that knows them only when it is done.</summary>
    /// <param name="name">The operation.</param>
    /// <param name="arithmetic">How many.</param>
    public void AddArithmetic(string name, long arithmetic)
    {
        if (_depth <= 1)
        {
            Of(name).Arithmetic += arithmetic;
        }
    }

    internal long Enter()
    {
        _depth++;
        return Stopwatch.GetTimestamp();
    }

    internal void Leave(string name, long start, long arithmetic)
    {
        long ticks = Stopwatch.GetTimestamp() - start;
        if (--_depth == 0)
        {
            Entry entry = Of(name);
            entry.Calls++;
            entry.Ticks += ticks;
            entry.Arithmetic += arithmetic;
        }
    }

    private Entry Of(string name)
    {
        if (!_entries.TryGetValue(name, out Entry? entry))
        {
            entry = new Entry();
            _entries.Add(name, entry);
        }

        return entry;
    }

    private sealed class Entry
    {
        public long Calls { get; set; }

        public long Ticks { get; set; }

        public long Arithmetic { get; set; }
    }
}
