using System.Globalization;
using System.Text.Json;

namespace CrossAlign.Models.Training.Recording;

/// <summary>What a run says of itself as it goes: <c>metrics.jsonl</c>, the event file, and whoever watches.</summary>
internal sealed class RunJournal : IDisposable
{
    private readonly MetricsLog _metrics;
    private readonly EventFile _events;
    private readonly ITrainingObserver _observer;

    /// <summary>Opens the files.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="step">The step that the run goes on from: later lines of the metrics are cut off.</param>
    /// <param name="observer">Hears of each record.</param>
    public RunJournal(RunFolder folder, int step, ITrainingObserver observer)
    {
        _observer = observer;
        _metrics = new MetricsLog(folder.MetricsPath, step);
        if (_metrics.LastKeptStep < step)
        {
            observer.Alarm(string.Create(
                CultureInfo.InvariantCulture,
                $"'{folder.MetricsPath}' was damaged behind step {_metrics.LastKeptStep} and lacks the steps up to {step}; what it held is in '{Path.GetFileName(folder.MetricsPath)}{MetricsLog.DamagedSuffix}'"));
        }

        _events = new EventFile(folder.FullPath, TimeProvider.System);
    }

    /// <summary>Records a step.</summary>
    /// <param name="report">Its figures.</param>
    public void Record(in StepReport report)
    {
        StepReport r = report;
        _metrics.Append(w => WriteStep(w, r));
        _events.Add("train/loss", r.Step, r.Loss);
        _events.Add("train/gradient_norm", r.Step, r.GradientNorm);
        _events.Add("train/learning_rate", r.Step, r.LearningRate);
        _events.Add("train/logit_scale", r.Step, r.LogitScale);
        if (r.LogitBias is double bias)
        {
            _events.Add("train/logit_bias", r.Step, bias);
        }

        _observer.StepDone(r);
    }

    /// <summary>Records an evaluation.</summary>
    /// <param name="evaluation">Its figures.</param>
    public void Record(EvaluationReport evaluation)
    {
        _metrics.Append(w =>
        {
            w.WriteNumber("step", evaluation.Step);
            w.WriteStartObject("validation");
            w.WriteNumber("pool", evaluation.Pool);
            w.WriteNumber("mean", evaluation.Mean);
            foreach (LanguageRecall language in evaluation.Languages)
            {
                w.WriteStartObject(language.Language);
                w.WriteNumber("fromCaption", language.FromCaption);
                w.WriteNumber("toCaption", language.ToCaption);
                w.WriteEndObject();
            }

            w.WriteEndObject();
        });
        _events.Add("validation/r1_mean", evaluation.Step, evaluation.Mean);
        foreach (LanguageRecall language in evaluation.Languages)
        {
            _events.Add($"validation/r1_from_{language.Language}", evaluation.Step, language.FromCaption);
            _events.Add($"validation/r1_to_{language.Language}", evaluation.Step, language.ToCaption);
        }

        _observer.EvaluationDone(evaluation);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _events.Dispose();
        _metrics.Dispose();
    }

    private static void WriteStep(Utf8JsonWriter w, in StepReport r)
    {
        w.WriteNumber("step", r.Step);
        WriteFinite(w, "loss", r.Loss);
        WriteFinite(w, "gradientNorm", r.GradientNorm);
        w.WriteNumber("learningRate", r.LearningRate);
        WriteFinite(w, "logitScale", r.LogitScale);
        if (r.LogitBias is double bias)
        {
            WriteFinite(w, "logitBias", bias);
        }

        w.WriteNumber("tokens", r.Tokens);
        w.WriteNumber("captionsPerSecond", Math.Round(r.CaptionsPerSecond, 1));
        w.WriteString("time", DateTimeOffset.UtcNow);
    }

    // JSON has no NaN: a value that is not finite is written as text, so that it is seen.
    private static void WriteFinite(Utf8JsonWriter w, string name, double value)
    {
        if (double.IsFinite(value))
        {
            w.WriteNumber(name, value);
        }
        else
        {
            w.WriteString(name, value.ToString(CultureInfo.InvariantCulture));
        }
    }
}
