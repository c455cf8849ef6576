using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>What a published folder declares, in a run that begins with it, in its export, and in both again.</summary>
public sealed class PublishedFolderTuningTests : IDisposable
{
    private static readonly string[] s_texts = ["red circle", "A Red circle!", "círculo ﬁno", "", "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i"];

    private readonly ShortRuns _runs = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _runs.Dispose();

    [Theory]
    [InlineData("folder", "symmetricNormalized", "")]
    [InlineData("folder", "captionToImage", "")]
    [InlineData("folder", "symmetricNormalized", "query:")]
    [InlineData("folder", "symmetricNormalized", "another:")]
    [InlineData("scratch", "symmetricNormalized", "Query:")]
    [InlineData("scratch", "captionToImage", "")]
    public void ARunAndItsExportGiveTheSameVectors(string from, string loss, string prefix)
    {
        RunConfigReader reader = Reader($"loss.variant={loss}", $"textTower.prefix={prefix}", "tokenizer.maxTokens=12");
        if (from == "folder")
        {
            reader.Set("textTower.from=" + FolderThatNormalizesNothing());
        }
        else
        {
            reader.Set("tokenizer.pieces=600");
        }

        RunConfig config = reader.Resolve();
        Assert.Equal(from == "folder" ? "cls" : "mean", config.TextTower.Pooling);
        _runs.Run(config, "run");
        float[][] vectors = Embed("run", null);
        bool normalized = loss == "symmetricNormalized";
        Assert.All(vectors, v => Assert.Equal(normalized, Math.Abs(v.Sum(x => (double)x * x) - 1) < 1e-5));

        using CpuDevice device = new(1);
        float[] picture = Picture("run");
        Assert.Equal(normalized, Math.Abs(picture.Sum(x => (double)x * x) - 1) < 1e-5);

        // The folder's default prompt was not there in training: it is used where it is asked for, not otherwise.
        string used = prefix.Length == 0 ? "" : from == "folder" ? prefix + " " : "query ";
        Assert.Equal(Embed("run", new TextEmbedderOptions { Prefix = used }), vectors);
        Assert.NotEqual(Embed("run", new TextEmbedderOptions { Prefix = "circle " }), vectors);

        RunExport.Write(ModelSource.Find(_runs.PathOf("run")), device, _runs.PathOf("export"), "tuned", []);
        Assert.Equal(vectors, Embed("export", null));
        Assert.Equal(picture, Picture("export"));
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(_runs.PathOf("export/text"));
        Assert.Equal((normalized, used, 12), (settings.Normalize, settings.DefaultPrompt, settings.MaxTokens));
        Assert.Equal(from == "folder" ? PoolingKind.Cls : PoolingKind.Mean, settings.Pooling!.Only);
        if (from == "folder")
        {
            Assert.Equal("query: ", settings.Prompts["query"]);
            Assert.Equal(Embed("run", new TextEmbedderOptions { PromptName = "query" }), Embed("export", new TextEmbedderOptions { PromptName = "query" }));
        }

        // The checkpoint says the same by itself, wherever it is copied to.
        Directory.Move(new RunFolder(_runs.PathOf("run")).KeptCheckpoint(), _runs.PathOf("copy"));
        SentenceTransformersSettings copied = SentenceTransformersSettings.Read(_runs.PathOf("copy/text"));
        Assert.Equal(settings with { Prompts = copied.Prompts, DenseFolders = copied.DenseFolders }, copied);
        Assert.Equal(settings.Prompts, copied.Prompts);

        float[] Picture(string name)
        {
            using TwoTowerModel model = TwoTowerModel.Load(_runs.PathOf(name), device);
            return model.EmbedImage([new RgbImage(32, 32, [.. Enumerable.Range(0, 3 * 32 * 32).Select(i => (byte)(i * 5))])], Token)[0];
        }
    }

