using System.Text;
using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

/// <summary><c>embed</c> on a CUDA device that executes the shipped kernels.</summary>
public sealed class EmbedOnCudaTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private string _precision = string.Empty;
    private string _said = string.Empty;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WithOwnProductsATextsVectorIsTheProcessorsAndDoesNotDependOnItsBatch()
    {
        string[] texts = ["Red CIRCLE", "", "a blue square, and a green one", string.Join(' ', Enumerable.Repeat("circle", 40)), "rot"];
        float[] together = await EmbedAsync("cuda-emulated", string.Join('\n', texts) + "\n", "--matmul", "own");
        float[] oneByOne = await EmbedAsync("cuda-emulated", string.Join('\n', texts) + "\n", "--matmul", "own", "--batch-tokens", "1");
        Assert.Equal(together, oneByOne);
        float[] alone = await EmbedAsync("cuda-emulated", texts[2] + "\n", "--matmul", "own");
        Assert.Equal(together[(2 * alone.Length)..(3 * alone.Length)], alone);
        Near.Assert([.. (await EmbedAsync("cpu", string.Join('\n', texts) + "\n")).Select(v => (double)v)], together, 1e-5);
    }

    [Theory]
    [InlineData("tf32", 1e-7, 2e-3)]
    [InlineData("bf16", 1e-4, 3e-2)]
    public async Task APrecisionIsTheOneThatWasAskedForAndElseTheRuns(string precision, double least, double most)
    {
        const string Texts = "Red CIRCLE\na blue square, and a green one\n";
        float[] exact = await EmbedAsync("cuda-emulated", Texts, "--precision", "f32");
        Assert.Equal("f32", _precision);
        float[] rounded = await EmbedAsync("cuda-emulated", Texts, "--precision", precision);
        Assert.Equal(precision, _precision);
        double error = exact.Zip(rounded, (a, b) => Math.Abs((double)a - b)).Max();
        Assert.InRange(error, least, most);
        Assert.Equal(exact, await EmbedAsync("cuda-emulated", Texts));

        // The same weights in a run of that precision.
        string other = RunOf(precision);
        Assert.Equal(rounded, await EmbedAsync("cuda-emulated", Texts, ["--model", other]));
        Assert.Equal(precision, _precision);
        Assert.Equal(exact, await EmbedAsync("cuda-emulated", Texts, ["--model", other, "--precision", "f32"]));
    }

    [Fact]
    public async Task TheProcessorRoundsOperandsWhereThatIsAskedForAndHasNoTf32()
    {
        const string Texts = "Red CIRCLE\n";
        float[] exact = await EmbedAsync("cpu", Texts);
        Assert.Equal("f32", _precision);
        float[] rounded = await EmbedAsync("cpu", Texts, "--precision", "bf16");
        Assert.Equal("bf16", _precision);
        Assert.InRange(exact.Zip(rounded, (a, b) => Math.Abs((double)a - b)).Max(), 1e-5, 3e-2);
        string other = RunOf("tf32");
        Assert.Equal(exact, await EmbedAsync("cpu", Texts, ["--model", other]));
        Assert.Equal("f32", _precision);
        Assert.Contains("which the processor does not have", _said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tf32", 1, "'precision': The processor has no TF32 arithmetic")]
    [InlineData("fp16", 2, "--precision: there is no precision 'fp16'")]
    public async Task PrecisionsThatAreNotThereAreRefused(string precision, int exitCode, string message)
    {
        Invocation embed = await Invocation.RunAsync(
            "embed"u8.ToArray(), "embed", "--model", run.Folder, "--texts", "-", "--out", _folder.File("v.npy"), "--device", "cpu", "--precision", precision);
        Assert.Equal(exitCode, embed.ExitCode);
        Assert.Contains(message, Assert.Single(embed.ErrorLines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cpu", "cublas", 1, "the processor has no cuBLAS")]
    [InlineData("cpu", "fast", 2, "'fast'")]
    public async Task ProductsThatAreNotThereAreRefused(string device, string matmul, int exitCode, string message)
    {
        Invocation embed = await Invocation.RunAsync(
            "embed"u8.ToArray(), "embed", "--model", run.Folder, "--texts", "-", "--out", _folder.File("v.npy"), "--device", device, "--matmul", matmul);
        Assert.Equal(exitCode, embed.ExitCode);
        Assert.Contains(message, Assert.Single(embed.ErrorLines), StringComparison.Ordinal);
    }

    private async Task<float[]> EmbedAsync(string device, string texts, params string[] more)
    {
        string output = _folder.File("v.safetensors");
        string[] model = more.Contains("--model") ? [] : ["--model", run.Folder];
        Invocation embed = await Invocation.RunAsync(Encoding.UTF8.GetBytes(texts), ["embed", .. model, "--texts", "-", "--out", output, "--device", device, .. more]);
        Assert.True(embed.ExitCode == 0, embed.Error);
        _said = embed.Output + embed.Error;
        using SafetensorsFile file = SafetensorsFile.Open(output);
        _precision = file.Metadata["precision"];
        return file.ReadSingles("embeddings");
    }

    // The run, as if it had been trained with another precision.
    private string RunOf(string precision)
    {
        string folder = _folder.File("run-" + precision);
        foreach (string file in Directory.GetFiles(run.Folder, "*", SearchOption.AllDirectories))
        {
            string to = Path.Combine(folder, Path.GetRelativePath(run.Folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }

        string config = Path.Combine(folder, "config.json");
        JsonNode settings = JsonNode.Parse(File.ReadAllText(config))!;
        Assert.Equal("f32", (string?)settings["precision"]);
        settings["precision"] = precision;
        File.WriteAllText(config, settings.ToJsonString());
        return folder;
    }
}
