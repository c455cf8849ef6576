using System.Text.Json;
using System.Text.RegularExpressions;
using CrossAlign.Models.Profiling;

namespace CrossAlign.Models.Tests.Profiling;

public sealed partial class ProfileReportTests
{
    [Fact]
    public void TheThreeFilesSayTheSame()
    {
        using TemporaryFolder folder = new();
        Sample().Write(folder.Path);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder.Path, "profile.json")));
        Assert.Equal("crossalign/profile/1", json.RootElement.GetProperty("schema").GetString());
        JsonElement row = json.RootElement.GetProperty("loss")[0];
        Assert.Equal(12.5, row.GetProperty("milliseconds").GetDouble());
        Assert.Equal("text tower", json.RootElement.GetProperty("step").GetProperty("parts")[0].GetProperty("part").GetString());

        string[] lines = File.ReadAllLines(Path.Combine(folder.Path, "profile.csv"));
        Assert.Equal(1 + 3 + 2 + 1, lines.Length);
        int columns = lines[0].Split(',').Length;
        Assert.All(lines, l => Assert.Equal(columns, Quoted().Replace(l, "q").Split(',').Length));
        Assert.StartsWith("loss,forward+backward,symmetric,f32,256,64,5,12.5,", lines[1], StringComparison.Ordinal);
        Assert.Contains("\"too much, \"\"really\"\"\"", lines[3], StringComparison.Ordinal);

        string html = File.ReadAllText(Path.Combine(folder.Path, "profile.html"));
        Assert.Contains("12.5", html, StringComparison.Ordinal);
        Assert.Contains("too much, &quot;really&quot;", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
        Assert.DoesNotContain("Infinity", html, StringComparison.Ordinal);
        Assert.Equal(4, Regex.Count(html, "<svg [^>]*role=\"img\""));
    }

    [Fact]
    public void ElementsAreClosedInOrder()
    {
        Stack<string> open = new();
        foreach (Match tag in Tags().Matches(ProfilePage.ToHtml(Sample())))
        {
            string name = tag.Groups[2].Value;
            if (name is "meta" || tag.Groups[3].Value.EndsWith('/'))
            {
                continue;
            }

            if (tag.Groups[1].Value.Length == 0)
            {
                open.Push(name);
            }
            else
            {
                Assert.Equal(open.Pop(), name);
            }
        }

        Assert.Empty(open);
    }

    [Fact]
    public void AProfileOfNothingIsAPageToo()
    {
        string html = ProfilePage.ToHtml(Sample() with { Loss = [], Step = null });
        Assert.DoesNotContain("<h2", html, StringComparison.Ordinal);
    }

    [GeneratedRegex("\"(?:[^\"]|\"\")*\"")]
    private static partial Regex Quoted();

    [GeneratedRegex("<(/?)([a-z][a-z0-9]*)([^>]*)>")]
    private static partial Regex Tags();

    private static ProfileReport Sample() => new()
    {
        Machine = new ProfileMachine("0", null, "cpu", "Vector256", 2, 100, 1L << 34, DateTimeOffset.UnixEpoch),
        Loss =
        [
            Row(256) with { Calls = 5, Milliseconds = 12.5, MillisecondsP20 = 12, MillisecondsP80 = 13, Gflops = 10, PeakGflops = 20, ShareOfPeak = 0.5, MemoryBytes = 1 << 20, NaiveMilliseconds = 20, NaiveBytes = 1 << 22 },
            Row(512) with { Calls = 1, Milliseconds = 50, MillisecondsP20 = 50, MillisecondsP80 = 50, Gflops = 11, PeakGflops = 20, ShareOfPeak = 0.55, MemoryBytes = 1 << 21, NaiveRefusal = "not asked for" },
            Row(1 << 24) with { Refusal = "too much, \"really\"" },
        ],
        Step = new StepProfile
        {
            Configuration = "album, multilingual, shapes",
            BatchSize = 8,
            CaptionsPerPicture = 2,
            Steps = 3,
            Milliseconds = 10,
            CaptionsPerSecond = 1600,
            PreparationMilliseconds = 1,
            Parts = [new PartTime("text tower", 6, 0.6), new PartTime("loss", 4, 0.4)],
            Operations = [new OperationTime("Linear.Forward", 4, 5, 1, 50)],
            MemoryBytes = 100,
            PredictedBytes = 200,
        },
    };

    private static LossProfileRow Row(int b) => new() { BatchSize = b, Width = 64, Precision = "f32", Variant = "symmetric", BoundBytes = 1 << 26 };
}