    [Fact]
    public void AClipsTowersAreTunedAsTheyWerePublished()
    {
        string clip = _runs.Clip();
        RunConfig config = Reader($"textTower.from={clip}", $"imageTower.from={clip}", "projection.bias=true").Resolve();
        Assert.Equal(("clip_text_model", "eos"), (config.TextTower.Kind, config.TextTower.Pooling));
        Assert.Equal(("clip_vision_model", "cls"), (config.ImageTower.Kind, config.ImageTower.Pooling));
        Assert.Equal((24, HeadStart.Folder, HeadStart.Folder), (config.Projection.Width, config.Projection.TextStart, config.Projection.ImageStart));
        using (CheckpointTensors tensors = CheckpointTensors.Open(clip))
        {
            Assert.Equal(Math.Exp(tensors.ReadSingles("logit_scale")[0]), config.Loss.ScaleInit, 1e-6);
        }

        Assert.Equal(7, Reader($"textTower.from={clip}", $"imageTower.from={clip}", "loss.scaleInit=7").Resolve().Loss.ScaleInit);
        _runs.Run(config with { Steps = 0, Setup = "none" }, "untrained");
        using CpuDevice device = new(1);
        using TwoTowerModel published = TwoTowerModel.Load(clip, device);
        using TwoTowerModel begun = TwoTowerModel.Load(_runs.PathOf("untrained"), device);
        string[] texts = ["red circle", "blue", ""];
        Assert.Equal(published.EmbedText(texts, Token), begun.EmbedText(texts, Token), Same);
        RgbImage[] pictures = [new(24, 24, [.. Enumerable.Range(0, 3 * 24 * 24).Select(i => (byte)(i * 7))])];
        Assert.Equal(published.EmbedImage(pictures, Token), begun.EmbedImage(pictures, Token), Same);

        _runs.Run(config, "whole", threads: 1);
        _runs.Run(config, "pieces", stopAfter: 1);
        _runs.Run(config, "pieces", resume: true);
        _runs.AssertSameBytes("whole", "pieces");
        RunExport.Write(ModelSource.Find(_runs.PathOf("whole")), device, _runs.PathOf("export"), "tuned", []);
        using TwoTowerModel tuned = TwoTowerModel.Load(_runs.PathOf("whole"), device);
        using TwoTowerModel exported = TwoTowerModel.Load(_runs.PathOf("export"), device);
        Assert.Equal(tuned.EmbedText(texts, Token), exported.EmbedText(texts, Token));
        Assert.Equal(tuned.EmbedImage(pictures, Token), exported.EmbedImage(pictures, Token));
        Assert.NotEqual(begun.EmbedText(texts, Token), tuned.EmbedText(texts, Token));

        // The text tower's files lie in the folder of both, and go with the text tower alone, in a checkpoint of a run and in an export of one.
        foreach (string folder in (string[])[new RunFolder(_runs.PathOf("whole")).KeptCheckpoint(), _runs.PathOf("export"), AsExportedFrom(clip)])
        {
            Assert.True(File.Exists(Path.Combine(folder, "text", "tokenizer.json")), folder);
            Assert.Equal(["config.json", "model.safetensors", "preprocessor_config.json"], Directory.GetFiles(Path.Combine(folder, "image")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        }

        // By hand, from the published folder itself.
        string AsExportedFrom(string published)
        {
            HubExport.Write(tuned, _runs.PathOf("by-hand"), new HubExportContent { Card = new ModelCard { Name = "tuned", Summary = "A test." }, TextSource = published, ImageSource = published });
            return _runs.PathOf("by-hand");
        }

        // The towers' folders are what the published framework calls CLIPTextModel and CLIPVisionModel.
        using CheckpointTensors whole = CheckpointTensors.Open(clip);
        foreach ((string side, string names, string architecture) in new[] { ("text", "text_model.", "CLIPTextModel"), ("image", "vision_model.", "CLIPVisionModel") })
        {
            using CheckpointTensors own = CheckpointTensors.Open(_runs.PathOf("export/" + side));
            Assert.Equal(whole.Names.Where(n => n.StartsWith(names, StringComparison.Ordinal)), own.Names);
            Assert.Equal(architecture, CheckpointFolder.ReadConfig(_runs.PathOf("export/" + side))["architectures"]![0]!.GetValue<string>());
        }
    }

    [Fact]
    public void WhatIsGivenForAClipIsDone()
    {
        string clip = _runs.Clip();
        RunConfig config = Reader($"textTower.from={clip}", "projection.width=16", "textTower.pooling=mean").Resolve();
        Assert.Equal(("mean", 16, HeadStart.Drawn), (config.TextTower.Pooling, config.Projection.Width, config.Projection.TextStart));
        config = Reader($"textTower.from={clip}", "projection.width=16").Resolve();
        Assert.Equal(("eos", 16, HeadStart.Drawn), (config.TextTower.Pooling, config.Projection.Width, config.Projection.TextStart));
        config = Reader($"textTower.from={clip}", "projection.width=16", "projection.textStart=folder").Resolve();
        Assert.Contains("goes from 32 to 24", Assert.Throws<UserErrorException>(() => _runs.Run(config, "narrow")).What, StringComparison.Ordinal);

        // An image tower of another CLIP keeps its own projection where the width allows it.
        string other = _runs.Image("image-tower-clip");
        config = Reader($"imageTower.from={other}").Resolve();
        Assert.Equal((40, HeadStart.Drawn, HeadStart.Folder), (config.Projection.Width, config.Projection.TextStart, config.Projection.ImageStart));
        config = Reader($"textTower.from={clip}", $"imageTower.from={other}").Resolve();
        Assert.Equal((24, HeadStart.Folder, HeadStart.Drawn), (config.Projection.Width, config.Projection.TextStart, config.Projection.ImageStart));
        Assert.StartsWith(
            "'projection.width' is below the image tower's width",
            Assert.Throws<UserErrorException>(() => Reader($"imageTower.from={other}", "projection.imageStart=identity", "projection.width=16").Resolve()).What,
            StringComparison.Ordinal);
        config = Reader("projection.imageStart=folder").Resolve();
        Assert.Contains("starts from scratch", Assert.Throws<UserErrorException>(() => _runs.Run(config, "scratch")).What, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "hf-masked-lm", "image-tower-vit", "hf-no-pooler")]
    public void ATowerWithoutAPoolerIsExportedWithTheTensorsOfItsArchitecture(string text, string textForm, string image, string imageForm)
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text(text, textForm), _runs.Image(image, imageForm), "none", "none") with { Steps = 1 };
        List<string> said = _runs.Run(config, "run");
        string fresh = Assert.Single(said, n => n.StartsWith("newly initialised", StringComparison.Ordinal));
        string loaded = Assert.Single(said, n => n.Contains("; ignored: ", StringComparison.Ordinal));
        Assert.EndsWith(
            "; ignored: lm_head.bias, lm_head.dense.bias, lm_head.dense.weight, lm_head.layer_norm.bias, lm_head.layer_norm.weight, roberta.embeddings.position_ids",
            loaded,
            StringComparison.Ordinal);
        Assert.Contains("text_encoder.pooler.dense.weight", fresh, StringComparison.Ordinal);
        Assert.Contains("image_encoder.pooler.dense.bias", fresh, StringComparison.Ordinal);
        using CpuDevice device = new(1);
        RunExport.Write(ModelSource.Find(_runs.PathOf("run")), device, _runs.PathOf("export"), "tuned", []);
        AssertAsPublished("text", Fixtures.PathOf(text, "hf"), "XLMRobertaModel");
        AssertAsPublished("image", Fixtures.PathOf(image, "hf"), "ViTModel");

        void AssertAsPublished(string side, string published, string architecture)
        {
            string folder = _runs.PathOf("export/" + side);
            Assert.Equal(architecture, CheckpointFolder.ReadConfig(folder)["architectures"]![0]!.GetValue<string>());
            using CheckpointTensors expected = CheckpointTensors.Open(published);
            using CheckpointTensors actual = CheckpointTensors.Open(folder);
            Assert.Equal(expected.Names, actual.Names);
            Assert.All(expected.Names, n => Assert.True(
                expected.TryGetEntry(n, out SafetensorsEntry? e) && actual.TryGetEntry(n, out SafetensorsEntry? a) && e.Shape.SequenceEqual(a.Shape), n));
            Assert.Contains(actual.ReadSingles("pooler.dense.weight"), v => v != 0);
        }
    }

