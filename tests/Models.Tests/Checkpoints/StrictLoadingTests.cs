using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints;

/// <summary>What a checkpoint holds beside its towers: known name by name, or an error that lists it, whichever command loads.</summary>
public sealed class StrictLoadingTests : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        _folder.Dispose();
        _device.Dispose();
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "decoder.layers.0.weight")]
    [InlineData("text-tower-xlm-roberta", "cls.predictions.bias")]
    [InlineData("text-tower-xlm-roberta", "lm_head.bogus")]
    [InlineData("text-tower-xlm-roberta", "qqposition_ids")]
    [InlineData("text-tower-xlm-roberta", "pooler.dense.scale")]
    [InlineData("text-tower-xlm-roberta", "logit_scale")]
    [InlineData("text-tower-bert", "cls.bogus")]
    [InlineData("text-tower-bert", "lm_head.bias")]
    [InlineData("text-tower-bert", "roberta.embeddings.position_ids")]
    [InlineData("image-tower-vit", "embeddings.position_ids")]
    [InlineData("image-tower-vit", "decoder.layers.0.weight")]
    [InlineData("image-tower-clip", "vision_model.bogus")]
    [InlineData("image-tower-clip", "pooler.dense.weight")]
    [InlineData("image-tower-clip", "text_model.embeddings.token_embedding.weight")]
    [InlineData("clip-model", "text_model.bogus", true)]
    [InlineData("clip-model", "text_model.embeddings.class_embedding", true)]
    [InlineData("clip-model", "vision_model.bogus", false)]
    [InlineData("clip-model", "vision_model.encoder.layers.7.layer_norm1.weight", false)]
    [InlineData("clip-model", "logit_scales", true)]
    public void ATensorThatNoPublishedCheckpointHasIsAnError(string fixture, string name, bool? asText = null)
    {
        Write(fixture, extra: [(name, [3])]);
        Assert.Equal([$"unexpected: {name}"], Refusal(asText ?? fixture.StartsWith("text", StringComparison.Ordinal)).Details);
        Assert.Equal([$"unexpected: {name}"], Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _)).Details);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "")]
    [InlineData("text-tower-bert", "bert.")]
    [InlineData("image-tower-vit", "vit.")]
    public void APoolerIsWholeOrAbsent(string fixture, string prefix)
    {
        long width = fixture.Contains("roberta", StringComparison.Ordinal) ? 64 : 48;
        string weight = prefix + "pooler.dense.weight";
        string bias = prefix + "pooler.dense.bias";
        bool isText = fixture.StartsWith("text", StringComparison.Ordinal);
        Write(fixture, prefix, e => e.EndsWith("pooler.dense.weight", StringComparison.Ordinal), (weight, [5, 5]));
        Assert.Equal([$"mis-shaped: {weight} is [5, 5], must be [{width}, {width}]"], Refusal(isText).Details);
        Write(fixture, prefix, e => e.EndsWith("pooler.dense.bias", StringComparison.Ordinal));
        Assert.Equal([$"missing: {bias} [{width}]"], Refusal(isText).Details);
        Write(fixture, prefix, e => e.Contains("pooler", StringComparison.Ordinal));
        using TwoTowerModel model = ModelFolder.Load(_device, _folder.Path, out IReadOnlyList<CheckpointReport> reports);
        Assert.False(((EncoderTower?)model.Text ?? model.Image!).Config.HasPooler);
        Assert.Empty(reports.Single().Ignored);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "roberta.", "lm_head.bias lm_head.decoder.weight roberta.embeddings.position_ids roberta.embeddings.token_type_ids")]
    [InlineData("text-tower-xlm-roberta", "roberta.", "classifier.dense.weight classifier.out_proj.bias")]
    [InlineData("text-tower-xlm-roberta", "text_encoder.", "lm_head.bias text_encoder.embeddings.position_ids text_encoder.lm_head.dense.bias")]
    [InlineData("text-tower-bert", "bert.", "bert.embeddings.position_ids cls.predictions.bias cls.predictions.transform.LayerNorm.gamma cls.seq_relationship.weight")]
    [InlineData("text-tower-bert", "", "classifier.bias embeddings.position_ids")]
    [InlineData("image-tower-vit", "vit.", "classifier.bias classifier.weight")]
    [InlineData("image-tower-vit", "vit.", "decoder.0.bias decoder.0.weight vit.embeddings.mask_token")]
    [InlineData("image-tower-vit", "", "embeddings.mask_token")]
    [InlineData("image-tower-clip", "", "vision_model.embeddings.position_ids")]
    [InlineData("clip-model", "", "text_model.embeddings.position_ids vision_model.embeddings.position_ids")]
    public void WhatPublishedCheckpointsHaveIsIgnoredByName(string fixture, string prefix, string names)
    {
        string[] extra = names.Split(' ');
        Write(fixture, prefix, null, [.. extra.Select(n => (n, new long[] { 3 }))]);
        using TwoTowerModel model = ModelFolder.Load(_device, _folder.Path, out IReadOnlyList<CheckpointReport> reports);
        Assert.Equal(extra, reports.Single().Ignored);
    }

    [Theory]
    [InlineData("clip-model", "text_config", "text_model.encoder.layers.1.")]
    [InlineData("image-tower-clip", null, "vision_model.encoder.layers.2.")]
    public void ATowerOfClipWithMoreLayersThanItsConfigurationIsRefusedWithAList(string fixture, string? part, string beginning)
    {
        Write(fixture);
        JsonObject config = EncoderConfigReader.ReadFile(_folder.File("config.json"));
        JsonObject sizes = part is null ? config : (JsonObject)config[part]!;
        sizes["num_hidden_layers"] = sizes["num_hidden_layers"]!.GetValue<int>() - 1;
        File.WriteAllText(_folder.File("config.json"), config.ToJsonString());
        UserErrorException e = Refusal(part is not null);
        Assert.Equal(16, e.Details.Count);
        Assert.All(e.Details, d => Assert.StartsWith("unexpected: " + beginning, d, StringComparison.Ordinal));
        Assert.Equal(e.Details, Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _)).Details);
    }

    [Fact]
    public void EveryFaultOfAWholeClipIsListedAtOnce()
    {
        Write(
            "clip-model",
            without: n => n is "text_model.final_layer_norm.bias" or "vision_model.post_layernorm.bias" or "visual_projection.weight" or "logit_scale",
            extra: [("junk", [3]), ("visual_projection.weight", [5, 5]), ("logit_scale", [2])]);
        using (CheckpointTensors tensors = CheckpointTensors.Open(_folder.Path))
        {
            tensors.TryGetEntry("text_model.final_layer_norm.weight", out SafetensorsEntry? text);
            tensors.TryGetEntry("vision_model.post_layernorm.weight", out SafetensorsEntry? image);
            tensors.TryGetEntry("text_projection.weight", out SafetensorsEntry? projection);
            Assert.Equal(
                [
                    "mis-shaped: logit_scale is [2], must be []",
                    $"mis-shaped: visual_projection.weight is [5, 5], must be [{projection!.Shape[0]}, {image!.Shape[0]}]",
                    $"missing: text_model.final_layer_norm.bias [{text!.Shape[0]}]",
                    $"missing: vision_model.post_layernorm.bias [{image.Shape[0]}]",
                    "unexpected: junk",
                ],
                Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _)).Details.Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public void AProjectionsShapeHidesNoOtherFault()
    {
        Write("image-tower-clip", without: n => n is "vision_model.post_layernorm.bias" or "visual_projection.weight", extra: [("junk", [3]), ("visual_projection.weight", [5, 5])]);
        string[] faults = ["mis-shaped: visual_projection.weight is [5, 5], must be [40, 48]", "missing: vision_model.post_layernorm.bias [48]", "unexpected: junk"];
        Assert.Equal(faults, Refusal(isText: false).Details.Order(StringComparer.Ordinal));
        Assert.Equal(faults, Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _)).Details.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(ModelFolder.HeadsName)]
    [InlineData(ModelFolder.ExportedHeadsName)]
    public void TheFaultsOfAModelsFoldersAreListedTogetherEachWithItsFolder(string heads)
    {
        using (TwoTowerModel model = new(
            _device,
            TextEncoderConfig.Create("roberta-prelayernorm", 30, 16, 16, 1, 2, 32),
            ImageEncoderConfig.Create("vit", 16, 8, 24, 1, 2, 32),
            new TwoTowerOptions { ProjectionWidth = 8, ProjectionBias = true, ScaleName = "logit_scale" }))
        {
            ModelFolder.Save(model, _folder.Path, heads);
        }

        Change("text/model.safetensors", "LayerNorm.bias", null, "junk");
        Change("image/model.safetensors", "layernorm.bias", [3]);
        UserErrorException e = Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _));
        Assert.Equal(["text: missing: LayerNorm.bias [16]", "text: unexpected: junk", "image: mis-shaped: layernorm.bias is [3], must be [24]"], e.Details);
        Assert.Contains("text not roberta-prelayernorm, image not vit", e.What, StringComparison.Ordinal);
        Assert.Contains(_folder.Path, e.What, StringComparison.Ordinal);
        Change(heads, "text_head.weight", [16], "image_head.scale");
        Assert.Equal(
            [.. e.Details, $"{heads}: mis-shaped: text_head.weight is [16], must be [8, 16]", $"{heads}: unexpected: image_head.scale"],
            Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _)).Details);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "vit.")]
    [InlineData("text-tower-xlm-roberta", "bert.")]
    [InlineData("text-tower-xlm-roberta", "roberta_prelayernorm.")]
    [InlineData("text-tower-xlm-roberta", "image_encoder.")]
    [InlineData("text-tower-bert", "roberta.")]
    [InlineData("image-tower-vit", "roberta.")]
    [InlineData("image-tower-vit", "text_encoder.")]
    [InlineData("image-tower-clip", "vit.")]
    [InlineData("clip-model", "bert.", true)]
    public void AnotherArchitecturesPrefixIsNone(string fixture, string prefix, bool? asText = null)
    {
        Write(fixture, prefix);
        using CheckpointTensors tensors = CheckpointTensors.Open(_folder.Path);
        UserErrorException e = Refusal(asText ?? fixture.StartsWith("text", StringComparison.Ordinal));
        Assert.Equal(tensors.Names.Select(n => "unexpected: " + n), e.Details.Where(d => d.StartsWith("unexpected", StringComparison.Ordinal)));
        Assert.All(e.Details.Where(d => !d.StartsWith("unexpected", StringComparison.Ordinal)), d => Assert.StartsWith("missing: ", d, StringComparison.Ordinal));
        Assert.Throws<UserErrorException>(() => ModelFolder.Load(_device, _folder.Path, out _));
    }

    [Theory]
    [InlineData("pytorch_model.bin")]
    [InlineData("pytorch_model-00001-of-00002.bin")]
    [InlineData("pytorch_model.bin.index.json")]
    public void APickleOrTheIndexOfOnesShardsIsRefusedWithTheWayToConvertIt(string name)
    {
        File.Copy(Fixtures.PathOf("text-tower-bert", "hf", "config.json"), _folder.File("config.json"));
        File.WriteAllText(_folder.File(name), "{}");
        Assert.Contains("safe_serialization=True", Refusal(isText: true).Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void OneTowerOfAWholeClipIgnoresTheOtherByName()
    {
        Write("clip-model");
        using ParameterStore store = new(_device);
        CheckpointReport report = CheckpointFolder.Load(_folder.Path, new TextTower(CheckpointFolder.ReadTextConfig(_folder.Path), store));
        using CheckpointTensors tensors = CheckpointTensors.Open(_folder.Path);
        Assert.Equal(tensors.Names.Where(n => !n.StartsWith("text_model.", StringComparison.Ordinal)), report.Ignored);
        Assert.Equal(tensors.Count, report.Ignored.Count + report.Loaded.Count);
    }

    // What train asks of a folder before it makes a tower.
    private UserErrorException Refusal(bool isText) => Assert.Throws<UserErrorException>(() =>
    {
        if (isText)
        {
            CheckpointFolder.ReadTextConfig(_folder.Path);
        }
        else
        {
            CheckpointFolder.ReadImageConfig(_folder.Path);
        }
    });

    // One tensor of a file away, or in another shape, and another there.
    private void Change(string file, string name, long[]? shape, params string[] extra)
    {
        SafetensorsWriter writer = new();
        using (SafetensorsFile old = SafetensorsFile.Open(_folder.File(file)))
        {
            foreach (SafetensorsEntry entry in old.Entries.Where(e => e.Name != name))
            {
                writer.AddRaw(entry.Name, entry.DType, [.. entry.Shape], old.ReadBytes(entry.Name));
            }
        }

        foreach ((string added, long[] extents) in extra.Select(n => (n, new long[] { 3 })).Concat(shape is null ? [] : [(name, shape)]))
        {
            writer.Add(added, extents, new float[extents.Aggregate(1L, (a, b) => a * b)]);
        }

        writer.Save(_folder.File(file));
    }

    private void Write(string fixture, string prefix = "", Predicate<string>? without = null, params (string Name, long[] Shape)[] extra)
    {
        SafetensorsWriter writer = new();
        using (SafetensorsFile file = SafetensorsFile.Open(Fixtures.PathOf(fixture, "hf", "model.safetensors")))
        {
            foreach (SafetensorsEntry entry in file.Entries.Where(e => without?.Invoke(e.Name) != true))
            {
                writer.AddRaw(prefix + entry.Name, entry.DType, [.. entry.Shape], file.ReadBytes(entry.Name));
            }
        }

        foreach ((string name, long[] shape) in extra)
        {
            writer.Add(name, shape, new float[shape.Aggregate(1L, (a, b) => a * b)]);
        }

        writer.Save(_folder.File("model.safetensors"));
        File.Copy(Fixtures.PathOf(fixture, "hf", "config.json"), _folder.File("config.json"), overwrite: true);
    }
}
