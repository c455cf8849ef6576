using System.Text.Json.Nodes;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>A folder of pictures that are not square, tuned on and embedded: prepared once, at the run's size, wherever they enter the tower.</summary>
public sealed class PicturePreparationTests : IDisposable
{
    private const string Squash = """{"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3], "resample": 2}""";
    private const string Crop =
        """{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "resample": 3, "do_center_crop": true, "image_std": [0.25, 0.26, 0.27]}""";

    private static readonly (int Width, int Height)[] s_sizes = [(70, 40), (41, 90), (55, 55), (33, 100), (200, 60), (64, 47)];

    private readonly ShortRuns _runs = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _runs.Dispose();

    [Theory]
    [InlineData("image-tower-vit", Squash, 32)]
    [InlineData("image-tower-vit", Squash, 48)]
    [InlineData("image-tower-vit", Crop, 48)]
    [InlineData("image-tower-clip", Crop, 32)]
    [InlineData("image-tower-clip", Crop, 40)]
    [InlineData("image-tower-vit", null, 48)]
    [InlineData("image-tower-clip", null, 40)]
    [InlineData("pad", null, 32)]
    [InlineData("scratch", null, 32)]
    public void APictureEntersAlikeInTrainingEvaluationEmbeddingAndTheExport(string tower, string? file, int size)
    {
        string pictures = Pictures();
        RunConfig config = Config(TowerOf(tower, file), size, pictures);
        CaptionedPictures data = Run(config, "run");
        ModelSource source = ModelSource.Find(_runs.PathOf("run"));

        // What should enter: prepared by the published file, or the standard, brought to the run's size.
        ImagePreprocessor expected = tower is "pad" or "scratch" ? PictureAugmentation.PreprocessorOf(size, PictureNormalization.Scratch)
            : file == Crop ? ImagePreprocessor.Clip(size) with { Height = 36 * size / 32, Deviation = [0.25, 0.26, 0.27] }
            : file == Squash ? ImagePreprocessor.Vit(size) with { Mean = [0.1, 0.2, 0.3] }
            : tower == "image-tower-vit" ? ImagePreprocessor.Vit(size)
            : ImagePreprocessor.Clip(size);
        using CpuDevice device = new(1);
        using TwoTowerModel model = TwoTowerModel.Load(_runs.PathOf("run"), device);
        float[][] wanted = [.. s_sizes.Select((_, i) => Entering(expected, Path.Combine(pictures, Name(i))))];

        // Training: what a batch holds, whose vectors of a frozen tower are kept.
        TowerInputs inputs = TowerInputs.Of(config, source.ImageFolder, model.Image!.Config);
        PairedCaptionSource batches = new(config, data, Tokenizer.Load(source.TextFolder), model, inputs, config.BatchSize);
        TrainingBatch batch = batches.NewBatch();
        batches.Fill(batch, 1);
        MicroBatch micro = batch.MicroBatches[0];
        Assert.Equal(config.BatchSize * 3 * size * size, micro.Pixels.Length);
        float[] trained = new float[config.BatchSize * 24];
        model.EmbedImages(micro.Pixels, config.BatchSize, size, size, trained);
        using ImageEmbedder embedder = ImageEmbedder.Load(_runs.PathOf("run"));
        float[][] vectors = embedder.Embed(s_sizes.Select((_, i) => Path.Combine(pictures, Name(i))), Token);
        for (int row = 0; row < config.BatchSize; row++)
        {
            int concept = micro.Examples[row];
            Near(wanted[concept], micro.Pixels.AsSpan(row * 3 * size * size, 3 * size * size), 2e-6f);
            Near(vectors[concept], trained.AsSpan(row * 24, 24), 1e-5f);
        }

        // Embedding: prepared to the bit as said; the tower reads all patches of the run's size.
        for (int i = 0; i < s_sizes.Length; i++)
        {
            PreparedImage prepared = embedder.PrepareFile(Path.Combine(pictures, Name(i)));
            Assert.Equal(wanted[i], prepared.Pixels);
            Assert.Equal(1 + (size / 8 * (size / 8)), prepared.TokenCount);
        }

        // Evaluation, by unit rows as embeddings are.
        using (RunEvaluation evaluation = RunEvaluation.Open(_runs.PathOf("run"), device))
        {
            CaptionedPictures again = DataSets.Open(pictures, DataSets.OptionsOf(config, checkpoint: source.Folder), cancellationToken: Token);
            EmbeddingRows(evaluation, again, vectors);
        }

        // The export, and the checkpoint taken out of its run, say the same by themselves.
        RunExport.Write(source, device, _runs.PathOf("export"), "tuned", []);
        Assert.Equal(vectors, Embed(_runs.PathOf("export"), pictures));
        string card = File.ReadAllText(_runs.PathOf("export/README.md"));
        Assert.Equal(expected.Sizing == ImageSizing.Pad, card.Contains($"def pad(picture, size={size}):", StringComparison.Ordinal));
        Assert.Equal(expected.Sizing == ImageSizing.Pad, card.Contains("Image.Resampling.BILINEAR", StringComparison.Ordinal));
        Assert.Equal(expected.Sizing == ImageSizing.Pad, card.Contains("crossalign_fit", StringComparison.Ordinal));
        Assert.Equal(size != model.Image.Config.ImageSize, card.Contains("interpolate_pos_encoding=True", StringComparison.Ordinal));
        Directory.Move(source.Folder, _runs.PathOf("copy"));
        Assert.Equal(vectors, Embed(_runs.PathOf("copy"), pictures));
    }

