namespace CrossAlign.Models.Training;

/// <summary>What a step has measured, on the host.</summary>
/// <param name="Loss">The mean over all losses of the step.</param>
/// <param name="GradientNorm">Of all gradients, before clipping; not finite where a gradient was not.</param>
/// <param name="Scale">The learned multiplier of similarities after the step, or its logarithm, as the model keeps it.</param>
internal readonly record struct StepFigures(double Loss, double GradientNorm, double Scale)
{
    /// <summary>What is added to every similarity after the step; null for the softmax losses.</summary>
    public double? LogitBias { get; init; }
}
