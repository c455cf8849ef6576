using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Models.Tests.Training;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>Layouts and declarations of sentence-transformers folders that change vectors.</summary>
public sealed class SentenceTransformersFolderTests : IDisposable
{
    private static readonly string[] s_texts = ["red circle", "a blue square and much else", "círculo"];

    private readonly ShortRuns _runs = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void ATransformerInAFolderOfItsOwnIsTheSameTower()
    {
        string flat = Folder("");
        string nested = Folder("0_Transformer");
        using TextEmbedder expected = TextEmbedder.Load(flat);
        using TextEmbedder embedder = TextEmbedder.Load(nested);
        Assert.Equal(expected.Embed(s_texts, Token), embedder.Embed(s_texts, Token));
        Assert.Equal(1, embedder.TruncatedCount);

        // A run may begin with it, and takes along what belongs to the tower.
        RunConfig config = ShortRuns.Tiny(nested, _runs.Image("image-tower-vit"), "none", "none") with { Steps = 1 };
        _runs.Run(config, "run");
        using CpuDevice device = new(1);
        RunExport.Write(ModelSource.Find(_runs.PathOf("run")), device, _runs.PathOf("export"), "tuned", []);
        Assert.True(File.Exists(_runs.PathOf("export/text/tokenizer.json")));
        Assert.False(Directory.Exists(_runs.PathOf("export/text/0_Transformer")));
        Assert.True(SentenceTransformersSettings.Read(_runs.PathOf("export/text")).LowerCase);
        using TextEmbedder run = TextEmbedder.Load(_runs.PathOf("run"));
        using TextEmbedder export = TextEmbedder.Load(_runs.PathOf("export"));
        Assert.Equal(run.Embed(s_texts, Token), export.Embed(s_texts, Token));
    }

    [Fact]
    public void AClipInAFolderOfItsOwnIsTheSameModelWithoutNorm()
    {
        string clip = _runs.Clip();
        string nested = _runs.PathOf("nested");
        Directory.CreateDirectory(nested);
        CopyFolder(clip, Path.Combine(nested, "0_CLIPModel"));
        File.WriteAllText(
            Path.Combine(nested, "0_CLIPModel", "preprocessor_config.json"),
            """{"do_resize": true, "size": {"height": 24, "width": 24}, "resample": 2, "do_rescale": true, "do_normalize": true, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]}""");
        File.WriteAllText(Path.Combine(nested, "modules.json"), """[{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]""");
        using CpuDevice device = new(1);
        using TwoTowerModel expected = TwoTowerModel.Load(clip, device);
        using TwoTowerModel model = TwoTowerModel.Load(nested, device);
        float[][] plain = TextEmbedder.Over(expected, ownsModel: false, new TextEmbedderOptions { Normalize = false }).Embed(s_texts, Token);
        Assert.Equal(plain, model.EmbedText(s_texts, Token));
        Assert.NotEqual(1, plain[0].Sum(v => (double)v * v), 1e-3);
        Assert.Equal([0.1, 0.2, 0.3], ModelSource.Find(nested).ReadPreprocessor(model.Image!.Config, out _).Mean.Select(m => Math.Round(m, 6)));
        RgbImage[] pictures = [new(24, 24, [.. Enumerable.Range(0, 3 * 24 * 24).Select(i => (byte)(i * 7))])];
        Assert.Equal(24, model.EmbedImage(pictures, Token)[0].Length);
    }

