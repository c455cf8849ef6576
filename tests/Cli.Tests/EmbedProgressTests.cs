namespace CrossAlign.Cli.Tests;

/// <summary>When an embedding says how far it is.</summary>
public sealed class EmbedProgressTests
{
    [Fact]
    public void NobodyWatchesAPlainLineEveryTenSeconds()
    {
        Clock clock = new();
        List<string> said = [];
        EmbedProgress progress = new(said.Add, null, clock);
        for (int second = 1; second <= 25; second++)
        {
            clock.Seconds = second;
            progress.Advance(2, 100);
        }

        Assert.Equal(["20 rows, 2 rows/s, 100 tokens/s", "40 rows, 2 rows/s, 100 tokens/s"], said);
        Assert.Equal((50, 2500, 25), (progress.Rows, progress.Tokens, progress.Seconds));
    }

    [Fact]
    public void AWatchedLineChangesFiveTimesASecondAtMost()
    {
        Clock clock = new();
        List<string> said = [];
        List<string> live = [];
        EmbedProgress progress = new(said.Add, live.Add, clock);
        for (int step = 1; step <= 400; step++)
        {
            clock.Seconds = step / 40.0;
            progress.Advance(1, 1);
        }

        Assert.Empty(said);
        Assert.Equal(50, live.Count);
    }

    private sealed class Clock : TimeProvider
    {
        public double Seconds { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => (long)(Seconds * 1000);
    }
}
