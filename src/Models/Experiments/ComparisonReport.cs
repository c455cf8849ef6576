using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>
/// Measures runs one after another and writes what they gave side by side: <c>report.json</c> and <c>report.html</c>. Which runs, and
/// whether they were trained just now, is its caller's affair.
/// </summary>
internal sealed class ComparisonReport
{
    // Concepts on the map of captions and pictures in the panel: what a reader can still take in.
    private const int ConceptsOnMap = 60;
    private const int PicturesInPanel = 16;

    private readonly IReadOnlyList<string> _languages;
    private readonly UdhrCorpus? _udhr;
    private readonly Device _device;
    private readonly Action<string> _say;
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;
    private readonly List<Figure> _figures = [];
    private readonly List<SetupThroughput> _throughput = [];
    private readonly List<LearningCurve> _curves = [];
    private readonly List<CaptionMap> _maps = [];
    private readonly List<(ReportSetup Setup, RunConfig Config)> _setups = [];
    private readonly List<long> _seeds = [];
    private IReadOnlyList<PicturePanel> _panels = [];
    private CaptionedPictures? _data;

    /// <summary>Prepares.</summary>
    /// <param name="languages">The languages that every run is measured in, whether or not it was trained on them.</param>
    /// <param name="udhr">The declarations; null where they are not there.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="say">Hears what is being done, a sentence at a time.</param>
    public ComparisonReport(IReadOnlyList<string> languages, UdhrCorpus? udhr, Device device, Action<string> say)
    {
        _languages = languages;
        _udhr = udhr;
        _device = device;
        _say = say;
    }

    /// <summary>Measures a finished run.</summary>
    /// <param name="run">Its folder.</param>
    /// <param name="name">What the figures call its set-up; runs of one name are seeds of each other.</param>
    /// <param name="data">The data set, with pictures of the run's size and captions in all languages.</param>
    /// <param name="showsPictures">Whether the page's panel of pictures is this run's, where it sees any.</param>
    /// <param name="cancellation">Ends the work.</param>
    /// <exception cref="UserErrorException">The run cannot be read.</exception>
    public void Add(RunFolder run, string name, CaptionedPictures data, bool showsPictures, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        EvaluationPlan plan = new() { Languages = _languages, Styles = StylesShown(data), Udhr = _udhr is not null };
        using RunEvaluation evaluation = RunEvaluation.Open(run.FullPath, _device);
        RunConfig config = evaluation.Config;
        ConceptEmbeddings embeddings = evaluation.Embed(data, _languages.Append("en").Distinct(StringComparer.Ordinal), plan.Styles);
        cancellation.ThrowIfCancellationRequested();
        _figures.AddRange(evaluation.Measure(plan, embeddings, _udhr, name));
        if (evaluation.Record is { TrainingSeconds: > 0 } record)
        {
            double seconds = record.TrainingSeconds;
            _throughput.Add(new SetupThroughput(name, Math.Round(record.Captions / seconds, 1), Math.Round(record.Pictures / seconds, 1), Math.Round(seconds, 1)));
        }

        _curves.Add(RunCurves.Read(run, config, name));
        if (!_seeds.Contains(config.Seed))
        {
            _seeds.Add(config.Seed);
        }

        _data = data;
        if (_setups.Any(s => s.Setup.Name == name))
        {
            return;
        }

        // The first seed stands for the others.
        _setups.Add((ComparisonPanels.Describe(config, name), config));
        _say($"{name}: drawing the map of captions");
        _maps.Add(ComparisonPanels.Map(name, embeddings, _languages, ConceptsOnMap, cancellation));
        if (showsPictures && evaluation.SeesPictures)
        {
            string model = string.Create(CultureInfo.InvariantCulture, $"{name}, seed {config.Seed}");
            _panels = ComparisonPanels.Pictures(embeddings, _languages, plan.Styles, PicturesInPanel, model);
        }
    }

    /// <summary>Writes what was measured.</summary>
    /// <param name="folder">Where <c>report.json</c> and <c>report.html</c> go.</param>
    /// <param name="notices">What a reader must know before the figures, each a sentence.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public FigureReport Write(string folder, IReadOnlyList<string> notices)
    {
        CaptionedPictures data = _data ?? throw new InvalidOperationException("No run was added.");
        FigureReport report = new()
        {
            Figures = _figures,
            Throughput = _throughput,
            Run = new FigureRun(
                ProgramVersion.Number,
                ProgramVersion.Commit,
                _device.Name,
                (_device as CpuDevice)?.Workers.ThreadCount ?? 0,
                _seeds,
                data.Name,
                _started,
                Math.Round((DateTimeOffset.UtcNow - _started).TotalSeconds, 1)),
        };
        ReportModel model = new()
        {
            Figures = report,
            Setups = [.. _setups.Select(s => s.Setup)],
            Languages = [.. _languages.Select(l => new ReportLanguage(l, LanguageNames.EnglishName(l)))],
            Notices = notices,
            Curves = _curves,
            Maps = _maps,
            Panels = _panels,
            Configuration = ComparisonPanels.Settings([.. _setups.Select(s => (s.Setup.Title, s.Config))]),
            Sources = data.Sources,
        };
        AtomicFile.Write(Path.Combine(folder, "report.json"), report.Write);
        AtomicFile.Write(Path.Combine(folder, "report.html"), stream => ReportPage.Write(model, stream));
        return report;
    }

    // One trained style and the unseen one: a report shows what a reader compares, `eval` measures all.
    private static List<string> StylesShown(CaptionedPictures data)
    {
        List<string> styles = [.. data.Styles.Where(s => !s.Unseen).Take(1).Select(s => s.Name)];
        styles.AddRange(data.Styles.Where(s => s.Unseen).Select(s => s.Name));
        return styles;
    }
}
