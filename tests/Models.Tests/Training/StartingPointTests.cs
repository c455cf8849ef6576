using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Images;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>What a tower may start from beside a published folder, and how its pictures are prepared.</summary>
public sealed class StartingPointTests : IDisposable
{
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Fact]
    public void ATowerStartsFromARunAndSeesPicturesAsThatRunDid()
    {
        RunConfig first = Scratch() with { Steps = 1 };
        _runs.Run(first, "first");
        RunConfig second = Reader()
            .Set($"imageTower.from={_runs.PathOf("first")}").Set($"textTower.from={_runs.PathOf("first")}").Set("tokenizer.maxTokens=16").Resolve() with
        {
            Steps = 1,
            BatchSize = 8,
            EvaluateEvery = 0,
        };
        string checkpoint = new RunFolder(_runs.PathOf("first")).KeptCheckpoint();
        Assert.Equal(Path.Combine(checkpoint, "image"), second.ImageTower.From);
        Assert.Equal(Path.Combine(checkpoint, "text"), second.TextTower.From);
        Assert.Equal((16, 32, TokenizerSource.File), (second.ImageTower.ImageSize, second.TextTower.Width, second.Tokenizer.Kind));
        Assert.Equal("first", PublishedTowers.NameOf(second.ImageTower.From!));
        List<string> said = _runs.Run(second, "second");
        Assert.Contains(said, n => n.Contains(second.ImageTower.From!, StringComparison.Ordinal));

        // Mean and deviation are the first run's; a square is not padded.
        Assert.Equal(PictureNormalization.Scratch, TowerInputs.Of(second, second.ImageTower.From, PublishedTowers.ReadImage(second.ImageTower.From!)).Pictures);
        Assert.Equal(ImageSizing.Pad, DataSets.OptionsOf(second).Preprocessor!.Sizing);
        Assert.Null(DataSets.OptionsOf(first).Preprocessor);
    }

    [Fact]
    public void ACheckpointThatDoesNotSayHowPicturesArePreparedIsRefused()
    {
        _runs.Run(Scratch() with { Steps = 1 }, "old");
        File.Delete(Path.Combine(new RunFolder(_runs.PathOf("old")).KeptCheckpoint(), "image", ImagePreprocessor.FileName));
        UserErrorException e = Assert.Throws<UserErrorException>(() => Reader().Set($"imageTower.from={_runs.PathOf("old")}").Resolve());
        Assert.StartsWith("'imageTower.from'", e.What, StringComparison.Ordinal);
        Assert.Contains("crossalign export", e.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void AModelThatWasNotFetchedIsNamedWithTheCommandThatFetchesIt()
    {
        foreach (string key in (string[])["textTower.from", "imageTower.from"])
        {
            UserErrorException e = Assert.Throws<UserErrorException>(() => Reader().Set($"{key}=someone/something").Resolve(_runs.PathOf("cache")));
            Assert.StartsWith($"'{key}'", e.What, StringComparison.Ordinal);
            Assert.Contains("crossalign data model someone/something", e.Remedy, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("/models/multilingual-e5-small", "multilingual-e5-small")]
    [InlineData("/models/multilingual-e5-small/", "multilingual-e5-small")]
    [InlineData("/exported/mine/text", "mine")]
    [InlineData("/runs/mine/checkpoints/step-00000200/image", "mine")]
    [InlineData("/cache/models/intfloat/multilingual-e5-small/0123456789abcdef0123456789abcdef01234567", "multilingual-e5-small")]
    public void AModelIsCalledByTheNameThatPeopleKnow(string folder, string name) => Assert.Equal(name, PublishedTowers.NameOf(folder));

    [Fact]
    public void APublishedPreprocessorIsTakenAtTheSizeOfTheTower()
    {
        string image = _runs.Image("image-tower-vit");
        RunConfig Config(int size) => Reader().Set($"imageTower.from={image}").Set($"imageTower.imageSize={size}").Resolve();
        Assert.Equal((ImageSizing.Squash, 32, 0), Of(DataSets.OptionsOf(Config(32)).Preprocessor!));
        string file = Path.Combine(image, ImagePreprocessor.FileName);
        File.WriteAllText(file, """{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}""");
        Assert.Equal((ImageSizing.ShortestEdge, 36, 32), Of(DataSets.OptionsOf(Config(32)).Preprocessor!));
        Assert.Equal((ImageSizing.ShortestEdge, 72, 64), Of(DataSets.OptionsOf(Config(64)).Preprocessor!));
        File.WriteAllText(file, """{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 36}, "do_center_crop": false}""");
        Assert.Contains("different sizes", Assert.Throws<UserErrorException>(() => DataSets.OptionsOf(Config(32))).What, StringComparison.Ordinal);

        static (ImageSizing Sizing, int Height, int Crop) Of(ImagePreprocessor p) => (p.Sizing, p.Height, p.CropHeight);
    }

    [Fact]
    public void ALinearDenseLayerThatTheFolderDeclaresIsWhereTheHeadBegins()
    {
        string text = _runs.Text("text-tower-bert");
        float[] weight = [.. Enumerable.Range(0, 24 * 48).Select(i => MathF.Sin(i))];
        float[] bias = [.. Enumerable.Range(0, 24).Select(i => MathF.Cos(i))];
        File.WriteAllText(
            Path.Combine(text, "modules.json"),
            """
            [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
             {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
             {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}]
            """);
        Directory.CreateDirectory(Path.Combine(text, "1_Pooling"));
        File.WriteAllText(Path.Combine(text, "1_Pooling", "config.json"), """{"pooling_mode_mean_tokens": true}""");
        string dense = Directory.CreateDirectory(Path.Combine(text, "2_Dense")).FullName;
        Write("Identity");
        using CpuDevice device = new(1);
        SafetensorsWriter writer = new();
        writer.Add("linear.weight", Of(weight, new Shape(24, 48)));
        writer.Add("linear.bias", Of(bias, new Shape(24)));
        writer.Save(Path.Combine(dense, "model.safetensors"));

        RunConfig config = ShortRuns.Tiny(text, _runs.Image("image-tower-vit"), "none", "none") with { Steps = 0 };
        List<string> said = _runs.Run(config, "drawn");
        Assert.Contains(said, n => n.Contains("declares a dense layer", StringComparison.Ordinal));
        config = config with { Projection = config.Projection with { TextStart = HeadStart.Folder } };
        _runs.Run(config, "run");
        using SafetensorsFile heads = SafetensorsFile.Open(Path.Combine(new RunFolder(_runs.PathOf("run")).KeptCheckpoint(), "heads.safetensors"));
        Assert.Equal(weight, heads.ReadSingles("text_head.weight"));
        Assert.Equal(bias, heads.ReadSingles("text_head.bias"));

        AssertRefused("'projection.width'", config with { Projection = config.Projection with { Width = 32 } });
        AssertRefused("'projection.bias'", config with { Projection = config.Projection with { Bias = false } });
        Write("Tanh");
        AssertRefused("'projection.textStart'", config);
        AssertRefused("'projection.textStart'", Scratch() with { Projection = new ProjectionConfig { TextStart = HeadStart.Folder } });

        void Write(string activation) => File.WriteAllText(
            Path.Combine(dense, "config.json"), "{\"in_features\": 48, \"out_features\": 24, \"bias\": true, \"activation_function\": \"torch.nn.modules.activation." + activation + "\"}");

        Tensor Of(float[] values, Shape shape)
        {
            Tensor tensor = device.NewTensor(DType.Float32, shape);
            tensor.CopyFrom<float>(values);
            return tensor;
        }

        void AssertRefused(string what, RunConfig refused) =>
            Assert.StartsWith(what, Assert.Throws<UserErrorException>(() => _runs.Run(refused, "refused")).What, StringComparison.Ordinal);
    }

    private static RunConfigReader Reader() => RunConfigReader.From("album", "multilingual", "shapes");

    private static RunConfig Scratch() => Reader().Build() with
    {
        BatchSize = 8,
        CaptionsPerPicture = 1,
        EvaluateEvery = 0,
        Tokenizer = new TokenizerConfig { Pieces = 600 },
        TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
        ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        Projection = new ProjectionConfig { Width = 24 },
    };
}
