using System.Text;
using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Cli.Tests;

/// <summary><c>embed --images</c> and <c>--skip-bad</c>: published towers, runs and exports.</summary>
public sealed class EmbedImagesTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("image-tower-vit", "hf", "vit", 48)]
    [InlineData("image-tower-clip", "hf", "clip", 40)]
    public async Task AFolderGivesTheVectorsOfItsPreparedPictures(string tower, string form, string preprocessor, int width)
    {
        string pictures = Pictures();
        string model = Fixtures.PathOf(tower, form);
        string fromFiles = await EmbedAsync("files.safetensors", "--model", model, "--images", pictures, "--batch-tokens", "40");
        JsonElement[] ids = Lines(fromFiles + ".ids.jsonl");
        Assert.Equal(["B.jpg", "a.png", "sub/c.png"], ids.Select(i => i.GetProperty("path").GetString()));
        Assert.Equal([0, 1, 2], ids.Select(i => i.GetProperty("row").GetInt32()));
        Assert.All(ids, i => Assert.Equal(17, i.GetProperty("tokens").GetInt32()));

        // The same through the steps: compute preprocess, then --pixels.
        List<float> expected = [];
        foreach (string name in (string[])["B.jpg", "a.png", "sub/c.png"])
        {
            string prepared = _folder.File("prepared.safetensors");
            Invocation compute = await Invocation.RunAsync(
                "compute", "preprocess", "--in", Path.Combine(pictures, name), "--out", prepared, "--set", $"form={preprocessor}", "--set", "size=32");
            Assert.True(compute.ExitCode == 0, compute.Error);
            expected.AddRange(Vectors(await EmbedAsync("one.safetensors", "--model", model, "--pixels", prepared)));
        }

        Assert.Equal([3L, width], ShapeOf(fromFiles));
        Assert.Equal(expected, Vectors(fromFiles));
    }

    [Fact]
    public async Task ARunItsExportAndTheLibraryAgree()
    {
        string pictures = Pictures();
        string exported = _folder.File("exported");
        Assert.Equal(0, (await Invocation.RunAsync("export", run.Folder, "--out", exported)).ExitCode);
        float[] vectors = Vectors(await EmbedAsync("run.safetensors", "--model", run.Folder, "--images", pictures));
        Assert.Equal(3 * 24, vectors.Length);
        Assert.Equal(vectors, Vectors(await EmbedAsync("export.safetensors", "--model", exported, "--images", pictures, "--batch-tokens", "1", "--threads", "1")));
        using TwoTowerModel library = TwoTowerModel.Load(run.Folder);
        string[] files = [.. ((string[])["B.jpg", "a.png", "sub/c.png"]).Select(f => Path.Combine(pictures, f))];
        Assert.Equal(vectors, library.EmbedImage(files, TestContext.Current.CancellationToken).SelectMany(v => v));
        Assert.Equal(vectors[24..48], library.EmbedImage(files[1]));
    }

    [Fact]
    public async Task WhatCannotBeReadIsAnErrorOrLeftOutAndListed()
    {
        string pictures = Pictures();
        string whole = await EmbedAsync("whole.safetensors", "--model", run.Folder, "--images", pictures);
        File.Copy(Fixtures.PathOf("images", "broken", "jpg-truncated-in-dht.jpg"), Path.Combine(pictures, "aa.jpg"));
        string output = _folder.File("out.safetensors");
        Invocation refused = await Invocation.RunAsync("embed", "--model", run.Folder, "--images", pictures, "--out", output);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("aa.jpg", Assert.Single(refused.ErrorLines), StringComparison.Ordinal);
        Assert.Contains("--skip-bad", refused.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path, "out.*"));
        Invocation skipped = await Invocation.RunAsync("embed", "--model", run.Folder, "--images", pictures, "--out", output, "--skip-bad", "--json");
        Assert.True(skipped.ExitCode == 0, skipped.Error);
        Assert.Equal(1, JsonElement.Parse(skipped.Output).GetProperty("skipped").GetInt32());
        Assert.Contains("aa.jpg", skipped.Error, StringComparison.Ordinal);
        Assert.Equal(Vectors(whole), Vectors(output));
        Assert.Equal(["B.jpg", "a.png", "sub/c.png"], Lines(output + ".ids.jsonl").Select(i => i.GetProperty("path").GetString()));
        JsonElement listed = Assert.Single(Lines(output + ".skipped.jsonl"));
        Assert.Equal("aa.jpg", listed.GetProperty("path").GetString());
        Assert.Contains("aa.jpg", listed.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--texts", "[0,2]", "1")]
    [InlineData("--jsonl", "[\"a\",\"c\"]", "\"b\"")]
    public async Task TextsThatCannotBeReadAreLeftOutAndListed(string option, string ids, string bad)
    {
        byte[] input = option == "--texts"
            ? [.. "red\n"u8, 0xff, .. "x\ncircle\n"u8]
            : Encoding.UTF8.GetBytes("{\"id\": \"a\", \"text\": \"red\"}\n{\"id\": \"b\", \"text\": 3}\n{\"id\": \"c\", \"text\": \"circle\"}\n");
        string output = _folder.File("out.safetensors");
        Assert.Equal(1, (await Invocation.RunAsync(input, "embed", "--model", run.Folder, option, "-", "--out", output)).ExitCode);
        Invocation embed = await Invocation.RunAsync(input, "embed", "--model", run.Folder, option, "-", "--out", output, "--skip-bad");
        Assert.True(embed.ExitCode == 0, embed.Error);
        Assert.Contains("line 2 of standard input", embed.Output, StringComparison.Ordinal);
        Assert.Equal(ids, $"[{string.Join(',', Lines(output + ".ids.jsonl").Select(i => i.GetProperty("id").GetRawText()))}]");
        Assert.Equal(bad, Assert.Single(Lines(output + ".skipped.jsonl")).GetProperty("id").GetRawText());
        Assert.Equal([2, 24], ShapeOf(output));
        float[] good = Vectors(await EmbedAsync(Encoding.UTF8.GetBytes("red\ncircle\n"), "good.safetensors", "--model", run.Folder, "--texts", "-"));
        Assert.Equal(good, Vectors(output));
    }

    [Theory]
    [InlineData("--images no-such-folder --out x.npy", "no-such-folder")]
    [InlineData("--images . --texts a --out x.npy", "--images")]
    public async Task AWrongInvocationIsOneLineAndExitsWithTwo(string line, string named)
    {
        Invocation embed = await Invocation.RunAsync(["embed", "--model", run.Folder, .. line.Split(' ')]);
        Assert.Equal(2, embed.ExitCode);
        Assert.Contains(named, Assert.Single(embed.ErrorLines), StringComparison.Ordinal);
    }

    private static float[] Vectors(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return file.ReadSingles("embeddings");
    }

    private static IReadOnlyList<long> ShapeOf(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return file.Entry("embeddings").Shape;
    }

    private static JsonElement[] Lines(string path) => [.. File.ReadLines(path).Select(l => JsonElement.Parse(l))];

    private string Pictures()
    {
        string pictures = _folder.File("pictures");
        Directory.CreateDirectory(Path.Combine(pictures, "sub"));
        File.Copy(Fixtures.PathOf("images", "resize", "source-500x333.png"), Path.Combine(pictures, "a.png"));
        File.Copy(Directory.GetFiles(Fixtures.PathOf("images", "jpeg"), "*.jpg").Order(StringComparer.Ordinal).First(), Path.Combine(pictures, "B.jpg"));
        File.Copy(Fixtures.PathOf("images", "resize", "source-noise24x70.png"), Path.Combine(pictures, "sub", "c.png"));
        File.WriteAllText(Path.Combine(pictures, ".hidden"), "no picture");
        return pictures;
    }

    private Task<string> EmbedAsync(string name, params string[] args) => EmbedAsync([], name, args);

    private async Task<string> EmbedAsync(byte[] input, string name, params string[] args)
    {
        string output = _folder.File(name);
        Invocation embed = await Invocation.RunAsync(input, ["embed", .. args, "--out", output]);
        Assert.True(embed.ExitCode == 0, embed.Error);
        return output;
    }
}