    [Fact]
    public void ARunAtAnotherSizeIsResumedToTheSameBytesAndCanBeBegunWith()
    {
        string pictures = Pictures();
        RunConfig config = Config(TowerOf("image-tower-clip", Crop), 40, pictures);
        Run(config, "whole");
        Run(config, "pieces", stopAfter: 1);
        Directory.Move(config.ImageTower.From!, config.ImageTower.From! + "-moved");
        Run(config, "pieces", resume: true);
        _runs.AssertSameBytes("whole", "pieces");

        string checkpoint = new RunFolder(_runs.PathOf("whole")).KeptCheckpoint();
        string published = Path.Combine(checkpoint, "image", ImagePreprocessor.FileName);
        Assert.True(JsonNode.DeepEquals(
            JsonNode.Parse(Crop.Replace("36", "45", StringComparison.Ordinal).Replace("\": 32", "\": 40", StringComparison.Ordinal)), JsonNode.Parse(File.ReadAllText(published))));
        Run(Config(Path.Combine(checkpoint, "image"), 40, pictures), "second");
        Assert.Equal(File.ReadAllBytes(published), File.ReadAllBytes(Path.Combine(new RunFolder(_runs.PathOf("second")).KeptCheckpoint(), "image", ImagePreprocessor.FileName)));

        // As runs wrote it before: the published file as it was.
        float[][] vectors = Embed(_runs.PathOf("whole"), pictures);
        File.WriteAllText(published, Crop);
        Assert.Equal(vectors, Embed(_runs.PathOf("whole"), pictures));
        using CpuDevice device = new(1);
        RunExport.Write(ModelSource.Find(_runs.PathOf("whole")), device, _runs.PathOf("export"), "tuned", []);
        Assert.Equal(vectors, Embed(_runs.PathOf("export"), pictures));
    }

