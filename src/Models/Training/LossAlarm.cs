using System.Globalization;

namespace CrossAlign.Models.Training;

/// <summary>
/// Watches the loss: a value that is not finite, or one stuck at the loss of guessing (see <see cref="LossOptions.GuessingLoss"/>), is said rather
/// than trained on quietly.
/// </summary>
/// <param name="guessingLoss">The loss of towers that know nothing.</param>
/// <param name="patience">Steps after the warm-up for which the loss may stay there.</param>
/// <param name="warmupSteps">Steps that are not judged.</param>
public sealed class LossAlarm(double guessingLoss, int patience, int warmupSteps)
{
    private int _stuck;

    /// <summary>Looks at one step's loss.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="loss">Its loss.</param>
    /// <returns>What is wrong and what to do, once, or null.</returns>
    public string? Look(int step, double loss)
    {
        if (!double.IsFinite(loss))
        {
            return string.Create(CultureInfo.InvariantCulture, $"the loss of step {step} is {loss}: lower optimizer.learningRate or set optimizer.clip");
        }

        // Within 2 % of guessing.
        _stuck = step > warmupSteps && loss > 0.98 * guessingLoss ? _stuck + 1 : 0;
        return _stuck == patience
            ? string.Create(CultureInfo.InvariantCulture, $"the loss has stayed at {guessingLoss:F3} (guessing) for {patience} steps: nothing is learned; check that captions belong to their pictures, or change optimizer.learningRate")
            : null;
    }
}
