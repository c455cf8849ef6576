using System.Diagnostics;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>Adds up where the time of training steps goes: each lap ends a stretch and names the part that it belongs to.</summary>
/// <param name="device">Waited for at the end of each stretch.</param>
internal sealed class StepClock(Device device)
{
    private readonly long[] _ticks = new long[Enum.GetValues<StepPart>().Length];
    private long _since = Stopwatch.GetTimestamp();

    /// <summary>Forgets everything and begins a stretch.</summary>
    public void Restart()
    {
        device.Synchronize();
        Array.Clear(_ticks);
        _since = Stopwatch.GetTimestamp();
    }

    /// <summary>Ends a stretch and begins the next.</summary>
    /// <param name="part">What it was spent on.</param>
    public void Lap(StepPart part)
    {
        device.Synchronize();
        long now = Stopwatch.GetTimestamp();
        _ticks[(int)part] += now - _since;
        _since = now;
    }

    /// <summary>The time of a part so far.</summary>
    /// <param name="part">The part.</param>
    /// <returns>The time.</returns>
    public TimeSpan Of(StepPart part) => Stopwatch.GetElapsedTime(0, _ticks[(int)part]);
}
