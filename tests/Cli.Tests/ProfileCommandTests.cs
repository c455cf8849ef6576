using System.Text.Json;

namespace CrossAlign.Cli.Tests;

public sealed class ProfileCommandTests : IDisposable
{
    private static readonly string[] s_tiny =
    [
        "--set", "batchSize=8", "--set", "captionsPerPicture=1", "--set", "tokenizer.pieces=600", "--set", "textTower.width=32", "--set", "textTower.heads=2",
        "--set", "textTower.feedForward=48", "--set", "imageTower.imageSize=16", "--set", "imageTower.width=32", "--set", "imageTower.heads=2", "--set", "imageTower.feedForward=48",
        "--set", "projection.width=24",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task SizesWidthsPrecisionsAndVariantsAreMeasuredAndAStepIsTakenApart()
    {
        Invocation run = await Invocation.RunAsync(
        [
            "profile", "--batch-sizes", "24,40", "--widths", "8", "--precisions", "f32,bf16", "--variants", "symmetric,sigmoid+masked", "--seconds", "0", "--steps", "2", "--ops",
            "--threads", "2", "--json", "--out", _folder.File("profile"), .. s_tiny,
        ]);
        Assert.True(run.ExitCode == 0, run.Error);
        using JsonDocument report = JsonDocument.Parse(run.Output);
        JsonElement[] rows = [.. report.RootElement.GetProperty("loss").EnumerateArray()];
        Assert.Equal(8, rows.Length);
        Assert.All(rows, r => Assert.True(r.GetProperty("milliseconds").GetDouble() > 0));
        Assert.Equal(["f32", "f32", "bf16", "bf16"], rows[..4].Select(r => r.GetProperty("precision").GetString()));
        Assert.Equal([24, 40], rows[4..6].Select(r => r.GetProperty("batchSize").GetInt32()));
        JsonElement step = report.RootElement.GetProperty("step");
        Assert.Equal(2, step.GetProperty("steps").GetInt32());
        Assert.Equal(5, step.GetProperty("parts").GetArrayLength());
        Assert.NotEqual(0, step.GetProperty("operations").GetArrayLength());
        Assert.Equal(run.Output, File.ReadAllText(Path.Combine(_folder.File("profile"), "profile.json")));
        Assert.Equal(1 + 8 + 5 + step.GetProperty("operations").GetArrayLength(), File.ReadAllLines(Path.Combine(_folder.File("profile"), "profile.csv")).Length);
        Assert.Contains("<svg", File.ReadAllText(Path.Combine(_folder.File("profile"), "profile.html")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ATableIsPrintedAndTheStepCanBeLeftOut()
    {
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "20", "--widths", "8", "--seconds", "0", "--steps", "0", "--no-naive", "--out", _folder.File("p"));
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Contains("symmetricNormalized", run.Output, StringComparison.Ordinal);
        Assert.Contains("not asked for", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("text tower", run.Output, StringComparison.Ordinal);
        Assert.Contains("profile.html", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SizesThatCannotFitAreSaidWithTheNumbersAndFailAlone()
    {
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "2097152", "--widths", "131072", "--steps", "0", "--out", _folder.File("p"));
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("4096.0 GiB for embeddings and gradients", run.Output, StringComparison.Ordinal);
        Assert.StartsWith("error: none of the sizes could be measured", run.Error, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(_folder.File("p"), "profile.json")));
    }

    [Fact]
    public async Task ASizeThatWouldTakeTooLongIsLeftOutWithTheNumbers()
    {
        Invocation run = await Invocation.RunAsync(
            "profile", "--batch-sizes", "20,3000", "--widths", "8", "--seconds", "0", "--steps", "0", "--no-naive", "--longest", "1e-9", "--out", _folder.File("p"));
        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"B = 3000, E = 8: it would take at least \S+ h a call \(5\.76E\+08 operations at the \S+ GFLOP/s of a plain product\), more than 1E-09 h \(--longest\)", run.Output);
        using JsonDocument report = JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder.File("p"), "profile.json")));
        JsonElement large = report.RootElement.GetProperty("loss")[1];
        Assert.Contains("would take", large.GetProperty("refusal").GetString(), StringComparison.Ordinal);
        Assert.True(large.GetProperty("predictedSeconds").GetDouble() > 0);
    }