    [Fact]
    public void APoolingThatIsNotComputedIsRefusedUnlessAnotherIsGiven()
    {
        string folder = FolderThatNormalizesNothing();
        File.WriteAllText(Path.Combine(folder, "1_Pooling", "config.json"), """{"pooling_mode": "median"}""");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Reader("textTower.from=" + folder).Resolve());
        Assert.Contains("pools by median", e.What, StringComparison.Ordinal);
        Assert.Contains("textTower.pooling", e.Remedy, StringComparison.Ordinal);
        Assert.Equal("mean", Reader("textTower.from=" + folder, "textTower.pooling=mean").Resolve().TextTower.Pooling);
    }

    private static bool Same(float[] a, float[] b) => a.Length == b.Length && a.Zip(b).All(p => Math.Abs(p.First - p.Second) <= 1e-6);

    private static RunConfigReader Reader(params string[] settings)
    {
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", "shapes");
        foreach (string setting in (string[])["steps=3", "batchSize=8", "captionsPerPicture=1", "evaluateEvery=0", "checkpointEvery=0", "augmentation=0", .. settings])
        {
            reader.Set(setting);
        }

        return reader;
    }

    private float[][] Embed(string name, TextEmbedderOptions? options)
    {
        using CpuDevice device = new(1);
        using TextEmbedder embedder = TextEmbedder.Load(_runs.PathOf(name), options, device);
        return embedder.Embed(s_texts, Token);
    }

    // Pools by CLS, has a dense layer and no Normalize behind it, and puts a prompt before texts unless told otherwise.
    private string FolderThatNormalizesNothing()
    {
        string folder = _runs.Text("text-tower-xlm-roberta");
        SentenceTransformersSettings settings = new()
        {
            Pooling = PoolingKind.Cls,
            Normalize = false,
            MaxTokens = 40,
            Prompts = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["query"] = "query: " },
            DefaultPromptName = "query",
        };
        settings.Write(folder, 64);
        JsonArray modules = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "modules.json")))!.AsArray();
        modules.Add(new JsonObject { ["idx"] = 2, ["name"] = "2", ["path"] = "2_Dense", ["type"] = "sentence_transformers.models.Dense" });
        File.WriteAllText(Path.Combine(folder, "modules.json"), modules.ToJsonString());
        return folder;
    }
}