    [Theory]
    [InlineData("""{"size": 32}""", """{"size": 48}""")]
    [InlineData("""{"size": {"height": 32, "width": 32}, "processor_class": "X"}""", """{"size": {"height": 48, "width": 48}, "processor_class": "X"}""")]
    [InlineData("""{"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 32}""", """{"image_processor_type": "CLIPImageProcessor", "size": 60, "crop_size": 48}""")]
    [InlineData(
        """{"feature_extractor_type": "DeiTFeatureExtractor", "size": 36, "default_to_square": true, "crop_size": 32}""",
        """{"feature_extractor_type": "DeiTFeatureExtractor", "size": 54, "default_to_square": true, "crop_size": 48}""")]
    [InlineData(
        """{"image_processor_type": "ViTImageProcessor"}""",
        """{"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}}""")]
    [InlineData(
        """{"size": 256, "do_center_crop": true}""",
        """{"size": 55, "do_center_crop": true, "image_processor_type": "ViTImageProcessor", "crop_size": {"height": 48, "width": 48}}""")]
    [InlineData(
        """{"image_processor_type": "CLIPImageProcessor", "do_resize": false, "crop_size": {"height": 32, "width": 32}}""",
        """{"image_processor_type": "CLIPImageProcessor", "do_resize": false, "crop_size": {"height": 48, "width": 48}}""")]
    public void TheFileOfTheCheckpointHasTheSizesOfTheRunAndSaysTheRestAsItDid(string published, string written)
    {
        string tower = TowerOf("image-tower-vit", published);
        string newer = Path.Combine(tower, "processor_config.json");
        File.WriteAllText(newer, """{"processor_class": "Y", "image_processor": {"size": 7}}""");
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(written), Written(48, "preprocessor_config.json", "first")));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(written), Written(48, "processor_config.json", "first")!["image_processor"]));
        Assert.Equal("Y", Written(48, "processor_config.json", "first")!["processor_class"]!.GetValue<string>());

        // The newer file alone, and one that has no picture's business.
        File.Delete(Path.Combine(tower, ImagePreprocessor.FileName));
        File.WriteAllText(newer, $$"""{"image_processor": {{published}}}""");
        JsonNode alone = Written(48, "processor_config.json", "second")!;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(written), alone["image_processor"]), alone.ToJsonString());

        JsonNode? Written(int size, string file, string run)
        {
            string path = _runs.PathOf(run);
            if (!Directory.Exists(path))
            {
                _runs.Run(Config(tower, size, "shapes") with { Steps = 0, Setup = "none" }, run);
            }

            string folder = Path.Combine(new RunFolder(path).KeptCheckpoint(), "image");
            return JsonNode.Parse(File.ReadAllText(Path.Combine(folder, file)));
        }
    }

    [Fact]
    public void AFileThatGivesTheSizeAlreadyIsTakenAsItIsWritten()
    {
        string tower = TowerOf("image-tower-vit", "{ \"size\":\t32 }");
        _runs.Run(Config(tower, 32, "shapes") with { Steps = 0, Setup = "none" }, "run");
        Assert.Equal("{ \"size\":\t32 }", File.ReadAllText(Path.Combine(new RunFolder(_runs.PathOf("run")).KeptCheckpoint(), "image", ImagePreprocessor.FileName)));
    }

    private static void EmbeddingRows(RunEvaluation evaluation, CaptionedPictures data, float[][] vectors)
    {
        ConceptEmbeddings embeddings = evaluation.Embed(data, ["en"], ["photo"]);
        for (int i = 0; i < vectors.Length; i++)
        {
            Near(vectors[i], embeddings.Pictures("photo").Row(i), 1e-5f);
        }
    }

    private static float[][] Embed(string folder, string pictures)
    {
        using ImageEmbedder embedder = ImageEmbedder.Load(folder);
        return embedder.Embed(s_sizes.Select((_, i) => Path.Combine(pictures, Name(i))), Token);
    }

    private static float[] Entering(ImagePreprocessor preprocessor, string file)
    {
        RgbImage fitted = preprocessor.Fit(ImageDecoder.Default.Decode(File.ReadAllBytes(file), file));
        float[] pixels = new float[fitted.Pixels.Length];
        preprocessor.Normalize(fitted, pixels);
        return pixels;
    }

    private static void Near(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, float tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], tolerance);
        }
    }

    private static string Name(int i) => FormattableString.Invariant($"p{i}.png");

    private static RunConfig Config(string? tower, int size, string data)
    {
        RunConfigReader reader = RunConfigReader.From("album", "multilingual", data).Set($"imageTower.imageSize={size}");
        reader = tower is null ? reader.Set("imageTower.width=32").Set("imageTower.heads=2").Set("imageTower.feedForward=48") : reader.Set($"imageTower.from={tower}").Set("imageTower.freeze=all");
        return reader.Set("tokenizer.pieces=300").Resolve() with
        {
            Languages = ["en", "es"],
            Steps = 2,
            BatchSize = 6,
            CaptionsPerPicture = 1,
            Augmentation = 0,
            EvaluateEvery = 0,
            CheckpointEvery = 0,
            TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
            Projection = new ProjectionConfig { Width = 24 },
        };
    }

    private string? TowerOf(string tower)
    {
        if (tower != "pad")
        {
            return tower == "scratch" ? null : _runs.Image(tower);
        }

        // A run's tower from scratch: what is tuned from it pads as it did.
        _runs.Run(Config(null, 32, "shapes") with { Steps = 0, Setup = "none" }, "scratch");
        return Path.Combine(new RunFolder(_runs.PathOf("scratch")).KeptCheckpoint(), "image");
    }

    private string TowerOf(string tower, string? file)
    {
        string? folder = TowerOf(tower);
        if (file is not null)
        {
            File.WriteAllText(Path.Combine(folder!, ImagePreprocessor.FileName), file);
        }

        return folder!;
    }

    private CaptionedPictures Run(RunConfig config, string name, bool resume = false, int? stopAfter = null)
    {
        using CpuDevice device = new(2);
        string folder = _runs.PathOf(name);
        CaptionedPictures data = DataSets.Open(
            config.Data, DataSets.OptionsOf(config, checkpoint: resume ? new RunFolder(folder).LatestCheckpoint() : null), cancellationToken: Token);
        TrainingRun.Start(new TrainingRequest(config, data, device, folder) { Resume = resume, StopAfter = stopAfter }, new Silence(), CancellationToken.None);
        return data;
    }

    private string Pictures()
    {
        string folder = Directory.CreateDirectory(_runs.PathOf("pictures")).FullName;
        List<string> lines = [];
        for (int i = 0; i < s_sizes.Length; i++)
        {
            (int width, int height) = s_sizes[i];
            byte[] pixels = new byte[3 * width * height];
            for (int p = 0; p < pixels.Length; p++)
            {
                int x = p / 3 % width;
                int y = p / 3 / width;
                pixels[p] = (byte)((p % 3) switch { 0 => 255 * x / width, 1 => 255 * y / height, _ => ((x / 7) + (y / 5) + i) % 2 * 200 });
            }

            File.WriteAllBytes(Path.Combine(folder, Name(i)), PngEncoder.Encode(pixels, width, height));
            lines.Add($$$"""{"image": "{{{Name(i)}}}", "split": "train", "captions": {"en": ["picture number {{{i}}}"], "es": ["foto número {{{i}}}"]}}""");
        }

        File.WriteAllLines(Path.Combine(folder, FolderDataSet.CaptionsFile), lines);
        return folder;
    }

    private sealed class Silence : ITrainingObserver
    {
        public void Note(string message)
        {
        }

        public void Alarm(string message)
        {
        }

        public void StepDone(in StepReport report)
        {
        }

        public void EvaluationDone(EvaluationReport report)
        {
        }
    }
}
