using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints;

public sealed class ModelFolderTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void AWholePublishedClipIsUsable()
    {
        using Golden golden = new("clip-model");
        using TwoTowerModel model = ModelFolder.Load(_device, Fixtures.PathOf("clip-model", "hf"), out IReadOnlyList<CheckpointReport> reports);
        Assert.Empty(CheckpointReport.NewlyInitialized(model.Parameters, reports));
        model.Parameters.AllocateGradients();
        using TensorArena arena = new(_device, 1 << 20);
        TokenBatch batch = new(model.Text!.Packing);
        int[] ids = golden.Cases.ReadInt32s("input_ids");
        for (int i = 0; i < 4; i++)
        {
            // No mask: the text ends at the first place of its highest id, and what follows is not looked at.
            batch.Add(ids.AsSpan(i * 16, 16));
        }

        Assert.Equal(5 + 16 + 3 + 9, batch.TokenCount);
        Tensor pixels = arena.Take(DType.Float32, new Shape(4, 3, 24, 24));
        golden.Cases.ReadSingles("pixel_values", pixels);
        Tensor texts = model.ForwardText(batch, arena, TowerPass.Training);
        Tensor images = model.ForwardImages(pixels, arena, TowerPass.Training);
        for (int i = 0; i <= 2; i++)
        {
            golden.AssertPackedOutput($"text.hidden.{i}", "attention_mask", model.Text.HiddenState(i));
        }

        golden.AssertPackedOutput("text.last_hidden", "attention_mask", model.Text.LastHidden);
        golden.AssertOutput("text.pooled", model.Text.Forward(batch, PoolingKind.Eos, arena, TowerPass.Inference).ToArray<float>());

        float[] embedded = new float[4 * 24];
        model.EmbedText(batch, embedded);
        golden.AssertOutput("text_embeds", embedded);
        model.EmbedImages(golden.Cases.ReadSingles("pixel_values"), 4, 24, 24, embedded);
        golden.AssertOutput("image_embeds", embedded);

        // The training pass again: embedding has replaced what the towers remembered.
        texts = model.ForwardText(batch, arena, TowerPass.Training);
        images = model.ForwardImages(pixels, arena, TowerPass.Training);
        Tensor loss = arena.Take(DType.Float32, new Shape(1));
        Tensor dTexts = arena.Take(DType.Float32, texts.Shape);
        Tensor dImages = arena.Take(DType.Float32, images.Shape);
        using SimilarityCrossEntropyWorkspace workspace = new(
            _device, new SimilarityCrossEntropyOptions { Direction = SimilarityCrossEntropyDirection.Symmetric }, 4, 4, 24);
        SimilarityCrossEntropy.ForwardBackward(
            workspace,
            new SimilarityCrossEntropyInputs { Captions = texts, Images = images, Scale = model.Scale.Value },
            new SimilarityCrossEntropyOutputs { Loss = loss },
            new SimilarityCrossEntropyGradients { DCaptions = dTexts, DImages = dImages, DScale = model.Scale.Gradient });
        golden.AssertOutput("loss", loss.ToArray<float>());
        model.BackwardText(dTexts, arena);
        model.BackwardImages(dImages, arena);

        // The heads have their published names, so that their gradients are found under these.
        golden.AssertGradients(model.Parameters, p => p.PublishedName);
        Assert.Equal(["text_projection.weight", "visual_projection.weight"], new[] { model.TextHead!, model.ImageHead! }.Select(h => h.Weight.Name));
        Assert.True(model.Options.HasPublishedHeads);
    }

    [Fact]
    public void AVisionTowerWithItsProjectionNamesItAsPublished()
    {
        using TwoTowerModel model = ModelFolder.Load(_device, Fixtures.PathOf("image-tower-clip", "hf"), out IReadOnlyList<CheckpointReport> reports);
        Assert.Equal("visual_projection.weight", model.ImageHead!.Weight.Name);
        Assert.Contains("visual_projection.weight", reports.Single().Loaded);
        Assert.Null(model.TextHead);
        Assert.Equal(40, model.EmbeddingWidth());
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "hf")]
    [InlineData("text-tower-xlm-roberta", "hf-masked-lm")]
    [InlineData("text-tower-bert", "hf")]
    [InlineData("image-tower-vit", "hf")]
    [InlineData("image-tower-vit", "hf-no-pooler")]
    [InlineData("image-tower-clip", "hf")]
    public void ATowerIsWrittenUnderItsPublishedNamesAndReadBack(string folder, string form)
    {
        string source = Fixtures.PathOf(folder, form);
        using TemporaryFolder target = new();
        using TwoTowerModel model = ModelFolder.Load(_device, source, out _);
        CheckpointFolder.Save((EncoderTower?)model.Text ?? model.Image!, target.Path);

        using CheckpointTensors original = CheckpointTensors.Open(source);
        using (CheckpointTensors written = CheckpointTensors.Open(target.Path))
        {
            string prefix = form == "hf-masked-lm" ? "roberta." : "";
            string[] expected =
            [
                .. original.Names.Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && !n.EndsWith("position_ids", StringComparison.Ordinal) && !n.StartsWith("visual_projection", StringComparison.Ordinal))
                    .Select(n => n[prefix.Length..]),
            ];
            Assert.Equal(expected, written.Names);
            foreach (string name in expected)
            {
                Assert.True(original.TryGetEntry(prefix + name, out SafetensorsEntry? before) && written.TryGetEntry(name, out SafetensorsEntry? after) && before.Shape.SequenceEqual(after.Shape), name);
            }
        }

        using TwoTowerModel again = ModelFolder.Load(_device, target.Path, out _);
        Assert.All(again.Parameters.Parameters, p => Assert.Equal(model.Parameters[p.Name].Value.ToArray<float>(), p.Value.ToArray<float>()));
        EncoderConfig first = (EncoderConfig?)model.Text?.Config ?? model.Image!.Config;
        EncoderConfig second = (EncoderConfig?)again.Text?.Config ?? again.Image!.Config;
        Assert.Equal(first with { Published = [], ProjectionWidth = 0 }, second with { Published = [], ProjectionWidth = 0 }, (a, b) => a.ToString() == b.ToString());
    }

    [Fact]
    public void TheAlbumsOwnTowersRoundTripWithTheirHeads()
    {
        using TemporaryFolder folder = new();
        using TwoTowerModel model = Album(seed: 5);
        ModelFolder.Save(model, folder.Path, ModelFolder.ExportedHeadsName);
        using TwoTowerModel again = ModelFolder.Load(_device, folder.Path, out IReadOnlyList<CheckpointReport> reports);
        Assert.Empty(CheckpointReport.NewlyInitialized(again.Parameters, reports));
        Assert.All(reports, r => Assert.Empty(r.Ignored));
        Assert.Equal(model.Options, again.Options);
        Assert.All(model.Parameters.Parameters, p => Assert.Equal(p.Value.ToArray<float>(), again.Parameters[p.Name].Value.ToArray<float>()));

        using SafetensorsFile text = SafetensorsFile.Open(Path.Combine(folder.Path, "text", "model.safetensors"));
        Assert.Equal(
            [
                "LayerNorm.bias", "LayerNorm.weight",
                "embeddings.LayerNorm.bias", "embeddings.LayerNorm.weight",
                "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight", "embeddings.word_embeddings.weight",
                "encoder.layer.0.attention.LayerNorm.bias", "encoder.layer.0.attention.LayerNorm.weight",
                "encoder.layer.0.attention.output.dense.bias", "encoder.layer.0.attention.output.dense.weight",
                "encoder.layer.0.attention.self.key.bias", "encoder.layer.0.attention.self.key.weight",
                "encoder.layer.0.attention.self.query.bias", "encoder.layer.0.attention.self.query.weight",
                "encoder.layer.0.attention.self.value.bias", "encoder.layer.0.attention.self.value.weight",
                "encoder.layer.0.intermediate.LayerNorm.bias", "encoder.layer.0.intermediate.LayerNorm.weight",
                "encoder.layer.0.intermediate.dense.bias", "encoder.layer.0.intermediate.dense.weight",
                "encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.weight",
                "pooler.dense.bias", "pooler.dense.weight",
            ],
            text.Entries.Select(e => e.Name));
    }

    [Fact]
    public void TheSameWeightsGiveTheSameBytes()
    {
        using TemporaryFolder folder = new();
        foreach (string name in new[] { "a", "b" })
        {
            using TwoTowerModel model = Album(seed: 5);
            ModelFolder.Save(model, folder.File(name));
        }

        foreach (string file in Directory.GetFiles(folder.File("a"), "*", SearchOption.AllDirectories))
        {
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(folder.File("b") + file[folder.File("a").Length..]));
        }
    }

    [Fact]
    public void FirstValuesAreThoseOfTheirKind()
    {
        using TwoTowerModel model = Album(seed: 1);
        Assert.Equal(0.05, Deviation("text_encoder.embeddings.word_embeddings.weight"), 0.002);
        Assert.Equal(0.02, Deviation("image_encoder.embeddings.position_embeddings"), 0.002);

        // Uniform in +-1 / sqrt(fan-in).
        float[] weight = model.Parameters["text_encoder.encoder.layer.0.output.dense.weight"].Value.ToArray<float>();
        double bound = 1 / Math.Sqrt(192);
        Assert.All(weight, v => Assert.InRange(v, -bound, bound));
        Assert.Equal(bound / Math.Sqrt(3), Deviation("text_encoder.encoder.layer.0.output.dense.weight"), 0.002);
        float[] patch = model.Parameters["image_encoder.embeddings.patch_embeddings.projection.weight"].Value.ToArray<float>();
        Assert.InRange(patch.Max(), 0.98 / Math.Sqrt(192), 1 / Math.Sqrt(192));
        Assert.All(model.Parameters["text_encoder.LayerNorm.weight"].Value.ToArray<float>(), v => Assert.Equal(1, v));
        Assert.All(model.Parameters["image_encoder.layernorm.bias"].Value.ToArray<float>(), v => Assert.Equal(0, v));
        using TwoTowerModel other = Album(seed: 2);
        Assert.NotEqual(weight, other.Parameters["text_encoder.encoder.layer.0.output.dense.weight"].Value.ToArray<float>());

        double Deviation(string name)
        {
            float[] values = model.Parameters[name].Value.ToArray<float>();
            return Math.Sqrt(values.Sum(v => (double)v * v) / values.Length);
        }
    }

    [Theory]
    [InlineData("model_type", "gpt2", "model_type 'gpt2'")]
    [InlineData("hidden_act", "swish", "hidden_act 'swish'")]
    [InlineData("num_attention_heads", 5, "5 heads do not divide")]
    [InlineData("hidden_size", 0, "hidden_size is 0")]
    [InlineData("hidden_size", "wide", "hidden_size is \"wide\"")]
    [InlineData("layer_norm_eps", -1, "layer_norm_eps is -1")]
    [InlineData("position_embedding_type", "relative_key", "relative_key")]
    [InlineData("is_decoder", true, "is_decoder")]
    public void AConfigurationThatIsNotComputedHereIsAnErrorThatNamesIt(string key, object value, string message)
    {
        JsonObject json = EncoderConfigReader.ReadFile(Fixtures.PathOf("text-tower-bert", "hf", "config.json"));
        json[key] = JsonValue.Create(value) ?? throw new InvalidOperationException();
        UserErrorException e = Assert.Throws<UserErrorException>(() => EncoderConfigReader.ReadText(json, "config.json"));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APickleIsRefusedWithTheWayToConvertIt()
    {
        using TemporaryFolder folder = new();
        File.Copy(Fixtures.PathOf("text-tower-bert", "hf", "config.json"), folder.File("config.json"));
        File.WriteAllBytes(folder.File("pytorch_model.bin"), [0x80, 2]);
        UserErrorException e = Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, folder.Path, out _));
        Assert.Contains("pytorch_model.bin", e.What, StringComparison.Ordinal);
        Assert.Contains("save_pretrained", e.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../model.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("a\\b.safetensors")]
    public void AnIndexNeverLeadsOutOfItsFolder(string file)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("model.safetensors.index.json"), new JsonObject { ["weight_map"] = new JsonObject { ["a"] = file } }.ToJsonString());
        Assert.Contains("no file beside it", Assert.Throws<UserErrorException>(() => CheckpointTensors.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AShardThatDoesNotFitTheIndexIsNamed()
    {
        using TemporaryFolder folder = new();
        string source = Fixtures.PathOf("text-tower-xlm-roberta", "hf-sharded");
        foreach (string file in Directory.GetFiles(source))
        {
            File.Copy(file, folder.File(Path.GetFileName(file)));
        }

        JsonObject index = EncoderConfigReader.ReadFile(folder.File("model.safetensors.index.json"));
        JsonObject map = (JsonObject)index["weight_map"]!;
        map.Remove("embeddings.LayerNorm.bias");
        map["embeddings.LayerNorm.gain"] = "model-00001-of-00003.safetensors";
        File.WriteAllText(folder.File("model.safetensors.index.json"), index.ToJsonString());
        UserErrorException e = Assert.Throws<UserErrorException>(() => CheckpointTensors.Open(folder.Path));
        Assert.Equal(
            ["missing in model-00001-of-00003.safetensors: embeddings.LayerNorm.gain", "not in the index: embeddings.LayerNorm.bias"], e.Details);

        File.Delete(folder.File("model-00003-of-00003.safetensors"));
        Assert.Contains("model-00003-of-00003", Assert.Throws<UserErrorException>(() => CheckpointTensors.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    private TwoTowerModel Album(ulong seed)
    {
        TwoTowerModel model = new(
            _device,
            TextEncoderConfig.Create("roberta-prelayernorm", 500, 16, 96, 1, 4, 192),
            ImageEncoderConfig.Create("vit", 32, 8, 96, 1, 4, 192),
            new TwoTowerOptions { ProjectionWidth = 64 });
        model.Initialize(seed);
        model.Scale.Value.CopyFrom<float>([MathF.Log(14.2857f)]);
        return model;
    }
}
