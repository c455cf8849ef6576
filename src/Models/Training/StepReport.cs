namespace CrossAlign.Models.Training;

/// <summary>The figures of one training step.</summary>
/// <param name="Step">The step, from 1.</param>
/// <param name="Steps">Steps of the run.</param>
/// <param name="Loss">Mean loss over the captions drawn.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="LearningRate">The common learning rate.</param>
/// <param name="LogitScale">The multiplier of similarities after the step.</param>
/// <param name="Tokens">Tokens of the step.</param>
/// <param name="CaptionsPerSecond">Captions a second, since the run was started or resumed, evaluations apart.</param>
public readonly record struct StepReport(
    int Step, int Steps, double Loss, double GradientNorm, double LearningRate, double LogitScale, int Tokens, double CaptionsPerSecond)
{
    /// <summary>What a sigmoid loss adds to every similarity, after the step; null for the softmax losses.</summary>
    public double? LogitBias { get; init; }
}
