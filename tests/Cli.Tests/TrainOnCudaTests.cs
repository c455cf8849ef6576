using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Cli.Tests;

/// <summary>Training on the devices that <c>--device</c> names.</summary>
public sealed class TrainOnCudaTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task TheEmulatedDeviceTrainsAsTheProcessorDoesAndGoesOnToTheSameBytes()
    {
        Invocation cuda = await Invocation.RunAsync([.. Train("whole", "cuda-emulated"), "--verbose"]);
        Assert.True(cuda.ExitCode == 0, cuda.Error);
        Assert.DoesNotContain("not given back", cuda.Output, StringComparison.Ordinal);
        Assert.Contains("device: cuda-emulated:sm_80", cuda.Output, StringComparison.Ordinal);
        Assert.Equal("cuda-emulated:sm_80", JsonNode.Parse(File.ReadAllText(Path.Combine(_folder.File("whole"), "run.json")))!["device"]!.GetValue<string>());
        Invocation cpu = await Invocation.RunAsync(Train("cpu", "cpu"));
        Assert.True(cpu.ExitCode == 0, cpu.Error);
        double[] expected = Losses("cpu");
        Assert.Equal(3, expected.Length);
        Assert.All(expected.Zip(Losses("whole")), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * pair.First));

        // What was replayed from a graph before the stop is issued anew after it.
        Invocation stopped = await Invocation.RunAsync([.. Train("pieces", "cuda-emulated"), "--stop-after", "2"]);
        Assert.True(stopped.ExitCode == 0, stopped.Error);
        Invocation resumed = await Invocation.RunAsync("train", "--resume", _folder.File("pieces"));
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        foreach (string file in (string[])["optimizer.safetensors", Path.Combine("text", "model.safetensors"), Path.Combine("image", "model.safetensors")])
        {
            Assert.Equal(Checkpoint("whole", file), Checkpoint("pieces", file));
        }
    }

    [Fact]
    public async Task InBFloat16ARunGoesOnToTheSameBytesAndLossesAreTheProcessorsNearly()
    {
        string[] precision = ["--set", "precision=bf16"];
        Invocation whole = await Invocation.RunAsync([.. Train("whole", "cuda-emulated"), .. precision]);
        Assert.True(whole.ExitCode == 0, whole.Error);
        Assert.Equal(0, (await Invocation.RunAsync([.. Train("cpu", "cpu"), .. precision])).ExitCode);

        // The device stores activations as bfloat16 and the processor does not. An optimiser step moves every weight by as much, however small its
        // gradient, so that a sign that rounding turns shows in the losses after it.
        double[] expected = Losses("cpu"), actual = Losses("whole");
        Assert.Equal(expected[0], actual[0], 5e-3 * expected[0]);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 2e-2 * pair.First));
        Assert.Equal(0, (await Invocation.RunAsync([.. Train("pieces", "cuda-emulated"), .. precision, "--stop-after", "2"])).ExitCode);
        Assert.Equal(0, (await Invocation.RunAsync("train", "--resume", _folder.File("pieces"))).ExitCode);
        foreach (string file in (string[])["optimizer.safetensors", Path.Combine("text", "model.safetensors"), Path.Combine("image", "model.safetensors")])
        {
            Assert.Equal(Checkpoint("whole", file), Checkpoint("pieces", file));
        }
    }

    [Theory]
    [InlineData("max")]
    [InlineData("weightedmean")]
    public async Task EachPoolingTrainsOnTheEmulatedDeviceAsOnTheProcessor(string pooling)
    {
        string[] settings = ["--set", $"textTower.pooling={pooling}"];
        Assert.Equal(0, (await Invocation.RunAsync([.. Train("cuda", "cuda-emulated"), .. settings])).ExitCode);
        Assert.Equal(0, (await Invocation.RunAsync([.. Train("cpu", "cpu"), .. settings])).ExitCode);
        Assert.All(Losses("cpu").Zip(Losses("cuda")), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * pair.First));
        Assert.Equal(pooling, JsonNode.Parse(File.ReadAllText(Path.Combine(_folder.File("cpu"), "config.json")))!["textTower"]!["pooling"]!.GetValue<string>());
        Invocation export = await Invocation.RunAsync("export", _folder.File("cuda"), "--out", _folder.File("export"));
        Assert.True(export.ExitCode == 0, export.Error);
        JsonNode declared = JsonNode.Parse(File.ReadAllText(_folder.File("export/text/1_Pooling/config.json")))!;
        Assert.True(declared[$"pooling_mode_{pooling}_tokens"]!.GetValue<bool>());
        Assert.False(declared["pooling_mode_mean_tokens"]!.GetValue<bool>());
    }

    [Fact]
    public async Task OperationsAreListedByWorkAndNeverAsTimesOfTheEmulatedDevice()
    {
        Invocation run = await Invocation.RunAsync([.. Train("ops", "cuda-emulated"), "--profile-ops"]);
        Assert.True(run.ExitCode == 0, run.Error);
        string[] lines = run.Output.Split('\n');
        int header = Array.FindIndex(lines, l => l.Contains("the work that the emulated device counted, which is no time", StringComparison.Ordinal));
        Assert.True(header >= 0, run.Output);
        Match[] operations = [.. lines.Skip(header + 1).Select(l => Regex.Match(l, @"^  ([\w.]+): ([\d.]+) % in (\d+) calls$")).TakeWhile(m => m.Success)];

        // Three steps, each issued operation by operation.
        Assert.Equal("3", Assert.Single(operations, m => m.Groups[1].Value == "AdamW.Step").Groups[3].Value);
        Assert.Contains(operations, m => m.Groups[1].Value == "SimilarityCrossEntropy.ForwardBackward");
        Assert.InRange(operations.Sum(m => double.Parse(m.Groups[2].ValueSpan, CultureInfo.InvariantCulture)), 99, 101);
        Assert.DoesNotContain(" ms in ", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADeviceThatIsNotThereIsAnErrorAndNeverAnotherDevice()
    {
        Assert.SkipWhen(CudaDevice.UnavailableReason is null, "There is a real GPU.");
        Invocation run = await Invocation.RunAsync(Train("run", "cuda"));
        Assert.Equal(1, run.ExitCode);
        string error = Assert.Single(run.ErrorLines);
        Assert.Contains("'cuda' cannot be opened", error, StringComparison.Ordinal);
        Assert.Contains("--device cpu", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:x")]
    [InlineData("cuda-emulated:sm_70")]
    public async Task ADeviceThatNobodyKnowsIsAWrongInvocation(string device)
    {
        Invocation run = await Invocation.RunAsync(Train("run", device));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"'device' is '{device}'", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private string[] Train(string name, string device) =>
    [
        "train", "--recipe", "album", "--setup", "multilingual", "--data", "shapes", "--out", _folder.File(name), "--threads", "1", "--device", device,
        "--set", "steps=3", "--set", "batchSize=4", "--set", "captionsPerPicture=1", "--set", "evaluateEvery=0", "--set", "checkpointEvery=0",
        "--set", "tokenizer.pieces=300", "--set", "textTower.width=16", "--set", "textTower.heads=1", "--set", "textTower.feedForward=24", "--set", "textTower.layers=1",
        "--set", "imageTower.imageSize=16", "--set", "imageTower.width=16", "--set", "imageTower.heads=1", "--set", "imageTower.feedForward=24", "--set", "imageTower.layers=1",
        "--set", "projection.width=16",
    ];

    private double[] Losses(string name) =>
        [.. File.ReadLines(Path.Combine(_folder.File(name), "metrics.jsonl")).Select(l => JsonNode.Parse(l)!["loss"]!.GetValue<double>())];

    private byte[] Checkpoint(string name, string file) => File.ReadAllBytes(Path.Combine(_folder.File(name), "checkpoints", "step-00000003", file));
}
