using System.Text.Json.Nodes;
using CrossAlign.Models.Data;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Short trainings on the built-in shapes, in a folder of their own; among them ones that start from copies of the fixtures' published checkpoints.</summary>
internal sealed class ShortRuns : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public string PathOf(string name) => _folder.File(name);

    public static RunConfig Tiny(string text, string image, string textFreeze, string imageFreeze) => RunConfigReader.From("album", "multilingual", "shapes").Build() with
    {
        Steps = 4,
        BatchSize = 8,
        CaptionsPerPicture = 2,
        Augmentation = 0,
        EvaluateEvery = 0,
        CheckpointEvery = 2,
        Tokenizer = new TokenizerConfig { Kind = TokenizerSource.File, MaxTokens = 32 },
        TextTower = new TextTowerConfig { From = text, Freeze = textFreeze },
        ImageTower = new ImageTowerConfig { From = image, Freeze = imageFreeze, ImageSize = 32 },
        Projection = new ProjectionConfig { Width = 24, Bias = true },
        Optimizer = new OptimizerConfig { LearningRate = 1e-3 },
    };

    public static CaptionedPictures Data(RunConfig config) => ShapesDataSet.Create(DataSets.OptionsOf(config));

    // The fixtures have no tokenizer: one with as many pieces as both text towers have rows is trained on the shapes' captions.
    public string Text(string fixture, string form = "hf")
    {
        string folder = Copy(fixture, form);
        Tokens(270).Save(Path.Combine(folder, "tokenizer.json"));
        return folder;
    }

    public string Image(string fixture, string form = "hf") => Copy(fixture, form);

    /// <summary>A whole CLIP, whose begin and end marks are its last two ids, with a tokenizer of single letters.</summary>
    public string Clip()
    {
        string folder = Copy("clip-model", "hf");
        const string Letters = " abcdefghijklmnopqrstuvwxyz0123456789áéíóúñçü";
        JsonObject vocabulary = new() { ["<unk>"] = 0 };
        foreach (char letter in Letters)
        {
            vocabulary[letter == ' ' ? "▁" : letter.ToString()] = vocabulary.Count;
        }

        JsonObject Special(string name, int id) => new() { ["id"] = name, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(name) };
        JsonObject Mark(string name) => new() { ["SpecialToken"] = new JsonObject { ["id"] = name, ["type_id"] = 0 } };
        JsonObject Sequence(string name) => new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = 0 } };
        JsonObject Added(string name, int id) => new() { ["id"] = id, ["content"] = name, ["special"] = true };
        JsonObject json = new()
        {
            ["added_tokens"] = new JsonArray(Added("<s>", 118), Added("</s>", 119)),
            ["pre_tokenizer"] = new JsonObject { ["type"] = "Metaspace", ["replacement"] = "▁", ["prepend_scheme"] = "always", ["split"] = true },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(Mark("<s>"), Sequence("A"), Mark("</s>")),
                ["pair"] = new JsonArray(Mark("<s>"), Sequence("A"), Mark("</s>"), Sequence("B"), Mark("</s>")),
                ["special_tokens"] = new JsonObject { ["<s>"] = Special("<s>", 118), ["</s>"] = Special("</s>", 119) },
            },
            ["model"] = new JsonObject { ["type"] = "BPE", ["unk_token"] = "<unk>", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        };
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        return folder;
    }

    public static PipelineTokenizer Tokens(int pieces)
    {
        CaptionedPictures data = ShapesDataSet.Create(new DataSetOptions { Languages = ["en", "es", "ja", "hi"] });
        return new BpeTokenizerTrainer(pieces).Train(data.ConceptsOf(DataSplit.Train).SelectMany(c => data.Languages.Select(l => data.NameOf(c, l))).OfType<string>());
    }

    /// <summary>Trains, and gives what was noted.</summary>
    public List<string> Run(RunConfig config, string name, int threads = 2, bool resume = false, int? stopAfter = null)
    {
        using CpuDevice device = new(threads);
        Notes notes = new();
        TrainingRun.Start(
            new TrainingRequest(config, Data(config), device, PathOf(name)) { Resume = resume, StopAfter = stopAfter }, notes, CancellationToken.None);
        return notes.Said;
    }

    /// <summary>The files of a run's checkpoints, in order.</summary>
    public string[] Files(string name)
    {
        string folder = Path.Combine(PathOf(name), "checkpoints");
        return [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal)];
    }

    /// <summary>Compares all files of the checkpoints of two runs.</summary>
    public void AssertSameBytes(string expected, string actual)
    {
        string[] files = Files(expected);
        Assert.NotEmpty(files);
        Assert.Equal(files, Files(actual));
        Assert.All(files, f => Assert.Equal(
            File.ReadAllBytes(Path.Combine(PathOf(expected), "checkpoints", f)), File.ReadAllBytes(Path.Combine(PathOf(actual), "checkpoints", f))));
    }

    private string Copy(string fixture, string form)
    {
        string folder = _folder.File(fixture);
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(Fixtures.PathOf(fixture, form)))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        }

        return folder;
    }

    private sealed class Notes : ITrainingObserver
    {
        public List<string> Said { get; } = [];

        public void Note(string message) => Said.Add(message);

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
