using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Short trainings that start from published checkpoints: tiny random ones, with the published 0.1 of dropout.</summary>
public sealed class TuningTests : IDisposable
{
    private const string Words = "embeddings.word_embeddings.weight";
    private readonly ShortRuns _runs = new();

    public void Dispose() => _runs.Dispose();

    [Theory]
    [InlineData("text-tower-xlm-roberta", "image-tower-vit", "none", "none", 0)]
    [InlineData("text-tower-xlm-roberta", "image-tower-vit", "lowest:1", "all", 0)]
    [InlineData("text-tower-bert", "image-tower-clip", "none", "lowest:2", 0.1)]
    [InlineData("text-tower-bert", "image-tower-vit", "all", "none", 0)]
    public void ATunedRunThatIsStoppedAndResumedEndsWithTheSameBytes(string text, string image, string textFreeze, string imageFreeze, double headsOnly)
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text(text), _runs.Image(image), textFreeze, imageFreeze);
        config = config with { Schedule = config.Schedule with { HeadsOnlyEpochs = headsOnly } };
        _runs.Run(config, "whole", threads: 1);
        _runs.Run(config, "pieces", threads: 2, stopAfter: 1);

        // What the checkpoint needs of the published folders lies in it.
        Directory.Move(config.TextTower.From!, config.TextTower.From! + "-moved");
        Directory.Move(config.ImageTower.From!, config.ImageTower.From! + "-moved");
        _runs.Run(config, "pieces", threads: 1, resume: true, stopAfter: 3);
        _runs.Run(config, "pieces", threads: 2, resume: true);
        string[] files = _runs.Files("whole");
        _runs.AssertSameBytes("whole", "pieces");
        Assert.Contains(files, f => f.EndsWith(Path.Combine("text", "tokenizer.json"), StringComparison.Ordinal));

        // The run is measured and exported without the published folders too.
        using CpuDevice device = new(1);
        using RunEvaluation evaluation = RunEvaluation.Open(_runs.PathOf("pieces"), device);
        ConceptEmbeddings embeddings = evaluation.Embed(ShortRuns.Data(config), ["en", "es"], []);
        Assert.NotEmpty(evaluation.Measure(new EvaluationPlan { Retrieval = false, Udhr = false, Languages = ["es"] }, embeddings, null));
        RunExport.Write(ModelSource.Find(_runs.PathOf("pieces")), device, _runs.PathOf("export"), "tuned", []);
        using TwoTowerModel exported = TwoTowerModel.Load(device, _runs.PathOf("export"));
        Assert.Equal(config.Projection.Width, exported.EmbeddingWidth());
        Assert.True(File.Exists(_runs.PathOf("export/text/tokenizer.json")));
        Assert.True(File.Exists(_runs.PathOf("export/image/preprocessor_config.json")));
    }

    [Fact]
    public void AnExportHasThePoolersThatACheckpointLacks()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-bert"), _runs.Image("image-tower-vit"), "none", "none") with { Steps = 1 };
        _runs.Run(config, "run");
        string checkpoint = new RunFolder(_runs.PathOf("run")).KeptCheckpoint();
        foreach (string side in (string[])["text", "image"])
        {
            // As runs wrote them before towers got a pooler of their own.
            string path = Path.Combine(checkpoint, side, CheckpointTensors.FileName);
            SafetensorsWriter writer = new();
            using (SafetensorsFile file = SafetensorsFile.Open(path))
            {
                Assert.Equal(2, file.Entries.Count(e => e.Name.StartsWith("pooler.", StringComparison.Ordinal)));
                foreach (SafetensorsEntry entry in file.Entries.Where(e => !e.Name.StartsWith("pooler.", StringComparison.Ordinal)))
                {
                    writer.Add(entry.Name, [.. entry.Shape], file.ReadSingles(entry.Name));
                }
            }

            writer.Save(path);
        }

        using CpuDevice device = new(1);
        ModelSource source = ModelSource.Find(_runs.PathOf("run"));
        Assert.Equal(
            ["image_encoder.pooler.dense.bias", "image_encoder.pooler.dense.weight", "text_encoder.pooler.dense.bias", "text_encoder.pooler.dense.weight"],
            RunExport.Write(source, device, _runs.PathOf("export"), "tuned", []).Order(StringComparer.Ordinal));
        Assert.Contains("text_encoder.pooler.dense.weight", File.ReadAllText(_runs.PathOf("export/README.md")), StringComparison.Ordinal);
        foreach (string side in (string[])["text", "image"])
        {
            using SafetensorsFile file = SafetensorsFile.Open(_runs.PathOf($"export/{side}/model.safetensors"));
            Assert.Contains(file.ReadSingles("pooler.dense.weight"), v => v != 0);
            using SafetensorsFile before = SafetensorsFile.Open(Path.Combine(checkpoint, side, CheckpointTensors.FileName));
            Assert.Equal(before.Entries.Count + 2, file.Entries.Count);
            Assert.All(before.Entries, e => Assert.Equal(before.ReadSingles(e.Name), file.ReadSingles(e.Name)));
        }

        Assert.Empty(RunExport.Write(ModelSource.Find(RunWithPoolers()), device, _runs.PathOf("again"), "tuned", []));

        string RunWithPoolers()
        {
            _runs.Run(config, "whole");
            return _runs.PathOf("whole");
        }
    }

    [Fact]
    public void ARunOfNoStepsHoldsThePublishedWeights()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-vit"), "none", "none") with { Steps = 0, Setup = "none" };
        _runs.Run(config, "run");
        string checkpoint = new RunFolder(_runs.PathOf("run")).KeptCheckpoint();
        AssertSameTensors(config.TextTower.From!, Path.Combine(checkpoint, "text"), static _ => true);
        AssertSameTensors(config.ImageTower.From!, Path.Combine(checkpoint, "image"), static _ => true);
    }

    [Fact]
    public void WhatIsFrozenKeepsItsBitsAndTheRestMoves()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-vit"), "lowest:2", "all");
        _runs.Run(config, "run");
        string checkpoint = new RunFolder(_runs.PathOf("run")).KeptCheckpoint();
        AssertSameTensors(config.ImageTower.From!, Path.Combine(checkpoint, "image"), static _ => true);
        int moved = AssertSameTensors(
            config.TextTower.From!,
            Path.Combine(checkpoint, "text"),
            static name => name.StartsWith("embeddings.", StringComparison.Ordinal) || name.Contains("layer.0.", StringComparison.Ordinal)
                || name.Contains("layer.1.", StringComparison.Ordinal) || name.StartsWith("pooler.", StringComparison.Ordinal));
        Assert.Equal(16, moved);
        using SafetensorsFile moments = SafetensorsFile.Open(Path.Combine(checkpoint, TrainingCheckpoint.OptimizerFile));
        Assert.Equal(2 * (16 + 5), moments.Entries.Count);
    }

    [Fact]
    public void BothTowersStandStillForTheFirstPartOfTheFirstEpoch()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-bert"), _runs.Image("image-tower-vit"), "none", "none");
        int stepsPerEpoch = StepsPerEpoch(config);
        config = config with
        {
            Schedule = config.Schedule with { HeadsOnlyEpochs = 1.5 / stepsPerEpoch, Warmup = 0, Shape = ScheduleShape.Constant },
            Optimizer = config.Optimizer with { WeightDecay = 0 },
            KeepLast = 9,
            CheckpointEvery = 1,
        };
        _runs.Run(config, "run");
        RunFolder run = new(_runs.PathOf("run"));
        AssertSameTensors(config.TextTower.From!, Path.Combine(run.CheckpointPath(2), "text"), static _ => true);
        AssertSameTensors(config.ImageTower.From!, Path.Combine(run.CheckpointPath(2), "image"), static _ => true);
        Assert.NotEqual(Tensor(run.CheckpointPath(1), "heads.safetensors", "text_head.weight"), Tensor(run.CheckpointPath(2), "heads.safetensors", "text_head.weight"));

        // Adam's first step has the size of the learning rate whatever the gradient: the moments' correction counts from the thaw.
        float[] before = Tensor(run.CheckpointPath(2), "text/model.safetensors", Words);
        float[] after = Tensor(run.CheckpointPath(3), "text/model.safetensors", Words);
        float[] moved = [.. before.Select((v, i) => Math.Abs(after[i] - v)).Where(d => d > 0)];
        Assert.NotEmpty(moved);
        Assert.InRange(moved.Order().ElementAt(moved.Length / 2), 0.9e-3f, 1.01e-3f);
    }

    [Fact]
    public void TowersAndHeadsHaveLearningRatesOfTheirOwn()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-vit"), "none", "none");
        config = config with
        {
            Steps = 1,
            Schedule = new ScheduleConfig { Warmup = 0, Shape = ScheduleShape.Constant },
            Optimizer = config.Optimizer with { Kind = OptimizerKind.Adam, LearningRate = 1e-2, TextLearningRate = 1e-4, ImageLearningRate = 1e-3, WordLearningRate = 5e-4 },
        };
        _runs.Run(config with { Steps = 0 }, "before");
        _runs.Run(config, "after");
        string from = new RunFolder(_runs.PathOf("before")).KeptCheckpoint();
        string to = new RunFolder(_runs.PathOf("after")).KeptCheckpoint();
        Assert.Equal(1e-4, Median("text/model.safetensors", "encoder.layer.0.output.dense.weight"), 5e-6);
        Assert.Equal(1e-3, Median("image/model.safetensors", "encoder.layer.0.output.dense.weight"), 5e-5);
        Assert.Equal(1e-2, Median("heads.safetensors", "text_head.weight"), 5e-4);
        Assert.Equal(5e-4, Median("text/model.safetensors", Words), 3e-5);

        double Median(string file, string name)
        {
            float[] was = Tensor(from, file, name);

            // Of the vocabulary only the rows of the batch move.
            float[] moved = [.. Tensor(to, file, name).Select((v, i) => Math.Abs(v - was[i])).Where(d => d > 0).Order()];
            return moved[moved.Length / 2];
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void TheVectorsOfAFrozenTowerGiveTheSameBytesKeptOrComputedAnew(double augmentation)
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-vit"), "all", "all") with { Augmentation = augmentation };
        List<string> said = _runs.Run(config, "kept");
        _runs.Run(config with { FeatureCacheMegabytes = 0 }, "anew");
        _runs.AssertSameBytes("kept", "anew");

        // Augmented pictures never repeat: they are not looked up at all.
        string kept = Assert.Single(said, n => n.Contains("frozen", StringComparison.Ordinal));
        Assert.Equal(augmentation == 0, kept.Contains("pictures", StringComparison.Ordinal));
    }

    [Fact]
    public void AFullCacheTurnsRowsAwayAndKeepsWhatItHas()
    {
        FeatureCache cache = new(byteLimit: 200);
        float[] row = new float[4];
        for (int i = 0; i < 5; i++)
        {
            cache.Add([i, 7], [i, i, i, i]);
        }

        cache.Add([0, 7], [9, 9, 9, 9]);
        Assert.True(cache.IsFull);
        Assert.Equal(2, cache.Count);
        Assert.True(cache.TryGet([1, 7], row));
        Assert.Equal([1, 1, 1, 1], row);
        Assert.True(cache.TryGet([0, 7], row));
        Assert.Equal([0, 0, 0, 0], row);
        Assert.False(cache.TryGet([4, 7], row));
        Assert.False(cache.TryGet([0], row));
        Assert.Equal((2, 2), (cache.HitCount, cache.MissCount));
    }

    [Fact]
    public void ActivationsComputedAgainGiveTheSameBytes()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-clip"), "none", "lowest:1");
        _runs.Run(config, "kept");
        _runs.Run(config with { RecomputeActivations = true }, "again");
        _runs.AssertSameBytes("kept", "again");
    }

    [Fact]
    public void ThePrefixStandsBeforeEveryCaptionAndIsDeclared()
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-xlm-roberta"), _runs.Image("image-tower-vit"), "none", "none");
        config = config with
        {
            TextTower = config.TextTower with { Prefix = "query:" },
            Tokenizer = config.Tokenizer with { MaxTokens = 64 },
            CaptionsPerPicture = 1,
            KeywordsAtMost = 1,
        };
        _runs.Run(config, "run");
        string text = Path.Combine(new RunFolder(_runs.PathOf("run")).KeptCheckpoint(), "text");
        Assert.Equal("query: ", SentenceTransformersSettings.Read(text).DefaultPrompt);

        ITokenizer tokenizer = Tokenizer.Load(text);
        using CpuDevice device = new(1);
        using TwoTowerModel model = TwoTowerModel.Load(device, new RunFolder(_runs.PathOf("run")).KeptCheckpoint());
        CaptionedPictures data = ShortRuns.Data(config);
        int[] prefix = tokenizer.Encode("query:")[1..^1];
        Assert.NotEmpty(prefix);
        TokenBatch with = Captions(config);
        TokenBatch without = Captions(config with { TextTower = config.TextTower with { Prefix = string.Empty } });
        Assert.Equal(config.BatchSize, with.Count);
        for (int i = 0; i < with.Count; i++)
        {
            int[] plain = without.Ids[without.CuSeqlens[i]..without.CuSeqlens[i + 1]].ToArray();
            Assert.Equal([plain[0], .. prefix, .. plain[1..]], with.Ids[with.CuSeqlens[i]..with.CuSeqlens[i + 1]].ToArray());
        }

        // Evaluation tokenizes prefix and text together: the same ids.
        int[] name = tokenizer.Encode("red circle");
        Assert.Equal([name[0], .. prefix, .. name[1..]], tokenizer.Encode("query: red circle"));

        TokenBatch Captions(RunConfig run)
        {
            PairedCaptionSource source = new(run, data, tokenizer, model, TowerInputs.Of(run, null, null), run.BatchSize);
            TrainingBatch batch = source.NewBatch();
            source.Fill(batch, 1);
            return batch.MicroBatches[0].Captions;
        }
    }

    [Fact]
    public void APublishedPreprocessorDecidesHowPicturesEnter()
    {
        string image = _runs.Image("image-tower-vit");
        File.WriteAllText(Path.Combine(image, "preprocessor_config.json"), """{"image_processor_type": "ViTImageProcessor", "size": 32, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]}""");
        ImageEncoderConfig tower = CheckpointFolder.ReadImageConfig(image);
        PictureNormalization read = PictureNormalization.OfFolder(image, tower);
        Assert.Equal(new PictureNormalization(new(0.1f, 0.2f, 0.3f), new(0.5f)), read);
        float[] pixels = new float[12];
        PictureAugmentation.Normalize([255, 0, 51, 0, 0, 0, 0, 0, 0, 0, 0, 0], 2, read, pixels);
        Assert.Equal(1.8f, pixels[0], 1e-6f);
        Assert.Equal(-0.4f, pixels[4], 1e-6f);
        Assert.Equal(-0.2f, pixels[8], 1e-6f);
        File.Delete(Path.Combine(image, "preprocessor_config.json"));
        Assert.Equal(PictureNormalization.Of(ImagePreprocessor.Vit(32)), PictureNormalization.OfFolder(image, tower));
        string clip = _runs.Image("image-tower-clip");
        Assert.Equal(PictureNormalization.Of(ImagePreprocessor.Clip(32)), PictureNormalization.OfFolder(clip, CheckpointFolder.ReadImageConfig(clip)));
    }

    [Fact]
    public void TheFoldersDecideTheSizesAndAContradictionIsNamed()
    {
        string text = _runs.Text("text-tower-bert");
        string image = _runs.Image("image-tower-vit");
        RunConfig config = Reader().Set($"textTower.from={text}").Resolve();
        Assert.Equal(("bert", 48, 2, 3, 112), (config.TextTower.Kind, config.TextTower.Width, config.TextTower.Layers, config.TextTower.Heads, config.TextTower.FeedForward));
        Assert.Equal(TokenizerSource.File, config.Tokenizer.Kind);
        Assert.Equal(32, config.ImageTower.ImageSize);
        RunConfig both = Reader().Set($"imageTower.from={image}").Set("imageTower.imageSize=48").Resolve();
        Assert.Equal(("vit", 48, 8, 48), (both.ImageTower.Kind, both.ImageTower.ImageSize, both.ImageTower.PatchSize, both.ImageTower.Width));
        AssertRefused("'textTower.width' is 96", Reader().Set($"textTower.from={text}").Set("textTower.width=96"));
        AssertRefused("'textTower.from'", Reader().Set($"textTower.from={image}"));
        AssertRefused("'imageTower.from'", Reader().Set($"imageTower.from={text}"));
        AssertRefused("'imageTower.from'", Reader().Set("imageTower.from=no-such-folder"));
        AssertRefused("'textTower.freeze'", Reader().Set("textTower.freeze=lowest:0"));

        static RunConfigReader Reader() => RunConfigReader.From("album", "multilingual", "shapes");

        static void AssertRefused(string what, RunConfigReader reader) =>
            Assert.StartsWith(what, Assert.Throws<UserErrorException>(() => reader.Resolve()).What, StringComparison.Ordinal);
    }

    [Fact]
    public void AFrozenTextTowerNeedsNoStepsOfItsOwn()
    {
        string text = _runs.Text("text-tower-bert");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Tune(12).Resolve());
        Assert.Equal("'schedule.textFrozenSteps' is 160, which leaves none of 12 steps to tune the text tower", e.What);
        Assert.Contains("--set schedule.textFrozenSteps=1,", e.Remedy, StringComparison.Ordinal);
        Assert.Equal(1, Tune(12).Set("schedule.textFrozenSteps=1").Resolve().Schedule.TextFrozenSteps);
        Assert.Contains("--set schedule.textFrozenSteps=0,", Assert.Throws<UserErrorException>(() => Tune(1).Resolve()).Remedy, StringComparison.Ordinal);
        Assert.Equal("all", Tune(12).Set("textTower.freeze=all").Resolve().TextTower.Freeze);
        RunConfig config = ShortRuns.Tiny(text, _runs.Image("image-tower-vit"), "all", "none");
        _runs.Run(config with { Schedule = config.Schedule with { TextFrozenSteps = 160 } }, "longer");
        _runs.Run(config with { Schedule = config.Schedule with { TextFrozenSteps = 0 } }, "none");
        string weights = Path.Combine("checkpoints", "step-00000004", "heads.safetensors");
        Assert.Equal(File.ReadAllBytes(Path.Combine(_runs.PathOf("none"), weights)), File.ReadAllBytes(Path.Combine(_runs.PathOf("longer"), weights)));

        RunConfigReader Tune(int steps) => RunConfigReader.From("tune", "multilingual", "shapes").Set($"textTower.from={text}").Set($"steps={steps}");
    }

    [Theory]
    [InlineData("'tokenizer.kind'")]
    [InlineData("'textTower.freeze'")]
    [InlineData("'imageTower.freeze'")]
    [InlineData("the tokenizer has")]
    public void WhatCannotBeTunedIsNamed(string named)
    {
        RunConfig config = ShortRuns.Tiny(_runs.Text("text-tower-bert"), _runs.Image("image-tower-vit"), "none", "none");
        config = named switch
        {
            "'tokenizer.kind'" => config with { Tokenizer = config.Tokenizer with { Kind = TokenizerSource.Train } },
            "'textTower.freeze'" => config with { TextTower = config.TextTower with { Freeze = "lowest:3" } },
            "'imageTower.freeze'" => config with { ImageTower = new ImageTowerConfig { Freeze = "all" } },
            _ => config with { Tokenizer = config.Tokenizer with { Path = LargeTokenizer() } },
        };
        UserErrorException e = Assert.Throws<UserErrorException>(() => _runs.Run(config, "run"));
        Assert.StartsWith(named, e.What, StringComparison.Ordinal);
    }

    private string LargeTokenizer()
    {
        string path = _runs.PathOf("large.json");
        ShortRuns.Tokens(600).Save(path);
        return path;
    }

    private int StepsPerEpoch(RunConfig config)
    {
        using CpuDevice device = new(1);
        ITokenizer tokenizer = Tokenizer.Load(config.TextTower.From!);
        using TwoTowerModel model = TowerFactory.Create(config, tokenizer, device, _ => { });
        return new PairedCaptionSource(config, ShortRuns.Data(config), tokenizer, model, TowerInputs.Of(config, null, null), config.BatchSize).StepsPerEpoch;
    }

    // Returns how many tensors differ; those that must not are named.
    private static int AssertSameTensors(string published, string trained, Func<string, bool> mustBeSame)
    {
        using SafetensorsFile before = SafetensorsFile.Open(Path.Combine(published, "model.safetensors"));
        using SafetensorsFile after = SafetensorsFile.Open(Path.Combine(trained, "model.safetensors"));
        Assert.Equal(before.Entries.Select(e => e.Name).Order(StringComparer.Ordinal), after.Entries.Select(e => e.Name).Order(StringComparer.Ordinal));
        int moved = 0;
        foreach (SafetensorsEntry entry in before.Entries)
        {
            bool same = before.ReadSingles(entry.Name).SequenceEqual(after.ReadSingles(entry.Name));
            Assert.True(same || !mustBeSame(entry.Name), entry.Name);
            moved += same ? 0 : 1;
        }

        return moved;
    }

    private static float[] Tensor(string checkpoint, string file, string name)
    {
        using SafetensorsFile tensors = SafetensorsFile.Open(Path.Combine(checkpoint, file));
        return tensors.ReadSingles(name);
    }
}
