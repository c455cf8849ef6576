using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>
/// The paper's comparison in miniature: trains the set-ups with each seed, measures them alike and writes <c>report.json</c> and
/// <c>report.html</c>. Runs that are finished already are not trained again, and unfinished ones are gone on with, so an interrupted
/// comparison continues where it was.
/// </summary>
public sealed class SetupComparison
{
    // Concepts on the map of captions and pictures in the panel: what a reader can still take in.
    private const int ConceptsOnMap = 60;
    private const int PicturesInPanel = 16;

    private readonly ComparisonRequest _request;
    private readonly Func<RunConfig, ITrainingObserver> _observerOf;
    private readonly Action<string> _say;
    private readonly EvaluationPlan _plan;
    private readonly List<Figure> _figures = [];
    private readonly List<SetupThroughput> _throughput = [];
    private readonly List<LearningCurve> _curves = [];
    private readonly List<CaptionMap> _maps = [];
    private IReadOnlyList<PicturePanel> _panels = [];

    /// <summary>Prepares.</summary>
    /// <param name="request">What to compare.</param>
    /// <param name="observerOf">Gives the observer of a run.</param>
    /// <param name="say">Hears what is being done, a sentence at a time.</param>
    public SetupComparison(ComparisonRequest request, Func<RunConfig, ITrainingObserver> observerOf, Action<string> say)
    {
        ArgumentNullException.ThrowIfNull(request);
        _request = request;
        _observerOf = observerOf;
        _say = say;
        _plan = new EvaluationPlan { Languages = request.Languages, Styles = StylesShown(request.Data), Udhr = request.Udhr is not null };
    }

    /// <summary>Trains, measures and writes.</summary>
    /// <param name="cancellation">Ends the comparison after the current training step, with a checkpoint.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="UserErrorException">A run fails, or the disk is full.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted; the same call goes on with it.</exception>
    public FigureReport Run(CancellationToken cancellation)
    {
        DateTimeOffset started = DateTimeOffset.UtcNow;
        foreach (long seed in _request.Seeds)
        {
            foreach (string setup in _request.Setups)
            {
                One(_request.ConfigOf(setup, seed), cancellation);
            }
        }

        FigureReport report = new()
        {
            Figures = _figures,
            Throughput = _throughput,
            Run = new FigureRun(
                ProgramVersion.Number,
                ProgramVersion.Commit,
                _request.Device.Name,
                (_request.Device as CpuDevice)?.Workers.ThreadCount ?? 0,
                _request.Seeds,
                _request.Data.Name,
                started,
                Math.Round((DateTimeOffset.UtcNow - started).TotalSeconds, 1)),
        };
        AtomicFile.Write(Path.Combine(_request.Folder, "report.json"), report.Write);
        ReportModel model = Model(report);
        AtomicFile.Write(Path.Combine(_request.Folder, "report.html"), stream => ReportPage.Write(model, stream));
        return report;
    }

    private void One(RunConfig config, CancellationToken cancellation)
    {
        string folder = Path.Combine(_request.Folder, string.Create(CultureInfo.InvariantCulture, $"{config.Setup}-seed-{config.Seed}"));
        RunFolder run = new(folder);
        bool exists = File.Exists(run.ConfigPath);
        if (exists && RunConfigJson.Write(RunConfigReader.ReadComplete(run.ConfigPath)) != RunConfigJson.Write(config))
        {
            throw new UserErrorException($"'{folder}' holds a run of another configuration", "choose another --out, or remove that folder");
        }

        if (exists && run.CheckpointSteps() is [.., int last] && last == config.Steps)
        {
            _say(string.Create(CultureInfo.InvariantCulture, $"{config.Setup} (seed {config.Seed}): trained before, the run in {folder} is used"));
        }
        else
        {
            TrainingRun.Start(new TrainingRequest(config, _request.Data, _request.Device, folder) { Resume = exists }, _observerOf(config), cancellation);
        }

        cancellation.ThrowIfCancellationRequested();
        using RunEvaluation evaluation = RunEvaluation.Open(folder, _request.Device);
        ConceptEmbeddings embeddings = evaluation.Embed(_request.Data, _request.Languages, _plan.Styles);
        _figures.AddRange(evaluation.Measure(_plan, embeddings, _request.Udhr));
        if (evaluation.Record is { TrainingSeconds: > 0 } record)
        {
            double seconds = record.TrainingSeconds;
            _throughput.Add(new SetupThroughput(config.Setup, Math.Round(record.Captions / seconds, 1), Math.Round(record.Pictures / seconds, 1), Math.Round(seconds, 1)));
        }

        _curves.Add(RunCurves.Read(run, config));
        if (config.Seed == _request.Seeds[0])
        {
            _say(string.Create(CultureInfo.InvariantCulture, $"{config.Setup}: drawing the map of captions"));
            _maps.Add(ComparisonPanels.Map(config.Setup, embeddings, _request.Languages, ConceptsOnMap, cancellation));
            if (evaluation.SeesPictures && config.Setup == _request.Setups[^1])
            {
                string model = string.Create(CultureInfo.InvariantCulture, $"{config.Setup}, seed {config.Seed}");
                _panels = ComparisonPanels.Pictures(embeddings, _request.Languages, _plan.Styles, PicturesInPanel, model);
            }
        }
    }

    private ReportModel Model(FigureReport report) => new()
    {
        Figures = report,
        Setups = [.. _request.Setups.Select(s => ComparisonPanels.Describe(_request.ConfigOf(s, _request.Seeds[0])))],
        Languages = [.. _request.Languages.Select(l => new ReportLanguage(l, LanguageNames.EnglishName(l)))],
        Notices = _request.Notices,
        Curves = _curves,
        Maps = _maps,
        Panels = _panels,
        Configuration = ComparisonPanels.Settings(_request.ConfigOf(_request.Setups[^1], _request.Seeds[0])),
        Sources = _request.Data.Sources,
    };

    // One trained style and the unseen one: the demo shows what a reader compares, `eval` measures all.
    private static List<string> StylesShown(CaptionedPictures data)
    {
        List<string> styles = [.. data.Styles.Where(s => !s.Unseen).Take(1).Select(s => s.Name)];
        styles.AddRange(data.Styles.Where(s => s.Unseen).Select(s => s.Name));
        return styles;
    }
}
