using System.Text.Json;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Experiments;

/// <summary>Reads the learning curves of a run back from its <c>metrics.jsonl</c>.</summary>
internal static class RunCurves
{
    // More points than a plot has pixels are of no use.
    private const int PointsAtMost = 240;

    /// <summary>Reads the curves.</summary>
    /// <param name="run">The run.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="name">What the figures call its set-up.</param>
    /// <returns>The training loss, averaged over equal stretches, and the mean R@1 on the validation concepts.</returns>
    public static LearningCurve Read(RunFolder run, RunConfig config, string name)
    {
        List<CurvePoint> loss = [];
        List<CurvePoint> recall = [];
        int stretch = Math.Max(1, (config.Steps + PointsAtMost - 1) / PointsAtMost);
        double sum = 0;
        int count = 0;
        foreach (string line in File.Exists(run.MetricsPath) ? File.ReadLines(run.MetricsPath) : [])
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            int step = root.GetProperty("step").GetInt32();
            if (root.TryGetProperty("validation", out JsonElement validation))
            {
                recall.Add(new CurvePoint(step, validation.GetProperty("mean").GetDouble()));
            }
            else if (root.GetProperty("loss") is { ValueKind: JsonValueKind.Number } value)
            {
                sum += value.GetDouble();
                count++;
                if (step % stretch == 0 || step == config.Steps)
                {
                    loss.Add(new CurvePoint(step, sum / count));
                    sum = 0;
                    count = 0;
                }
            }
        }

        return new LearningCurve(name, config.Seed, loss, recall);
    }
}
