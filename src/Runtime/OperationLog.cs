using System.Diagnostics;

namespace CrossAlign.Runtime;

/// <summary>
/// How often each operation ran on a device, and for how long: given to <see cref="Device.Operations"/>, it is what a profile is made of.
/// An operation that is a part of another counts with that one. Not for several threads at once. A CUDA device is timed by events, which are
/// waited for when the totals are asked for, or when many have gathered; so the totals must be asked for before the device is disposed.
/// </summary>
public sealed class OperationLog
{
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly List<Pending> _pending = [];
    private int _depth;

    // Events that have gathered are waited for now and then, or a long run would make one after the other.
    private const int MaxPending = 1024;

    /// <summary>What ran since the start or the last <see cref="Clear"/>, the longest first.</summary>
    /// <returns>One item an operation.</returns>
    public IReadOnlyList<OperationTotal> Totals()
    {
        Settle();
        return [.. _entries.Select(e => new OperationTotal(e.Key, e.Value.Calls, Stopwatch.GetElapsedTime(0, e.Value.Ticks), e.Value.Arithmetic)).OrderByDescending(t => t.Time)];
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        Settle();
        _entries.Clear();
    }

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

    /// <summary>An operation begins; true where it is not a part of another.</summary>
    internal bool Enter() => ++_depth == 1;

    /// <summary>The operation that began last has ended: between two marks, or, without them, after so many ticks.</summary>
    internal void Leave(string name, OperationMark? begin, OperationMark? end, long ticks, long arithmetic)
    {
        if (--_depth > 0)
        {
            return;
        }

        Entry entry = Of(name);
        entry.Calls++;
        entry.Arithmetic += arithmetic;
        if (begin is null || end is null)
        {
            entry.Ticks += ticks;
            return;
        }

        _pending.Add(new Pending(entry, begin, end));
        if (_pending.Count >= MaxPending)
        {
            Settle();
        }
    }

    private void Settle()
    {
        foreach ((Entry entry, OperationMark begin, OperationMark end) in _pending)
        {
            entry.Ticks += (long)(begin.Until(end).TotalSeconds * Stopwatch.Frequency);
            begin.GiveBack();
            end.GiveBack();
        }

        _pending.Clear();
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

    private readonly record struct Pending(Entry Entry, OperationMark Begin, OperationMark End);

    private sealed class Entry
    {
        public long Calls { get; set; }

        public long Ticks { get; set; }

        public long Arithmetic { get; set; }
    }
}
