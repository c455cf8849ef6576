using System.Globalization;

namespace CrossAlign.Models.Training;

/// <summary>
/// Watches the loss and the norm of its gradient: a value that is not finite, or a loss stuck at that of guessing (see
/// <see cref="LossOptions.GuessingLoss"/>), is said rather than trained on quietly.
/// </summary>
/// <param name="guessingLoss">The loss of towers that know nothing.</param>
/// <param name="patience">Steps after the warm-up for which the loss may stay there.</param>
/// <param name="warmupSteps">Steps that are not judged.</param>
public sealed class LossAlarm(double guessingLoss, int patience, int warmupSteps)
{
    private const string Skipped = "no weight was changed";

    private int _stuck;

    /// <summary>Looks at one step's loss and gradient.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="loss">Its loss.</param>
    /// <param name="gradientNorm">The norm of all its gradients: where it is not finite the step has changed no weight.</param>
    /// <returns>What is wrong and what to do, once for a loss that is stuck, each time for what is not finite, or null.</returns>
    public string? Look(int step, double loss, double gradientNorm)
    {
        if (!double.IsFinite(loss))
        {
            string skipped = double.IsFinite(gradientNorm) ? string.Empty : $", and so is its gradient: {Skipped}";
            return string.Create(CultureInfo.InvariantCulture, $"the loss of step {step} is {loss}{skipped}; lower optimizer.learningRate or set optimizer.clip");
        }

        if (!double.IsFinite(gradientNorm))
        {
            return string.Create(
                CultureInfo.InvariantCulture,
                $"the gradient of step {step} has the norm {gradientNorm}, though its loss is {loss:G4}: {Skipped}; look for extreme inputs of its batch, lower optimizer.learningRate, or set precision to f32");
        }

        // Within 2 % of guessing.
        _stuck = step > warmupSteps && loss > 0.98 * guessingLoss ? _stuck + 1 : 0;
        return _stuck == patience
            ? string.Create(CultureInfo.InvariantCulture, $"the loss has stayed at {guessingLoss:F3} (guessing) for {patience} steps: nothing is learned; check that captions belong to their pictures, or change optimizer.learningRate")
            : null;
    }
}
