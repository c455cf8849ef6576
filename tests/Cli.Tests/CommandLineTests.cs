using System.Text.Json;

namespace CrossAlign.Cli.Tests;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("trian", "trian")]
    [InlineData("train --bogus", "--bogus")]
    [InlineData("train --threads -3", "--threads")]
    [InlineData("train --threads two", "--threads takes a whole number, not 'two'")]
    [InlineData("demo --seeds 0", "--seeds takes 1 to 100")]
    [InlineData("train --seed abc", "--seed takes a whole number, not 'abc'")]
    [InlineData("data photo-albun", "photo-album")]
    [InlineData("train --set stepz=3", "stepz")]
    [InlineData("train --set steps", "steps")]
    [InlineData("train --recipe albun", "album")]
    [InlineData("train --setup multilangual", "multilingual")]
    [InlineData("train --config no-such.json", "no-such.json")]
    public async Task AWrongInvocationIsOneLineThatNamesTheThingAndExitsWithTwo(string line, string named)
    {
        Invocation run = await Invocation.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(named, run.Error, StringComparison.Ordinal);
        Assert.Contains("(", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Fact]
    public async Task VerboseAddsTheStackTrace()
    {
        Invocation run = await Invocation.RunAsync("train", "--set", "stepz=3", "--verbose");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("   at CrossAlign", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PrecisionAndAccumulationHaveOptionsOfTheirOwn()
    {
        Invocation run = await Invocation.RunAsync(
            "train", "--print-config", "--data", "shapes", "--set", "precision=tf32", "--precision", "bf16", "--accumulate", "exact", "--micro-batch", "32");
        Assert.True(run.ExitCode == 0, run.Error);
        JsonElement config = JsonDocument.Parse(run.Output).RootElement;
        Assert.Equal("bf16", config.GetProperty("precision").GetString());
        Assert.Equal("exact", config.GetProperty("accumulate").GetString());
        Assert.Equal(32, config.GetProperty("microBatchSize").GetInt32());

        Invocation unknown = await Invocation.RunAsync("train", "--print-config", "--data", "shapes", "--accumulate", "some");
        Assert.Equal(2, unknown.ExitCode);
        Assert.Contains("accumulate", unknown.Error, StringComparison.Ordinal);
        Invocation incomplete = await Invocation.RunAsync("train", "--print-config", "--data", "shapes", "--accumulate", "exact");
        Assert.Equal(2, incomplete.ExitCode);
        Assert.Contains("microBatchSize", incomplete.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheConfigurationIsPrintedCompleteWithNamedOptionsLast()
    {
        Invocation run = await Invocation.RunAsync("train", "--print-config", "--set", "seed=3", "--seed", "4", "--languages", "en,sw", "--data", "shapes");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("\"seed\": 4", run.Output, StringComparison.Ordinal);
        Assert.Contains("\"sw\"", run.Output, StringComparison.Ordinal);
        Assert.Contains("\"data\": \"shapes\"", run.Output, StringComparison.Ordinal);
        Assert.Contains("\"setup\": \"multilingual+quechua\"", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheSchemaIsPrinted()
    {
        Invocation run = await Invocation.RunAsync("train", "--schema");
        Assert.Equal(0, run.ExitCode);
        Assert.StartsWith("{\n  \"$schema\"", run.Output, StringComparison.Ordinal);
    }
}
