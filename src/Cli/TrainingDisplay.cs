using System.Diagnostics;
using System.Globalization;
using CrossAlign.Models.Training;

namespace CrossAlign.Cli;

/// <summary>Shows a run: a bar with loss, captions a second and remaining time on a terminal, a line now and then elsewhere.</summary>
/// <param name="terminal">Where.</param>
/// <param name="label">The run's name, before each line.</param>
internal sealed class TrainingDisplay(Terminal terminal, string label) : ITrainingObserver
{
    private static readonly TimeSpan s_liveInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_lineInterval = TimeSpan.FromSeconds(15);

    private readonly Stopwatch _sinceShown = Stopwatch.StartNew();
    private readonly Stopwatch _sinceFirstStep = new();
    private int _firstStep;
    private double _smoothedLoss = double.NaN;

    public void Note(string message) => terminal.Say($"{label}: {message}");

    public void Alarm(string message) => terminal.Say($"{label}: warning: {message}");

    public void StepDone(in StepReport report)
    {
        if (!_sinceFirstStep.IsRunning)
        {
            _firstStep = report.Step;
            _sinceFirstStep.Start();
        }

        _smoothedLoss = double.IsNaN(_smoothedLoss) ? report.Loss : (0.95 * _smoothedLoss) + (0.05 * report.Loss);
        bool last = report.Step == report.Steps;
        if (!last && _sinceShown.Elapsed < (terminal.IsInteractive ? s_liveInterval : s_lineInterval))
        {
            return;
        }

        _sinceShown.Restart();
        int done = report.Step - _firstStep;

        // Of the first step nobody knows when it began.
        string left = done == 0 ? string.Empty : $"  {Left(_sinceFirstStep.Elapsed / done * (report.Steps - report.Step))} left";
        string figures = string.Create(
            CultureInfo.InvariantCulture,
            $"step {report.Step}/{report.Steps}  loss {_smoothedLoss:F3}  {report.CaptionsPerSecond:F0} captions/s{left}");
        if (terminal.IsInteractive)
        {
            terminal.Live($"{label}  {Bar(report.Step, report.Steps)}  {figures}");
        }
        else
        {
            terminal.Say($"{label}: {figures}");
        }

        if (last)
        {
            terminal.ClearLive();
        }
    }

    public void EvaluationDone(EvaluationReport report)
    {
        IEnumerable<string> languages = report.Languages.Select(
            l => string.Create(CultureInfo.InvariantCulture, $"{l.Language} {100 * l.FromCaption:F0}|{100 * l.ToCaption:F0}"));
        string line = string.Create(
            CultureInfo.InvariantCulture,
            $"{label}: step {report.Step}: validation R@1 of {report.Pool} (caption to picture|picture to caption, %): {string.Join("  ", languages)}");
        if (report.Languages.Count == 0)
        {
            line = $"{label}: step {report.Step}: no validation things, nothing to evaluate";
        }

        if (terminal.IsVerbose || !terminal.IsInteractive)
        {
            terminal.Say(line);
        }
        else
        {
            terminal.Live(line);
        }
    }

    private static string Bar(int step, int steps)
    {
        const int Width = 24;
        int filled = steps == 0 ? Width : (int)((long)Width * step / steps);
        return new string('█', filled) + new string('░', Width - filled);
    }

    private static string Left(TimeSpan left) => left.TotalMinutes >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)left.TotalMinutes} min {left.Seconds:D2} s")
        : string.Create(CultureInfo.InvariantCulture, $"{left.Seconds} s");
}
