using System.Text.Json;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

public sealed class ExportCommandTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ARunIsExportedWithItsTowersHeadsTokenizerAndCard()
    {
        string folder = _folder.File("little");
        Invocation export = await Invocation.RunAsync("export", run.Folder, "--format", "hf", "--out", folder, "--json");
        Assert.True(export.ExitCode == 0, export.Error);
        JsonElement report = JsonElement.Parse(export.Output);
        Assert.Equal(folder, report.GetProperty("folder").GetString());
        string[] files = [.. report.GetProperty("files").EnumerateArray().Select(f => f.GetString()!)];
        Assert.All(files, f => Assert.True(File.Exists(Path.Combine(folder, f)), f));
        Assert.Superset(
            new HashSet<string> { "README.md", "crossalign_projection.safetensors", "text/config.json", "text/model.safetensors", "text/tokenizer.json", "image/config.json", "image/preprocessor_config.json" },
            files.ToHashSet());

        // The weights are those of the run's checkpoint, bit for bit.
        string checkpoint = report.GetProperty("checkpoint").GetString()!;
        Assert.EndsWith("step-00000003", checkpoint, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Path.Combine(checkpoint, "text", "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "text", "model.safetensors")));
        Assert.Equal(File.ReadAllBytes(Path.Combine(checkpoint, "image", "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "image", "model.safetensors")));
        using SafetensorsFile heads = SafetensorsFile.Open(Path.Combine(folder, "crossalign_projection.safetensors"));
        Assert.Equal([24, 32], heads.Entry("text_head.weight").Shape);

        JsonElement preprocessor = JsonElement.Parse(File.ReadAllText(Path.Combine(folder, "image", "preprocessor_config.json")));
        Assert.Equal([0.75, 0.75, 0.75], preprocessor.GetProperty("image_mean").EnumerateArray().Select(v => v.GetDouble()));
        Assert.Equal([0.35, 0.35, 0.35], preprocessor.GetProperty("image_std").EnumerateArray().Select(v => v.GetDouble()));

        string card = File.ReadAllText(Path.Combine(folder, "README.md"));
        Assert.Contains("# little", card, StringComparison.Ordinal);
        Assert.Contains("`shapes`, checksum `", card, StringComparison.Ordinal);
        Assert.Contains("set-up `multilingual`, seed 1", card, StringComparison.Ordinal);
        Assert.Contains("the run ended: completed", card, StringComparison.Ordinal);
        Assert.DoesNotContain(run.Folder, card, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhatIsNoRunIsRefused()
    {
        Invocation missing = await Invocation.RunAsync("export", _folder.File("nothing"), "--out", _folder.File("out"));
        Assert.Equal(2, missing.ExitCode);
        Assert.Contains("nothing", Assert.Single(missing.ErrorLines), StringComparison.Ordinal);
        Invocation published = await Invocation.RunAsync("export", Fixtures.PathOf("text-tower-bert", "hf"), "--out", _folder.File("out"));
        Assert.Equal(1, published.ExitCode);
        Assert.Contains("holds no run (", Assert.Single(published.ErrorLines), StringComparison.Ordinal);
        Invocation format = await Invocation.RunAsync("export", run.Folder, "--format", "onnx", "--out", _folder.File("out"));
        Assert.Equal(2, format.ExitCode);
        Assert.Contains("onnx", Assert.Single(format.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.File("out")));
    }
}