    [Theory]
    [InlineData("--longest", "0", "--longest takes")]
    [InlineData("--batch-sizes", "0", "'0' is no size")]
    [InlineData("--widths", "x", "'x' is no size")]
    [InlineData("--precisions", "f23", "the nearest is 'f32'")]
    [InlineData("--precisions", "tf32", "CUDA")]
    [InlineData("--batch-sizes", ",", "names nothing to measure")]
    [InlineData("--widths", "", "names nothing to measure")]
    [InlineData("--precisions", " ", "names nothing to measure")]
    [InlineData("--variants", ",,", "names nothing to measure")]
    [InlineData("--variants", "symetric", "the nearest is 'symmetric'")]
    [InlineData("--device", "gpu", "'gpu'")]
    [InlineData("--steps", "-1", "--steps takes 0 to 10000")]
    public async Task AWrongInvocationIsRefused(string option, string value, string message)
    {
        Invocation run = await Invocation.RunAsync("profile", option, value, "--out", _folder.File("p"));
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: ", run.ErrorLines[0], StringComparison.Ordinal);
        Assert.Contains(message, run.ErrorLines[0], StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.File("p")));
    }

    [Theory]
    [InlineData("bf16", null, "bf16")]
    [InlineData("bf16", "f32,bf16", "f32,bf16")]
    [InlineData(null, "bf16", "bf16")]
    [InlineData(null, null, "f32")]
    public async Task ThePrecisionOfTheStepIsThatOfTheLossUnlessItIsGiven(string? ofStep, string? ofLoss, string expected)
    {
        string[] options = [.. ofStep is null ? [] : (string[])["--precision", ofStep], .. ofLoss is null ? [] : (string[])["--precisions", ofLoss]];
        Invocation run = await Invocation.RunAsync(
            ["profile", "--batch-sizes", "9", "--widths", "8", "--seconds", "0", "--steps", "0", "--no-naive", "--json", "--out", _folder.File("p"), .. options]);
        Assert.True(run.ExitCode == 0, run.Error);
        using JsonDocument report = JsonDocument.Parse(run.Output);
        Assert.Equal(expected, string.Join(',', report.RootElement.GetProperty("loss").EnumerateArray().Select(r => r.GetProperty("precision").GetString())));
    }

    [Fact]
    public async Task PrecisionsThatContradictEachOtherAreRefused()
    {
        Invocation run = await Invocation.RunAsync("profile", "--precision", "bf16", "--precisions", "f32", "--out", _folder.File("p"));
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: --precision bf16 is none of --precisions f32", run.ErrorLines[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFileInPlaceOfTheFolderIsNamed()
    {
        File.WriteAllText(_folder.File("p"), "mine");
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "9", "--widths", "8", "--seconds", "0", "--steps", "0", "--out", _folder.File("p"));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("is a file (give the name of a folder", run.ErrorLines[0], StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(_folder.File("p")));
    }

    [Fact]
    public async Task ANaiveLossThatIsLeftOutSaysHowLongItWouldTake()
    {
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "4000", "--widths", "512", "--seconds", "0", "--steps", "0", "--json", "--out", _folder.File("p"));
        using JsonDocument report = JsonDocument.Parse(run.Output);
        string? refusal = report.RootElement.GetProperty("loss")[0].GetProperty("naiveRefusal").GetString();
        Assert.Matches(@"^would take some [1-9]\S* s, where 2 s are allowed$", refusal);
    }

    [Fact]
    public async Task ATinySizeSaysNothingOfTheNaiveTimeOfALargerOne()
    {
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "1,600", "--widths", "32", "--seconds", "0.05", "--steps", "0", "--json", "--out", _folder.File("p"));
        using JsonDocument report = JsonDocument.Parse(run.Output);
        Assert.All(report.RootElement.GetProperty("loss").EnumerateArray(), r => Assert.True(r.GetProperty("naiveMilliseconds").GetDouble() > 0));
    }

    [Fact]
    public async Task AnEmptyItemOfAListIsRefused()
    {
        Invocation run = await Invocation.RunAsync("profile", "--batch-sizes", "9,,10", "--widths", "8", "--seconds", "0", "--steps", "0", "--out", _folder.File("p"));
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: --batch-sizes: '9,,10' has an empty item", run.ErrorLines[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheLossIsCountedOnAnEmulatedDeviceAndNotTimed()
    {
        Invocation run = await Invocation.RunAsync(
        [
            "profile", "--device", "cuda-emulated", "--batch-sizes", "40", "--widths", "8", "--precisions", "f32,tf32,bf16", "--variants", "symmetricNormalized,sigmoid+masked",
            "--json", "--out", _folder.File("p"),
        ]);
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Contains("left out", run.Error, StringComparison.Ordinal);
        using JsonDocument report = JsonDocument.Parse(run.Output);
        JsonElement[] rows = [.. report.RootElement.GetProperty("loss").EnumerateArray()];
        Assert.Equal(["f32", "tf32", "bf16", "f32", "tf32", "bf16"], rows.Select(r => r.GetProperty("precision").GetString()));
        Assert.All(rows, r =>
        {
            Assert.Equal(3 * 2 * 40 * 40 * 8, r.GetProperty("arithmetic").GetInt64());
            Assert.InRange(r.GetProperty("memoryBytes").GetInt64(), 1, r.GetProperty("predictedBytes").GetInt64());
            Assert.False(r.TryGetProperty("milliseconds", out JsonElement time) && time.ValueKind != JsonValueKind.Null);
            Assert.Contains("processor", r.GetProperty("naiveRefusal").GetString(), StringComparison.Ordinal);
        });
        Assert.StartsWith("cuda-emulated", report.RootElement.GetProperty("machine").GetProperty("device").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStepOnACudaDeviceIsRefusedWhereItIsAskedFor()
    {
        Invocation run = await Invocation.RunAsync("profile", "--device", "cuda-emulated", "--steps", "2", "--out", _folder.File("p"));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("taken apart on the processor", run.ErrorLines[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task KernelsAreCountedOnTheEmulatedDevice()
    {
        Invocation run = await Invocation.RunAsync("profile", "--kernels", "--kernel-tokens", "8", "--kernel-operations", "layerNorm,Gelu", "--json");
        Assert.Equal(0, run.ExitCode);
        JsonElement report = JsonElement.Parse(run.Output);
        Assert.Equal("crossalign/kernels/1", report.GetProperty("schema").GetString());
        Assert.Contains("Nothing here was measured on a GPU", report.GetProperty("note").GetString(), StringComparison.Ordinal);
        JsonElement norm = Assert.Single(
            report.GetProperty("kernels").EnumerateArray(), k => k.GetProperty("kernel").GetString() == "layernorm_fwd_f32");
        Assert.Equal(2, norm.GetProperty("blocks").GetInt64());
        Assert.Equal(
            ["Gelu", "LayerNorm"],
            report.GetProperty("kernels").EnumerateArray().Select(k => k.GetProperty("operation").GetString()).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
        Assert.Empty(report.GetProperty("loss").EnumerateArray());
        Assert.Equal(["A100", "H100"], norm.GetProperty("bounds").EnumerateArray().Select(b => b.GetProperty("gpu").GetString()));
        Assert.All(norm.GetProperty("bounds").EnumerateArray(), b => Assert.True(b.GetProperty("lowerBoundMicroseconds").GetDouble() > 0));
    }

    [Theory]
    [InlineData("--kernel-tokens", "0")]
    [InlineData("--markdown", "no-such.md")]
    [InlineData("--kernel-operations", "LayerNrom")]
    [InlineData("--kernel-operations", "Gelu", "--markdown", "../../../../../docs/kernels.md")]
    public async Task AWrongInvocationOfKernelsExitsWithTwo(params string[] options)
    {
        Invocation run = await Invocation.RunAsync(["profile", "--kernels", .. options]);
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }
}
