using System.Globalization;

namespace CrossAlign.Cli;

/// <summary>How far an embedding is: on one line that changes where a person watches, else a plain line every ten seconds.</summary>
/// <param name="say">Writes a line that stays.</param>
/// <param name="live">Replaces the live line; null where nobody watches.</param>
/// <param name="time">The clock.</param>
internal sealed class EmbedProgress(Action<string> say, Action<string>? live, TimeProvider time)
{
    private static readonly TimeSpan s_refresh = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_plain = TimeSpan.FromSeconds(10);

    private readonly long _start = time.GetTimestamp();
    private TimeSpan _shown;

    /// <summary>Rows that were embedded.</summary>
    public long Rows { get; private set; }

    /// <summary>Their tokens.</summary>
    public long Tokens { get; private set; }

    /// <summary>Time since the beginning; never zero, for rates.</summary>
    public double Seconds => Math.Max(time.GetElapsedTime(_start).TotalSeconds, 1e-9);

    /// <summary>Counts, and shows it when it is time to.</summary>
    public void Advance(int rows, int tokens)
    {
        Rows += rows;
        Tokens += tokens;
        TimeSpan elapsed = time.GetElapsedTime(_start);
        if (elapsed - _shown < (live is null ? s_plain : s_refresh))
        {
            return;
        }

        _shown = elapsed;
        double seconds = Seconds;
        (live ?? say)(string.Create(CultureInfo.InvariantCulture, $"{Rows:N0} rows, {Rows / seconds:N0} rows/s, {Tokens / seconds:N0} tokens/s"));
    }
}
