using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>The factor of the highest learning rate at each step.</summary>
/// <param name="config">Warm-up, shape and end.</param>
/// <param name="steps">Steps of the run.</param>
/// <param name="stepsPerEpoch">Steps an epoch; only <see cref="ScheduleShape.EpochLinear"/> needs it.</param>
public sealed class LearningRateSchedule(ScheduleConfig config, int steps, int stepsPerEpoch)
{
    private readonly int _warmupSteps = (int)Math.Ceiling(config.Warmup * steps);

    /// <summary>The factor at a step: rises as step / warm-up steps, then falls to <see cref="ScheduleConfig.End"/> at the last step.</summary>
    /// <param name="step">1 to the number of steps.</param>
    /// <returns>0 to 1.</returns>
    public double Factor(int step)
    {
        if (step <= _warmupSteps)
        {
            return (double)step / _warmupSteps;
        }

        double progress = steps == _warmupSteps ? 1 : (double)(step - _warmupSteps) / (steps - _warmupSteps);
        double falling = config.Shape switch
        {
            ScheduleShape.Cosine => 0.5 * (1 + Math.Cos(Math.PI * progress)),
            ScheduleShape.Linear => 1 - progress,
            ScheduleShape.EpochLinear => 1 - ((double)((step - 1) / stepsPerEpoch * stepsPerEpoch) / steps),
            _ => 1,
        };
        return config.End + ((1 - config.End) * falling);
    }
}
