using System.Text.Json.Nodes;

namespace CrossAlign.Cli.Tests;

/// <summary>A short training and its evaluation as a script would run them, on the built-in shapes.</summary>
public sealed class TrainAndEvalTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public async Task ARunIsTrainedStoppedResumedAndMeasured()
    {
        string run = Path.Combine(_root, "run");
        Invocation first = await Invocation.RunAsync([.. Train(run), "--stop-after", "2"]);
        Assert.Equal((0, string.Empty), (first.ExitCode, first.Error));
        Assert.Contains("stopped at step 2", first.Output, StringComparison.Ordinal);

        Invocation again = await Invocation.RunAsync(Train(run));
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("--resume", again.Error, StringComparison.Ordinal);

        Invocation changed = await Invocation.RunAsync("train", "--resume", run, "--set", "steps=9");
        Assert.Equal(2, changed.ExitCode);
        Assert.Contains("--set", changed.Error, StringComparison.Ordinal);

        Invocation resumed = await Invocation.RunAsync("train", "--resume", run, "--json");
        Assert.Equal(0, resumed.ExitCode);
        Assert.Equal(4, JsonNode.Parse(resumed.Output)!["step"]!.GetValue<int>());

        Invocation eval = await Invocation.RunAsync("eval", run, "--sets", "seen", "--tasks", "bitext", "--scores", "cosine,csls", "--json");
        Assert.Equal(0, eval.ExitCode);
        JsonArray figures = JsonNode.Parse(eval.Output)!["figures"]!.AsArray();
        Assert.NotEmpty(figures);
        Assert.All(figures, f => Assert.Equal("seen", f!["set"]!.GetValue<string>()));
        Assert.Equal(["cosine", "csls"], figures.Select(f => f!["score"]!.GetValue<string>()).Distinct());
    }

    [Theory]
    [InlineData("--languages", "en,xx", "'xx'")]
    [InlineData("--set", "styles=[\"no-such-style\"]", "no-such-style")]
    [InlineData("--set", "batchSize=5000", "5000")]
    [InlineData("--set", "precision=tf32", "'precision'")]
    [InlineData("--set", "matmul=cublas", "'matmul'")]
    [InlineData("--set", "textTower.from=somewhere", "'textTower.from'")]
    [InlineData("--set", "imageTower.freeze=all", "'imageTower.freeze'")]
    [InlineData("--set", "schedule.textFrozenSteps=2", "'schedule.textFrozenSteps'")]
    public async Task WhatCannotBeHadIsNamedAndLeavesNoFolder(string option, string value, string named)
    {
        Invocation run = await Invocation.RunAsync([.. Train(Path.Combine(_root, "run")), option, value]);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(named, Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_root, "run")));
    }

    [Fact]
    public async Task ADataSetThatThereIsNotIsNamed()
    {
        Invocation run = await Invocation.RunAsync("train", "--data", "no-such-data", "--out", Path.Combine(_root, "run"));
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("'no-such-data'", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFolderThatIsNoRunIsNamed()
    {
        Invocation run = await Invocation.RunAsync("eval", _root);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(_root, Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--tasks", "bitexts")]
    [InlineData("--sets", "sean")]
    [InlineData("--scores", "cosin")]
    public async Task AnUnknownChoiceIsAWrongInvocation(string option, string value)
    {
        Invocation run = await Invocation.RunAsync("eval", _root, option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(value, Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static string[] Train(string folder) =>
    [
        "train", "--data", "shapes", "--setup", "multilingual", "--out", folder, "--device", "cpu",
        "--set", "steps=4", "--set", "batchSize=16", "--set", "captionsPerPicture=2", "--set", "tokenizer.pieces=600",
        "--set", "textTower.width=32", "--set", "imageTower.width=32", "--set", "projection.width=24",
    ];
}
