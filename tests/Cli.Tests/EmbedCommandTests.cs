using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Cli.Tests;

public sealed class EmbedCommandTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private const string Texts = "Red CIRCLE\n\na blue square, and a green one\nrot\n";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("text-tower-xlm-roberta", "batch.pooled", "mean", "cpu")]
    [InlineData("text-tower-xlm-roberta", "batch.cls", "cls", "cpu")]
    [InlineData("text-tower-bert", "batch.pooled", "mean", "cpu")]
    [InlineData("text-tower-bert", "batch.pooled", "mean", "cuda-emulated")]
    [InlineData("image-tower-vit", "batch.mean", "mean", "cpu")]
    [InlineData("image-tower-vit", "batch.cls", "cls", "cpu")]
    [InlineData("image-tower-clip", "batch.image_embeds", "cls", "cpu")]
    [InlineData("image-tower-clip", "batch.image_embeds", "cls", "cuda-emulated")]
    public async Task PublishedTowersGiveTheGoldenVectors(string tower, string golden, string pooling, string device)
    {
        using SafetensorsFile cases = SafetensorsFile.Open(Fixtures.PathOf(tower, "cases.safetensors"));
        string input = _folder.File("in.safetensors");
        bool isText = cases.Contains("batch.input_ids");
        SafetensorsWriter writer = new();
        if (isText)
        {
            SafetensorsEntry ids = cases.Entry("batch.input_ids");
            writer.Add("input_ids", [.. ids.Shape], cases.ReadInt64s("batch.input_ids"));
            writer.Add("attention_mask", [.. ids.Shape], cases.ReadInt64s("batch.attention_mask"));
        }
        else
        {
            writer.Add("pixel_values", [.. cases.Entry("batch.pixel_values").Shape], cases.ReadSingles("batch.pixel_values"));
        }

        writer.Save(input);
        string output = _folder.File("out.safetensors");
        Invocation embed = await Invocation.RunAsync(
            "embed", "--model", Fixtures.PathOf(tower, "hf"), isText ? "--ids" : "--pixels", input, "--pooling", pooling, "--normalize", "false", "--batch-tokens", "24", "--device", device, "--out", output);
        Assert.True(embed.ExitCode == 0, embed.Error);
        using SafetensorsFile vectors = SafetensorsFile.Open(output);
        using JsonDocument meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf(tower, "meta.json")));
        double tolerance = meta.RootElement.GetProperty("outputs").GetProperty(golden).GetProperty("tolerance").GetDouble();
        Near.Assert(cases.ReadDoubles(golden + "_f64"), vectors.ReadSingles("embeddings"), tolerance);
        Assert.Equal(cases.Entry(golden).Shape, vectors.Entry("embeddings").Shape);
        Assert.Equal(pooling, vectors.Metadata["pooling"]);
        Assert.Equal("false", vectors.Metadata["normalized"]);
        Assert.Equal(vectors.Entry("embeddings").Shape[0], File.ReadLines(output + ".ids.jsonl").LongCount());
    }

    [Fact]
    public async Task ATextsVectorDoesNotDependOnItsNeighboursOrOnWhereItComesFrom()
    {
        string input = _folder.Write("texts.txt", Texts);
        string together = _folder.File("together.safetensors");
        Invocation embed = await Invocation.RunAsync("embed", "--model", run.Folder, "--texts", input, "--out", together);
        Assert.True(embed.ExitCode == 0, embed.Error);
        Assert.Contains("4 texts (", embed.Output, StringComparison.Ordinal);
        Assert.Contains("tokens/s", embed.Output, StringComparison.Ordinal);
        string apart = _folder.File("apart.safetensors");
        Invocation json = await Invocation.RunAsync(
            Encoding.UTF8.GetBytes(string.Concat(Texts.TrimEnd('\n').Split('\n').Select((t, i) => $"{{\"id\": \"t{i}\", \"text\": \"{t}\"}}\n"))),
            "embed", "--model", run.Folder, "--jsonl", "-", "--batch-tokens", "1", "--threads", "2", "--out", apart, "--json");
        Assert.True(json.ExitCode == 0, json.Error);
        Assert.Equal(4, JsonElement.Parse(json.Output).GetProperty("rows").GetInt32());
        using SafetensorsFile a = SafetensorsFile.Open(together);
        using SafetensorsFile b = SafetensorsFile.Open(apart);
        float[] vectors = a.ReadSingles("embeddings");
        Assert.Equal([4, 24], a.Entry("embeddings").Shape);
        Assert.Equal(vectors, b.ReadSingles("embeddings"));
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(1, vectors.AsSpan(24 * i, 24).ToArray().Sum(v => (double)v * v), 1e-5);
        }

        Assert.False(vectors.AsSpan(0, 24).SequenceEqual(vectors.AsSpan(72, 24)));
        JsonElement[] ids = [.. File.ReadLines(apart + ".ids.jsonl").Select(l => JsonElement.Parse(l))];
        Assert.Equal(["t0", "t1", "t2", "t3"], ids.Select(i => i.GetProperty("id").GetString()));
        Assert.Equal([0, 1, 2, 3], ids.Select(i => i.GetProperty("row").GetInt32()));
        Assert.Equal(2, ids[1].GetProperty("tokens").GetInt32());
        Assert.DoesNotContain(ids, i => i.GetProperty("truncated").GetBoolean());

        // As in training, a run reads its texts normalised; the tokenizer of its export does so itself.
        string exported = _folder.File("exported");
        Assert.Equal(0, (await Invocation.RunAsync("export", run.Folder, "--out", exported)).ExitCode);
        using TextEmbedder library = TextEmbedder.Load(exported);
        float[][] expected = library.Embed(["Red CIRCLE", "", "a blue square, and a green one", "rot"], TestContext.Current.CancellationToken);
        Assert.Equal(expected.SelectMany(v => v), vectors);
    }

    [Fact]
    public async Task ADefaultPromptThatTheFolderDeclaresIsUsedAndSaid()
    {
        string folder = _folder.File("exported");
        Assert.Equal(0, (await Invocation.RunAsync("export", run.Folder, "--out", folder)).ExitCode);
        string declared = Path.Combine(folder, "text", "config_sentence_transformers.json");
        File.WriteAllText(declared, """{"prompts": {"query": "query: "}, "default_prompt_name": "query"}""");
        string input = _folder.Write("texts.txt", "a red circle\n");
        string asked = _folder.Write("asked.txt", "query: a red circle\n");
        (float[] byDefault, string prefix, string said) = await EmbedAsync(input);
        Assert.Equal("query: ", prefix);
        Assert.Contains("the prompt 'query', which the model's folder declares as its default: \"query: \" (--prefix \"\" for none)", said, StringComparison.Ordinal);
        (float[] written, _, string quiet) = await EmbedAsync(asked, "--prefix", "");
        Assert.Equal(written, byDefault);
        Assert.DoesNotContain("default", quiet, StringComparison.Ordinal);
        (float[] plain, prefix, _) = await EmbedAsync(input, "--prefix", "");
        Assert.NotEqual(byDefault, plain);
        Assert.Equal("", prefix);

        // What is declared and not the default is for those who ask.
        File.WriteAllText(declared, """{"prompts": {"query": "query: "}}""");
        Assert.Equal(plain, (await EmbedAsync(input)).Vectors);
        Assert.Equal(byDefault, (await EmbedAsync(input, "--prompt", "query")).Vectors);

        async Task<(float[] Vectors, string Prefix, string Said)> EmbedAsync(string texts, params string[] more)
        {
            string output = _folder.File("v.safetensors");
            Invocation embed = await Invocation.RunAsync(["embed", "--model", folder, "--texts", texts, "--out", output, "--json", .. more]);
            Assert.True(embed.ExitCode == 0, embed.Error);
            using SafetensorsFile file = SafetensorsFile.Open(output);
            return (file.ReadSingles("embeddings"), file.Metadata["prefix"], embed.Error);
        }
    }

    [Fact]
    public async Task LongTextsAreCutAndListed()
    {
        string output = _folder.File("out.safetensors");
        byte[] input = Encoding.UTF8.GetBytes("red\n" + string.Join(' ', Enumerable.Repeat("circle", 40)) + "\n");
        Invocation embed = await Invocation.RunAsync(input, "embed", "--model", run.Folder, "--texts", "-", "--out", output);
        Assert.Equal(0, embed.ExitCode);
        Assert.Contains("warning: 1 texts are longer than 16 tokens", embed.Output, StringComparison.Ordinal);
        JsonElement[] ids = [.. File.ReadLines(output + ".ids.jsonl").Select(l => JsonElement.Parse(l))];
        Assert.Equal([false, true], ids.Select(i => i.GetProperty("truncated").GetBoolean()));
        Assert.Equal(16, ids[1].GetProperty("tokens").GetInt32());
    }

    [Fact]
    public async Task ARunsOwnTokenizerTakesTextsAndPrefixesNormalisedAsItsExportDoes()
    {
        // Captions lose capitals and punctuation, and what is put before them in training does too: the tokenizer has seen nothing else.
        string input = _folder.Write("texts.txt", "Red circle!");
        string exported = _folder.File("exported");
        Assert.Equal(0, (await Invocation.RunAsync("export", run.Folder, "--out", exported)).ExitCode);
        List<float[]> rows = [];
        foreach ((string model, string prefix) in new[] { (run.Folder, "A: "), (exported, "A: "), (run.Folder, "a "), (run.Folder, string.Empty) })
        {
            string output = _folder.File("v.safetensors");
            Invocation embed = await Invocation.RunAsync("embed", "--model", model, "--texts", input, "--prefix", prefix, "--out", output);
            Assert.True(embed.ExitCode == 0, embed.Error);
            using SafetensorsFile file = SafetensorsFile.Open(output);
            rows.Add(file.ReadSingles(file.Entries[0].Name));
        }

        Assert.Equal(rows[0], rows[1]);
        Assert.Equal(rows[0], rows[2]);
        Assert.NotEqual(rows[2], rows[3]);
    }

    [Theory]
    [InlineData("modules.json", "[1]", "modules.json': module 0 is no object")]
    [InlineData("config.json", "{\"model_type\": \"\\ud800\"}", "config.json': model_type is not valid Unicode")]
    [InlineData("config.json", "{\"model_type\": \"bert\", \"model_type\": \"bert\"}", "config.json' is not JSON: ")]
    [InlineData("config.json", "{\"model_type\": \"bert\", \"num_hidden_layers\": 4000}", "num_hidden_layers is 4000, but the checkpoint has")]
    public async Task AFileThatSaysWhatItMustNotIsOneLineThatNamesIt(string name, string content, string message)
    {
        string model = _folder.File("model");
        Directory.CreateDirectory(model);
        foreach (string file in Directory.GetFiles(Fixtures.PathOf("text-tower-bert", "hf")))
        {
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        }

        File.WriteAllText(Path.Combine(model, name), content);
        Invocation embed = await Invocation.RunAsync("a\n"u8.ToArray(), "embed", "--model", model, "--texts", "-", "--out", _folder.File("out.npy"));
        Assert.Equal(1, embed.ExitCode);
        string line = Assert.Single(embed.ErrorLines, l => l.StartsWith("error: ", StringComparison.Ordinal));
        Assert.Contains(message, line, StringComparison.Ordinal);
        Assert.DoesNotContain("--verbose", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ANumPyFileHoldsTheSameRows()
    {
        string input = _folder.Write("texts.txt", Texts);
        foreach (string name in (string[])["v.safetensors", "v.npy"])
        {
            Invocation embed = await Invocation.RunAsync("embed", "--model", run.Folder, "--texts", input, "--prefix", "a ", "--project", "false", "--out", _folder.File(name));
            Assert.True(embed.ExitCode == 0, embed.Error);
        }

        using SafetensorsFile file = SafetensorsFile.Open(_folder.File("v.safetensors"));
        Assert.Equal("a ", file.Metadata["prefix"]);
        Assert.Equal("true", file.Metadata["normalized"]);
        Assert.Equal(run.Folder, file.Metadata["model"]);
        byte[] bytes = File.ReadAllBytes(_folder.File("v.npy"));
        Assert.Equal([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0, 118, 0], bytes[..10]);
        string header = Encoding.ASCII.GetString(bytes, 10, 118);
        Assert.StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 32), }", header, StringComparison.Ordinal);
        Assert.EndsWith(" \n", header, StringComparison.Ordinal);
        float[] rows = new float[4 * 32];
        Buffer.BlockCopy(bytes, 128, rows, 0, bytes.Length - 128);
        Assert.Equal(file.ReadSingles("embeddings"), rows);
    }

    [Theory]
    [InlineData("--out x.safetensors", "--texts")]
    [InlineData("--texts a --ids b --out x.safetensors", "--ids")]
    [InlineData("--texts no-such.txt --out x.safetensors", "no-such.txt")]
    [InlineData("--texts - --out x.csv", "x.csv")]
    [InlineData("--texts - --pooling median --out x.npy", "median")]
    [InlineData("--texts - --batch-tokens 0 --out x.npy", "--batch-tokens")]
    [InlineData("--texts - --prefix a --prompt query --out x.npy", "--prompt")]
    [InlineData("--texts -", "--out")]
    [InlineData("--texts - --normalize maybe --out x.npy", "--normalize takes true or false, not 'maybe'")]
    [InlineData("--texts - --project 1 --out x.npy", "--project takes true or false, not '1'")]
    public async Task AWrongInvocationIsOneLineAndExitsWithTwo(string line, string named)
    {
        Invocation embed = await Invocation.RunAsync(["embed", "--model", run.Folder, .. line.Split(' ')]);
        Assert.Equal(2, embed.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(embed.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(named, embed.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--normalize", "true")]
    [InlineData("--normalize True", "true")]
    [InlineData("--normalize false --project false", "false")]
    public async Task AFlagIsTrueUnlessItSaysOtherwise(string flags, string normalized)
    {
        Invocation embed = await Invocation.RunAsync(
            "a\n"u8.ToArray(), ["embed", "--model", run.Folder, "--texts", "-", .. flags.Split(' '), "--out", _folder.File("f.safetensors")]);
        Assert.True(embed.ExitCode == 0, embed.Error);
        using SafetensorsFile file = SafetensorsFile.Open(_folder.File("f.safetensors"));
        Assert.Equal(normalized, file.Metadata["normalized"]);
        Assert.Equal(flags.Contains("--project", StringComparison.Ordinal) ? 32 : 24, file.Entry("embeddings").Shape[1]);
    }

    [Fact]
    public async Task AVectorThatIsNotFiniteIsNamedOrLeftOut()
    {
        // The word embedding of id 9 alone is broken, and row 1 alone has it.
        string source = Fixtures.PathOf("text-tower-xlm-roberta", "hf");
        string model = Directory.CreateDirectory(_folder.File("model")).FullName;
        File.Copy(Path.Combine(source, "config.json"), Path.Combine(model, "config.json"));
        SafetensorsWriter weights = new();
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors")))
        {
            foreach (SafetensorsEntry entry in file.Entries)
            {
                float[] values = file.ReadSingles(entry.Name);
                if (entry.Name == "embeddings.word_embeddings.weight")
                {
                    values[9 * 64] = float.NaN;
                }

                weights.Add(entry.Name, [.. entry.Shape], values);
            }
        }

        weights.Add("lm_head.bias", [3], new float[3]);
        weights.Save(Path.Combine(model, "model.safetensors"));
        SafetensorsWriter ids = new();
        ids.Add("input_ids", [3, 3], new long[] { 0, 7, 2, 0, 9, 2, 0, 8, 2 });
        ids.Save(_folder.File("ids.safetensors"));
        string[] line = ["embed", "--model", model, "--ids", _folder.File("ids.safetensors"), "--out", _folder.File("v.safetensors")];
        Invocation refused = await Invocation.RunAsync(line);
        Assert.Equal(1, refused.ExitCode);
        Assert.StartsWith("error: the vector of text 1 is not finite (check the checkpoint's weights", Assert.Single(refused.ErrorLines), StringComparison.Ordinal);
        Assert.Contains("; ignored: lm_head.bias", refused.Output, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path, "v.*"));

        Invocation skipped = await Invocation.RunAsync([.. line, "--skip-bad", "--json"]);
        Assert.True(skipped.ExitCode == 0, skipped.Error);
        JsonNode summary = JsonNode.Parse(skipped.Output)!;
        Assert.Equal((2, 1), (summary["rows"]!.GetValue<int>(), summary["skipped"]!.GetValue<int>()));
        using SafetensorsFile vectors = SafetensorsFile.Open(_folder.File("v.safetensors"));
        Assert.Equal([2, 64], vectors.Entry("embeddings").Shape);
        Assert.All(vectors.ReadSingles("embeddings"), x => Assert.True(float.IsFinite(x)));
        JsonNode[] rows = [.. File.ReadLines(_folder.File("v.safetensors.ids.jsonl")).Select(l => JsonNode.Parse(l)!)];
        Assert.Equal([(0, 0), (1, 2)], rows.Select(r => (r["row"]!.GetValue<int>(), r["id"]!.GetValue<int>())));
        JsonNode left = JsonNode.Parse(Assert.Single(File.ReadLines(_folder.File("v.safetensors.skipped.jsonl"))))!;
        Assert.Equal((1, "the vector of text 1 is not finite"), (left["id"]!.GetValue<int>(), left["error"]!.GetValue<string>()));
    }

    [Fact]
    public async Task WhatCannotBeEmbeddedFailsAndLeavesNothing()
    {
        string output = _folder.File("out.safetensors");
        Invocation image = await Invocation.RunAsync("a\n"u8.ToArray(), "embed", "--model", Fixtures.PathOf("image-tower-vit", "hf"), "--texts", "-", "--out", output);
        Assert.Equal(1, image.ExitCode);
        Assert.Contains("no text tower", Assert.Single(image.ErrorLines), StringComparison.Ordinal);
        Invocation prompt = await Invocation.RunAsync("a\n"u8.ToArray(), "embed", "--model", run.Folder, "--texts", "-", "--prompt", "query", "--out", output);
        Assert.Equal(1, prompt.ExitCode);
        Assert.Contains("no prompt 'query'", prompt.Error, StringComparison.Ordinal);
        SafetensorsWriter ids = new();
        ids.Add("input_ids", [1, 2], new long[] { 0, 100_000 });
        ids.Save(_folder.File("ids.safetensors"));
        Invocation outside = await Invocation.RunAsync("embed", "--model", run.Folder, "--ids", _folder.File("ids.safetensors"), "--out", output);
        Assert.Equal(1, outside.ExitCode);
        Assert.Contains("row 0 has the id 100000", outside.Error, StringComparison.Ordinal);
        SafetensorsWriter typed = new();
        typed.Add("input_ids", [1, 2], new long[] { 0, 2 });
        typed.Add("token_type_ids", [1, 2], new long[] { 0, 1 });
        typed.Save(_folder.File("typed.safetensors"));
        Invocation types = await Invocation.RunAsync("embed", "--model", run.Folder, "--ids", _folder.File("typed.safetensors"), "--out", output);
        Assert.Equal(1, types.ExitCode);
        Assert.Contains("token_type_ids", types.Error, StringComparison.Ordinal);
        byte[] bad = [(byte)'a', (byte)'\n', 0xff];
        Invocation invalid = await Invocation.RunAsync(bad, "embed", "--model", run.Folder, "--texts", "-", "--out", output);
        Assert.Equal(1, invalid.ExitCode);
        Assert.Contains("line 2 of standard input", invalid.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path, "out.*"));
    }
}
