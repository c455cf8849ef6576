namespace CrossAlign.Models.Evaluation;

/// <summary>The mean cross-entropy of few classes.</summary>
internal static class SoftmaxLoss
{
    /// <summary>Computes the loss and its gradient, in double from float32 logits.</summary>
    /// <param name="logits">(n, classes) values.</param>
    /// <param name="labels">n labels.</param>
    /// <param name="classes">The number of classes.</param>
    /// <param name="doubleSoftmax">Whether softmax comes before the cross-entropy, which applies it again.</param>
    /// <param name="dLogits">(n, classes), overwritten.</param>
    /// <returns>The mean loss; NaN for no rows.</returns>
    internal static double Compute(
        ReadOnlySpan<float> logits, IReadOnlyList<int> labels, int classes, bool doubleSoftmax, Span<float> dLogits)
    {
        int n = labels.Count;
        double[] p = new double[classes];
        double[] q = new double[classes];
        double loss = 0;
        for (int i = 0; i < n; i++)
        {
            for (int c = 0; c < classes; c++)
            {
                p[c] = logits[(i * classes) + c];
            }

            double lse = Softmax(p, out double own, labels[i]);
            if (!doubleSoftmax)
            {
                loss += lse - own;
                for (int c = 0; c < classes; c++)
                {
                    dLogits[(i * classes) + c] = (float)((p[c] - (c == labels[i] ? 1 : 0)) / n);
                }

                continue;
            }

            p.CopyTo(q, 0);
            lse = Softmax(q, out own, labels[i]);
            loss += lse - own;
            double inner = 0;
            for (int c = 0; c < classes; c++)
            {
                q[c] = (q[c] - (c == labels[i] ? 1 : 0)) / n;
                inner += q[c] * p[c];
            }

            for (int c = 0; c < classes; c++)
            {
                dLogits[(i * classes) + c] = (float)(p[c] * (q[c] - inner));
            }
        }

        return n == 0 ? double.NaN : loss / n;
    }

    // Replaces logits by probabilities; gives their log-sum-exp and the logit of the label.
    private static double Softmax(double[] values, out double own, int label)
    {
        own = values[label];
        double max = values.Max();
        double sum = 0;
        for (int c = 0; c < values.Length; c++)
        {
            values[c] = Math.Exp(values[c] - max);
            sum += values[c];
        }

        for (int c = 0; c < values.Length; c++)
        {
            values[c] /= sum;
        }

        return max + Math.Log(sum);
    }
}
