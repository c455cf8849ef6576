using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Images;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Models.Training.Recording;

namespace CrossAlign.Models.Experiments;

/// <summary>
/// Sets finished runs side by side, whatever trained them: from scratch, tuned published towers, other languages or sizes. They must
/// have the same data with the same split: a name that one run was trained on and another was not is no fair query.
/// </summary>
public sealed class RunComparison
{
    private readonly ReportRequest _request;
    private readonly Action<string> _say;
    private readonly List<Entry> _runs = [];

    /// <summary>Looks at the runs: nothing is computed before all of them are known to fit together.</summary>
    /// <param name="request">What to compare.</param>
    /// <param name="say">Hears what is being done, a sentence at a time.</param>
    /// <exception cref="UserErrorException">A folder is no finished run, is named twice, or the runs' data or splits differ.</exception>
    public RunComparison(ReportRequest request, Action<string> say)
    {
        ArgumentNullException.ThrowIfNull(request);
        _request = request;
        _say = say;
        if (request.Runs.Count == 0)
        {
            throw new UserErrorException("there is no run to report", "give the folders that train wrote");
        }

        foreach ((string folder, string? name) in request.Runs)
        {
            RunFolder run = new(folder);
            if (_runs.Find(r => r.Run.FullPath == run.FullPath) is not null)
            {
                throw new UserErrorException($"the run '{folder}' is named twice", "name each once");
            }

            _runs.Add(Open(run, name));
            CheckSameSplit(_runs[0], _runs[^1]);
        }

        NameRuns();
        Languages = request.Languages.Count > 0 ? request.Languages : [.. _runs.SelectMany(r => r.Config.Languages).Distinct(StringComparer.Ordinal).OrderBy(l => l != "en")];
    }

    /// <summary>What the figures call the runs, in order, each name once.</summary>
    public IReadOnlyList<string> Names => [.. _runs.Select(r => r.Name!).Distinct(StringComparer.Ordinal)];

    /// <summary>The languages that are measured.</summary>
    public IReadOnlyList<string> Languages { get; }

    /// <summary>Measures and writes.</summary>
    /// <param name="cancellation">Ends the work between two runs; nothing is written then.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="UserErrorException">A run or its data cannot be read, or the data is not what a run was trained on.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted.</exception>
    public FigureReport Run(CancellationToken cancellation)
    {
        ComparisonReport report = new(Languages, _request.Udhr, _request.Device, _say);
        string? pictured = _runs.FindLast(r => r.Config.Objective == Objective.ImageText && r.Config.Steps > 0)?.Name;
        Dictionary<(int Size, ImagePreprocessor? Preparation), CaptionedPictures> data = [];
        foreach (Entry run in _runs)
        {
            cancellation.ThrowIfCancellationRequested();
            // Runs whose pictures are prepared alike share them.
            DataSetOptions options = DataSets.OptionsOf(run.Config, Languages, run.Run.KeptCheckpoint());
            (int Size, ImagePreprocessor? Preparation) preparation = (options.PictureSize, options.Preprocessor?.Fitting);
            if (!data.TryGetValue(preparation, out CaptionedPictures? pictures))
            {
                data[preparation] = pictures = _request.OpenData(run.Config, options);
            }

            if (run.Record is { } record && record.DataChecksum != pictures.Checksum)
            {
                throw new UserErrorException(
                    $"the data '{pictures.Name}' is not what the run '{run.Run.FullPath}' was trained on (checksum {pictures.Checksum}, then {record.DataChecksum})",
                    "restore the data, or train that run again");
            }

            _say(string.Create(CultureInfo.InvariantCulture, $"{run.Name} (seed {run.Config.Seed}): measuring {run.Run.FullPath}"));
            report.Add(run.Run, run.Name!, pictures, run.Name == pictured, cancellation);
        }

        return report.Write(_request.Folder, []);
    }

