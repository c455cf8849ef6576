using System.Text;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

/// <summary><c>embed</c> on a CUDA device that executes the shipped kernels.</summary>
public sealed class EmbedOnCudaTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

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
        Invocation embed = await Invocation.RunAsync(Encoding.UTF8.GetBytes(texts), ["embed", "--model", run.Folder, "--texts", "-", "--out", output, "--device", device, .. more]);
        Assert.True(embed.ExitCode == 0, embed.Error);
        using SafetensorsFile file = SafetensorsFile.Open(output);
        return file.ReadSingles("embeddings");
    }
}
