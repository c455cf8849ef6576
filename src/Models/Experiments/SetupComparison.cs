using System.Globalization;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Experiments;

/// <summary>
/// The paper's comparison in miniature: trains the set-ups with each seed, measures them alike and writes <c>report.json</c> and
/// <c>report.html</c>. Runs that are finished already are not trained again, and unfinished ones are gone on with, so an interrupted
/// comparison continues where it was.
/// </summary>
public sealed class SetupComparison
{
    private readonly ComparisonRequest _request;
    private readonly Func<RunConfig, ITrainingObserver> _observerOf;
    private readonly Action<string> _say;

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
    }

    /// <summary>Trains, measures and writes.</summary>
    /// <param name="cancellation">Ends the comparison after the current training step, with a checkpoint.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="UserErrorException">A run fails, or the disk is full.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted; the same call goes on with it.</exception>
    public FigureReport Run(CancellationToken cancellation)
    {
        ComparisonReport report = new(_request.Languages, _request.Udhr, _request.Device, _say);
        foreach (long seed in _request.Seeds)
        {
            foreach (string setup in _request.Setups)
            {
                One(_request.ConfigOf(setup, seed), report, cancellation);
            }
        }

        return report.Write(_request.Folder, _request.Notices);
    }

    private void One(RunConfig config, ComparisonReport report, CancellationToken cancellation)
    {
        string folder = Path.Combine(_request.Folder, string.Create(CultureInfo.InvariantCulture, $"{config.Setup}-seed-{config.Seed}"));
        RunFolder run = new(folder);
        bool exists = File.Exists(run.ConfigPath);
        if (exists && RunConfigJson.WriteDeciding(RunConfigReader.ReadComplete(run.ConfigPath)) != RunConfigJson.WriteDeciding(config))
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
        report.Add(run, config.Setup, _request.Data, showsPictures: config.Setup == _request.Setups[^1], cancellation);
    }
}