    private static Entry Open(RunFolder run, string? name)
    {
        if (!File.Exists(run.ConfigPath))
        {
            throw new UserErrorException(
                Directory.Exists(run.FullPath) ? $"'{run.FullPath}' holds no run" : $"there is no run '{run.FullPath}'", "give the folders that train or demo wrote");
        }

        RunConfig config = RunConfigReader.ReadComplete(run.ConfigPath);
        int reached = run.CheckpointSteps() is [.., int last] ? last : -1;
        if (reached < config.Steps)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"the run '{run.FullPath}' is not finished: it has come to step {Math.Max(reached, 0)} of {config.Steps}"),
                $"finish it: crossalign train --resume {run.FullPath}");
        }

        return new Entry(run, config, File.Exists(run.RecordPath) ? RunRecord.Read(run.RecordPath) : null) { Name = name };
    }

    private static void CheckSameSplit(Entry first, Entry other)
    {
        const string Remedy = "compare runs of the same data and splitSalt: what one was trained on must not be unseen to another";
        if (DataOf(first) != DataOf(other))
        {
            throw new UserErrorException(
                $"the runs '{first.Run.FullPath}' and '{other.Run.FullPath}' have different data: {DataOf(first)} and {DataOf(other)}", Remedy);
        }

        if (first.Config.SplitSalt != other.Config.SplitSalt)
        {
            throw new UserErrorException(
                $"the runs '{first.Run.FullPath}' and '{other.Run.FullPath}' have different splits: splitSalt is '{first.Config.SplitSalt}' and '{other.Config.SplitSalt}'", Remedy);
        }
    }

    // A folder may be named in several ways.
    private static string DataOf(Entry run) => Directory.Exists(run.Config.Data) ? Path.GetFullPath(run.Config.Data) : run.Config.Data;

    // Runs that differ in their seed alone are one row. A row is called by its set-up; where two would be called alike, by what they
    // started from as well, and if that does not tell them apart either, by their folders.
    private void NameRuns()
    {
        (string Key, Entry[] Runs)[] rows = [.. _runs.Where(r => r.Name is null).GroupBy(KeyOf).Select(g => (g.Key, g.ToArray()))];
        Name(rows, r => ComparisonPanels.SetupOf(r.Config));
        Name(rows, r => ComparisonPanels.FamilyOf(r.Config) is { Length: > 0 } family ? $"{ComparisonPanels.SetupOf(r.Config)} ({family})" : ComparisonPanels.SetupOf(r.Config));
        Name(rows, r => Path.GetFileName(Path.TrimEndingDirectorySeparator(r.Run.FullPath)));
        Name(rows, r => r.Run.FullPath);
        foreach (IGrouping<(string?, long), Entry> twice in _runs.GroupBy(r => (r.Name, r.Config.Seed)).Where(g => g.Count() > 1))
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"the runs {string.Join(" and ", twice.Select(r => $"'{r.Run.FullPath}'"))} would both be '{twice.Key.Item1}' with seed {twice.Key.Item2}"),
                "leave one out, or give them names of their own: NAME=RUN");
        }
    }

    private void Name((string Key, Entry[] Runs)[] rows, Func<Entry, string> name)
    {
        string[] names = [.. rows.Select(r => r.Runs[0].Name ?? name(r.Runs[0]))];
        string[] given = [.. _runs.Where(r => !rows.Any(row => row.Runs.Contains(r))).Select(r => r.Name!)];
        for (int i = 0; i < rows.Length; i++)
        {
            if (names.Count(n => n == names[i]) == 1 && !given.Contains(names[i]))
            {
                foreach (Entry run in rows[i].Runs)
                {
                    run.Name = names[i];
                }
            }
        }
    }

    private static string KeyOf(Entry run) => RunConfigJson.Write(run.Config with { Seed = 0, Threads = 0, Device = "auto" });

    private sealed class Entry(RunFolder run, RunConfig config, RunRecord? record)
    {
        public RunFolder Run { get; } = run;

        public RunConfig Config { get; } = config;

        public RunRecord? Record { get; } = record;

        public string? Name { get; set; }
    }
}
