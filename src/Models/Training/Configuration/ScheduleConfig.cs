using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The learning rate over time, as a factor of the highest.</summary>
public sealed record ScheduleConfig
{
    /// <summary>Share of the steps over which the rate rises linearly.</summary>
    [Description("Share of the steps over which the rate rises linearly.")]
    [Bounds(0, 1)]
    public double Warmup { get; init; } = 0.1;

    /// <summary>How it falls afterwards.</summary>
    [Description("How it falls afterwards: cosine, linear, epoch-linear (the paper's code: constant within an epoch) or constant.")]
    public ScheduleShape Shape { get; init; } = ScheduleShape.Cosine;

    /// <summary>Epochs at the start in which both towers stand still and only heads and scale learn; the paper's code: 0.5.</summary>
    [Description("Epochs at the start in which both towers stand still and only heads and scale learn (the paper's code: 0.5).")]
    [Bounds(0, Remedy = "give 0 for none")]
    public double HeadsOnlyEpochs { get; init; }

    /// <summary>
    /// Steps at the start in which the text tower stands still while the rest learns. Its vectors are computed once then, so that these
    /// steps cost little; afterwards it has the schedule for itself, warm-up included, over the steps that are left.
    /// </summary>
    [Description("Steps at the start in which the text tower stands still while the rest learns (its vectors are computed once); its own warm-up and fall begin behind them.")]
    [Bounds(0, Remedy = "give 0 for none")]
    public int TextFrozenSteps { get; init; }

    /// <summary>The factor at the end.</summary>
    [Description("The factor at the end.")]
    [Bounds(0, 1)]
    public double End { get; init; }
}