    [Fact]
    public void AFolderThatIsNotThereIsNamed()
    {
        string nested = Folder("0_Transformer");
        Directory.Move(Path.Combine(nested, "0_Transformer"), Path.Combine(nested, "elsewhere"));
        Assert.Contains("0_Transformer", Assert.Throws<UserErrorException>(() => TextEmbedder.Load(nested)).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(nested, "modules.json"), "[]");
        Assert.Contains("no module at all", Assert.Throws<UserErrorException>(() => SentenceTransformersSettings.Read(nested)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APoolingOfAnotherWidthIsRefused()
    {
        string folder = Folder("", "{\"word_embedding_dimension\": 384, \"pooling_mode_mean_tokens\": true}");
        string message = Assert.Throws<UserErrorException>(() => TextEmbedder.Load(folder)).Message;
        Assert.Contains("384", message, StringComparison.Ordinal);
        Assert.Contains("48", message, StringComparison.Ordinal);

        // As for embedding, so for training, whatever the run pools by.
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", "shapes").Set("textTower.from=" + folder);
        Assert.Contains("'textTower.from': '" + folder + "' declares a pooling of rows of 384", Assert.Throws<UserErrorException>(() => reader.Resolve()).What, StringComparison.Ordinal);
        reader.Set("textTower.pooling=cls");
        Assert.Contains("384", Assert.Throws<UserErrorException>(() => reader.Resolve()).What, StringComparison.Ordinal);
    }

    // The published library takes the prompt's tokens out of the mean, and the token in front of it; the one behind the text stays.
    [Theory]
    [InlineData("query: ", null, "mean")]
    [InlineData("query: ", null, "cls")]
    [InlineData("  a ", null, "mean")]
    [InlineData("query: ", PoolingKind.Mean, "cls")]
    [InlineData("query: ", PoolingKind.Eos, "mean")]
    [InlineData("query: ", null, "max")]
    [InlineData("query: ", null, "mean_sqrt_len_tokens")]
    [InlineData("query: ", null, "weightedmean")]
    [InlineData("  a ", PoolingKind.WeightedMean, "cls")]
    public void MeansAndMaximaLeaveThePromptOut(string prompt, PoolingKind? asked, string declared)
    {
        string folder = Folder("", $"{{\"word_embedding_dimension\": 48, \"pooling_mode\": \"{declared}\", \"include_prompt\": false}}");
        using CpuDevice device = new(2);
        using TwoTowerModel model = TwoTowerModel.Load(folder, device);
        TextEmbedderOptions options = new() { Prefix = prompt, Pooling = asked, Normalize = false };
        float[][] vectors = TextEmbedder.Over(model, ownsModel: false, options).Embed(s_texts, Token);
        float[][] apart = TextEmbedder.Over(model, ownsModel: false, options with { BatchTokens = 1 }).Embed(s_texts, Token);
        Assert.Equal(vectors, apart);

        PoolingKind kind = asked ?? PoolingModes.Find(declared)!.Value;
        PipelineTokenizer tokenizer = ShortRuns.Tokens(270);
        List<int> promptIds = [];
        tokenizer.Encode(prompt.Trim().ToLowerInvariant(), promptIds);
        int skipped = promptIds.Count - 1;
        using TensorArena arena = new(device, 1 << 20);
        for (int text = 0; text < s_texts.Length; text++)
        {
            List<int> ids = [];
            tokenizer.Encode((prompt + s_texts[text]).ToLowerInvariant(), ids, 24);
            TokenBatch batch = new(model.Text!.Packing);
            batch.Add([.. ids]);
            arena.Reset();
            model.Text.Forward(batch, PoolingKind.Mean, arena, TowerPass.Inference);
            float[] hidden = model.Text.LastHidden.ToArray<float>();
            int[] behind = [.. Enumerable.Range(skipped, ids.Count - skipped)];
            for (int i = 0; i < 48; i++)
            {
                double At(int k) => hidden[(k * 48) + i];
                double expected = kind switch
                {
                    PoolingKind.Cls => At(0),
                    PoolingKind.Eos => At(ids.Count - 1),
                    PoolingKind.Max => behind.Max(At),
                    PoolingKind.MeanSqrtLength => behind.Sum(At) / Math.Sqrt(behind.Length),
                    PoolingKind.WeightedMean => behind.Sum(k => (k + 1) * At(k)) / behind.Sum(k => k + 1.0),
                    _ => behind.Average(At),
                };
                Assert.Equal(expected, vectors[text][i], 3e-6);
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void SeveralPoolingsStandOneBehindTheOther(bool includePrompt)
    {
        const string On = "\"pooling_mode_cls_token\": true, \"pooling_mode_max_tokens\": true, \"pooling_mode_mean_tokens\": true, \"pooling_mode_mean_sqrt_len_tokens\": true, \"pooling_mode_weightedmean_tokens\": true, \"pooling_mode_lasttoken\": true";
        string folder = Folder("", $"{{\"word_embedding_dimension\": 48, {On}, \"include_prompt\": {(includePrompt ? "true" : "false")}}}");
        using CpuDevice device = new(2);
        using TwoTowerModel model = TwoTowerModel.Load(folder, device);
        TextEmbedderOptions options = new() { Prefix = "query: ", Normalize = false };
        TextEmbedder all = TextEmbedder.Over(model, ownsModel: false, options);
        Assert.Equal("cls+max+mean+mean_sqrt_len_tokens+weightedmean+eos", all.Pooling.Name);
        Assert.Equal(6 * 48, all.Width);
        float[][] vectors = all.Embed(s_texts, Token);
        for (int part = 0; part < 6; part++)
        {
            float[][] one = TextEmbedder.Over(model, ownsModel: false, options with { Pooling = all.Pooling.Kinds[part] }).Embed(s_texts, Token);
            Assert.All(Enumerable.Range(0, s_texts.Length), t => Assert.Equal(one[t], vectors[t][(part * 48)..((part + 1) * 48)]));
        }

        float[][] unit = TextEmbedder.Over(model, ownsModel: false, options with { Normalize = true, Pooling = PoolingModes.Parse("lasttoken+cls") }).Embed(s_texts, Token);
        Assert.All(unit, v => Assert.Equal(1, v.Sum(x => (double)x * x), 1e-5));
        Assert.Equal(vectors[1][0] / vectors[1][(5 * 48)], unit[1][48] / unit[1][0], 1e-4);

        // Who trains or asks for gradients has to choose.
        Assert.Contains("cls+max+", Assert.Throws<UserErrorException>(() => model.Options.TextPooling.Only).What, StringComparison.Ordinal);
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", "shapes").Set("textTower.from=" + folder);
        UserErrorException e = Assert.Throws<UserErrorException>(() => reader.Resolve());
        Assert.StartsWith("'textTower.from': the model concatenates the poolings", e.What, StringComparison.Ordinal);
        Assert.Equal("max", reader.Set("textTower.pooling=max").Resolve().TextTower.Pooling);
    }

    [Fact]
    public void BehindAPromptAloneTheTokenAtTheEndIsLeft()
    {
        string folder = Folder("", "{\"word_embedding_dimension\": 48, \"include_prompt\": false}");
        using TextEmbedder embedder = TextEmbedder.Load(folder, new TextEmbedderOptions { Prefix = "red circle blue" });
        Assert.Single(embedder.Embed([""], Token));
        using TextEmbedder whole = TextEmbedder.Load(folder, new TextEmbedderOptions { Prefix = "" });
        Assert.NotEqual(whole.Embed(["red circle blue"], Token)[0], embedder.Embed([""], Token)[0]);
    }

    // bert fixture, tokenizer.json of single pieces, lower case and at most 24 tokens, declared where the transformer lies.
    private string Folder(string transformer, string pooling = "{\"word_embedding_dimension\": 48, \"pooling_mode_mean_tokens\": true}")
    {
        string folder = _runs.PathOf(Guid.NewGuid().ToString("N"));
        string tower = Path.Combine(folder, transformer);
        CopyFolder(_runs.Text("text-tower-bert"), tower);
        File.WriteAllText(Path.Combine(tower, "sentence_bert_config.json"), "{\"max_seq_length\": 24, \"do_lower_case\": true}");
        Directory.CreateDirectory(Path.Combine(folder, "1_Pooling"));
        File.WriteAllText(Path.Combine(folder, "1_Pooling", "config.json"), pooling);
        JsonArray modules = [Module("Transformer", transformer), Module("Pooling", "1_Pooling")];
        File.WriteAllText(Path.Combine(folder, "modules.json"), modules.ToJsonString());
        return folder;

        static JsonObject Module(string kind, string path) => new() { ["path"] = path, ["type"] = "sentence_transformers.models." + kind };
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string file in Directory.GetFiles(from))
        {
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
        }
    }
}
