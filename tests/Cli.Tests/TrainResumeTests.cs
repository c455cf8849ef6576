using System.Text.Json.Nodes;

namespace CrossAlign.Cli.Tests;

/// <summary>What <c>train --resume</c> takes beside the folder: another machine, and nothing that the run was not started with.</summary>
public sealed class TrainResumeTests : IDisposable
{
    private const string Note = "so far the run was computed on cpu";

    private static readonly string[] s_settings =
    [
        "--recipe", "album", "--setup", "multilingual", "--data", "shapes", "--languages", "en,es", "--seed", "7", "--matmul", "own", "--precision", "f32",
        "--set", "steps=4", "--set", "batchSize=4", "--set", "captionsPerPicture=1", "--set", "evaluateEvery=0", "--set", "checkpointEvery=0",
        "--set", "tokenizer.pieces=300", "--set", "textTower.width=16", "--set", "textTower.heads=1", "--set", "textTower.feedForward=24", "--set", "textTower.layers=1",
        "--set", "imageTower.imageSize=16", "--set", "imageTower.width=16", "--set", "imageTower.heads=1", "--set", "imageTower.feedForward=24", "--set", "imageTower.layers=1",
        "--set", "projection.width=16",
    ];

    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("--set", "steps=9", "'steps' is 4, not 9")]
    [InlineData("--set", "optimizer.learningRate=1", "'optimizer.learningRate' is 0.002, not 1")]
    [InlineData("--set", "checkpointEvery=1", "'checkpointEvery' is 0, not 1")]
    [InlineData("--set", "textTower.from=somewhere", "'textTower.from': there is no model folder")]
    [InlineData("--seed", "8", "'seed' is 7, not 8")]
    [InlineData("--precision", "bf16", "'precision' is \"f32\", not \"bf16\"")]
    [InlineData("--languages", "en,ja", "'languages' is [\"en\",\"es\"], not [\"en\",\"ja\"]")]
    [InlineData("--recipe", "paper", "'recipe' is \"album\", not \"paper\"")]
    [InlineData("--setup", "none", "'setup' is \"multilingual\", not \"none\"")]
    [InlineData("--data", "photo-album", "'data' is \"shapes\", not \"photo-album\"")]
    [InlineData("--matmul", "auto", "'matmul' is \"own\", not \"auto\"")]
    [InlineData("--accumulate", "plain", "'microBatchSize'")]
    [InlineData("--micro-batch", "2", "'microBatchSize'")]
    [InlineData("--out", "elsewhere", "--out elsewhere is not the folder of --resume")]
    [InlineData("--set", "stepz=9", "'stepz'")]
    [InlineData("--device", "gpu", "'device' is 'gpu'")]
    public async Task WhatTheRunWasNotStartedWithIsRefusedByName(string option, string value, string named)
    {
        string run = await Begin("run", "cpu");
        DateTime before = File.GetLastWriteTimeUtc(Path.Combine(run, "run.json"));
        Invocation changed = await Invocation.RunAsync("train", "--resume", run, option, value);
        Assert.Equal(2, changed.ExitCode);
        string error = Assert.Single(changed.ErrorLines);
        Assert.Contains(named, error, StringComparison.Ordinal);
        Assert.EndsWith(")", error, StringComparison.Ordinal);
        if (named.Contains(", not ", StringComparison.Ordinal))
        {
            Assert.StartsWith($"error: {option} {value} contradicts the run in '{run}': its {named} (leave it out", error, StringComparison.Ordinal);
        }

        Assert.Equal(before, File.GetLastWriteTimeUtc(Path.Combine(run, "run.json")));
        Assert.Equal([2], Steps(run));
    }

    [Fact]
    public async Task AFileThatContradictsIsRefusedByTheKeyInIt()
    {
        string run = await Begin("run", "cpu");
        string file = _folder.File("config.json");
        File.WriteAllText(file, """{"seed": 7, "loss": {"smoothing": 0.1}}""");
        Invocation changed = await Invocation.RunAsync("train", "--resume", run, "--config", file);
        Assert.Equal(2, changed.ExitCode);
        Assert.Contains($"--config {file} contradicts", changed.Error, StringComparison.Ordinal);
        Assert.Contains("'loss.smoothing' is 0, not 0.1", changed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithTheSettingsThatItWasStartedWithAndOtherThreadsARunEndsWithTheSameBytes()
    {
        string whole = _folder.File("whole");
        Invocation once = await Invocation.RunAsync([.. Train(whole, "cpu"), "--threads", "1"]);
        Assert.True(once.ExitCode == 0, once.Error);
        string run = await Begin("run", "cpu");
        Invocation resumed = await Invocation.RunAsync(["train", "--resume", run, "--out", run + "/", .. s_settings, "--threads", "3"]);
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Contains("device: cpu, 3 threads", resumed.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(Note, resumed.Output, StringComparison.Ordinal);
        Assert.Equal(3, Record(run)["threads"]!.GetValue<int>());
        foreach (string file in (string[])["optimizer.safetensors", "heads.safetensors", "text/model.safetensors", "image/model.safetensors", "state.json"])
        {
            Assert.Equal(Checkpoint(whole, file), Checkpoint(run, file));
        }
    }

    [Fact]
    public async Task OnAnotherDeviceARunGoesOnAndSaysThatItsBytesAreNotThoseOfOneDevice()
    {
        string whole = _folder.File("whole");
        Assert.Equal(0, (await Invocation.RunAsync(Train(whole, "cpu"))).ExitCode);
        string run = await Begin("run", "cpu");
        Invocation moved = await Invocation.RunAsync("train", "--resume", run, "--device", "cuda-emulated:sm_90", "--stop-after", "3");
        Assert.True(moved.ExitCode == 0, moved.Error);
        Assert.Contains("device: cuda-emulated:sm_90", moved.Output, StringComparison.Ordinal);
        Assert.Contains(Note, moved.Output, StringComparison.Ordinal);
        Assert.Contains("now on cuda-emulated:sm_90 (", moved.Output, StringComparison.Ordinal);
        JsonNode record = Record(run);
        Assert.Equal("cuda-emulated:sm_90", record["device"]!.GetValue<string>());
        Assert.Equal("own", record["matmul"]!.GetValue<string>());
        Assert.Matches(@"^\d+\.\d+$", record["driver"]!.GetValue<string>());

        // The configuration is what it was: without --device the run is back where it began.
        Invocation back = await Invocation.RunAsync("train", "--resume", run, "--set", "device=cpu");
        Assert.True(back.ExitCode == 0, back.Error);
        Assert.Contains("so far the run was computed on cuda-emulated:sm_90", back.Output, StringComparison.Ordinal);
        Assert.All(Losses(whole).Zip(Losses(run), (x, y) => (x, y)), p => Assert.Equal(p.x, p.y, 1e-5 * p.x));
        Assert.Equal(4, Losses(run).Length);
    }

    [Fact]
    public async Task TheConfigurationThatItWouldGoOnWithIsPrinted()
    {
        string run = await Begin("run", "cpu");
        Invocation printed = await Invocation.RunAsync("train", "--resume", run, "--threads", "2", "--print-config");
        Assert.Equal(0, printed.ExitCode);
        JsonNode config = JsonNode.Parse(printed.Output)!;
        Assert.Equal(2, config["threads"]!.GetValue<int>());
        config["threads"] = 0;
        Assert.True(JsonNode.DeepEquals(config, JsonNode.Parse(File.ReadAllText(Path.Combine(run, "config.json")))), printed.Output);
    }

    public void Dispose() => _folder.Dispose();

    private static string[] Train(string folder, string device) => ["train", "--out", folder, "--device", device, .. s_settings];

    private async Task<string> Begin(string name, string device)
    {
        string run = _folder.File(name);
        Invocation begun = await Invocation.RunAsync([.. Train(run, device), "--stop-after", "2"]);
        Assert.True(begun.ExitCode == 0, begun.Error);
        return run;
    }

    private static int[] Steps(string run) =>
        [.. Directory.GetDirectories(Path.Combine(run, "checkpoints")).Select(d => int.Parse(Path.GetFileName(d)["step-".Length..], System.Globalization.CultureInfo.InvariantCulture))];

    private static JsonNode Record(string run) => JsonNode.Parse(File.ReadAllText(Path.Combine(run, "run.json")))!;

    private static double[] Losses(string run) =>
        [.. File.ReadLines(Path.Combine(run, "metrics.jsonl")).Select(l => JsonNode.Parse(l)!["loss"]!.GetValue<double>())];

    private static byte[] Checkpoint(string run, string file) => File.ReadAllBytes(Path.Combine(run, "checkpoints", "step-00000004", file));
}
