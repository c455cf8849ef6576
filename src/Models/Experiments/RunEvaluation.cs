using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Models.Training.Recording;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>A finished run, loaded from the checkpoint that it gives, and what is measured of it.</summary>
public sealed class RunEvaluation : IDisposable
{
    private readonly TwoTowerModel _model;
    private readonly ConceptEmbedder _embedder;
    private readonly CpuDevice? _cpu;

    private RunEvaluation(string checkpoint, RunConfig config, RunRecord? record, TwoTowerModel model, ITokenizer tokenizer, TowerInputs inputs, Device device)
    {
        Checkpoint = checkpoint;
        Config = config;
        Record = record;
        _model = model;
        _cpu = device as CpuDevice;
        _embedder = new ConceptEmbedder(model, tokenizer, inputs);
    }

    /// <summary>The folder of the checkpoint that is measured.</summary>
    public string Checkpoint { get; }

    /// <summary>The run's configuration.</summary>
    public RunConfig Config { get; }

    /// <summary>What the run ran on; null where the folder has no record.</summary>
    public RunRecord? Record { get; }

    /// <summary>Whether the run has an image tower.</summary>
    public bool SeesPictures => _model.Image is not null;

    /// <summary>Loads a run.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="device">Where to compute; it outlives the evaluation.</param>
    /// <returns>The run, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder is no run, or has no checkpoint.</exception>
    public static RunEvaluation Open(string folder, Device device)
    {
        RunFolder run = new(folder);
        string checkpoint = run.KeptCheckpoint();
        RunConfig config = RunConfigReader.ReadComplete(run.ConfigPath);
        ITokenizer tokenizer = Tokenizer.Load(Path.Combine(checkpoint, ModelFolder.TextName));
        RunRecord? record = File.Exists(run.RecordPath) ? RunRecord.Read(run.RecordPath) : null;
        TwoTowerModel model = ModelFolder.Load(device, checkpoint, out _);
        TowerInputs inputs = TowerInputs.Of(config, Path.Combine(checkpoint, ModelFolder.ImageName), model.Image?.Config);
        return new RunEvaluation(checkpoint, config, record, model, tokenizer, inputs, device);
    }

    /// <summary>The vectors of a data set's names and pictures.</summary>
    /// <param name="data">The data set.</param>
    /// <param name="languages">The languages.</param>
    /// <param name="styles">The styles; ignored where the run has no image tower.</param>
    /// <returns>The vectors.</returns>
    /// <exception cref="UserErrorException">The data set lacks a language or style.</exception>
    public ConceptEmbeddings Embed(CaptionedPictures data, IEnumerable<string> languages, IEnumerable<string> styles)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(languages);
        ArgumentNullException.ThrowIfNull(styles);
        ConceptEmbeddings embeddings = new(data);
        foreach (string language in languages)
        {
            embeddings.EncodeNames(language, _embedder.EmbedTexts);
        }

        foreach (string style in SeesPictures ? styles : [])
        {
            embeddings.EncodePictures(style, pictures => _embedder.EmbedPictures(data.Pictures, pictures));
        }

        return embeddings;
    }

    /// <summary>Measures the run.</summary>
    /// <param name="plan">What to measure.</param>
    /// <param name="embeddings">Vectors of at least the plan's languages and English, and of its styles.</param>
    /// <param name="udhr">The declarations; null where there are none.</param>
    /// <param name="name">What the figures call the run's set-up; null for the configuration's own name.</param>
    /// <returns>The figures.</returns>
    public IReadOnlyList<Figure> Measure(EvaluationPlan plan, ConceptEmbeddings embeddings, UdhrCorpus? udhr, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(embeddings);
        FigureOrigin origin = new(name ?? Config.Setup, Config.Seed);
        IReadOnlyList<string> languages = LanguagesOf(plan);
        List<Figure> figures = [];
        if (plan.Bitext)
        {
            figures.AddRange(BitextEvaluation.MeasureConcepts(origin, embeddings, plan.Sets, languages, plan.Scores, device: _cpu));
            if (plan.Udhr && udhr is not null)
            {
                figures.AddRange(BitextEvaluation.MeasureUdhr(origin, udhr, languages, _embedder.EmbedTexts, plan.Scores, device: _cpu));
            }
        }

        if (plan.Retrieval && SeesPictures)
        {
            figures.AddRange(PictureRetrievalEvaluation.Measure(
                origin, embeddings, plan.Sets, StylesOf(plan, embeddings.Data), languages, plan.Scores, _cpu));
        }

        return figures;
    }

    /// <summary>The languages that a plan measures.</summary>
    /// <param name="plan">The plan.</param>
    /// <returns>Its own, or the run's.</returns>
    public IReadOnlyList<string> LanguagesOf(EvaluationPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.Languages.Count > 0 ? plan.Languages : Config.Languages;
    }

    /// <summary>The styles that a plan measures.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="data">The data set.</param>
    /// <returns>Its own, or all.</returns>
    public static IReadOnlyList<string> StylesOf(EvaluationPlan plan, CaptionedPictures data)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(data);
        return plan.Styles.Count > 0 ? plan.Styles : [.. data.Styles.Select(s => s.Name)];
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();
}
