using System.Numerics;
using System.Runtime.InteropServices;

namespace CrossAlign.Models.Profiling;

/// <content>The matrix of gradients, a row at a time; the sigmoid's loss on the way.</content>
internal sealed partial class NaiveSweeps
{
    private void Gradient(int row, float ofRow, float ofColumns)
    {
        Span<float> gradient = Row(_gradients, row);
        ReadOnlySpan<float> logits = Row(_logits, row);
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Span<Vector<float>> destination = MemoryMarshal.Cast<float, Vector<float>>(gradient);
        float e = _options.LabelSmoothing;
        float factor = ofRow == 0 ? 0 : ofRow / _row.Sum[row];
        float smoothing = ofRow == 0 || e == 0 ? 0 : ofRow * e / _row.Participants[row];
        for (int i = 0; i < vectors.Length; i++)
        {
            int column = i * Vector<float>.Count;
            Vector<float> g = Vector<float>.Zero;
            if (ofRow != 0)
            {
                Vector<float> z = Keep(vectors[i], new Vector<float>(_row.Threshold[row]));
                g += factor * Vector.Exp(z - new Vector<float>(_row.Max[row]));
                g -= e == 0 ? Vector<float>.Zero : IfTakesPart(z, new Vector<float>(smoothing));
            }

            if (ofColumns != 0)
            {
                Vector<float> z = Keep(vectors[i], new Vector<float>(_column.Threshold, column));
                g += ofColumns * Vector.Exp(z - new Vector<float>(_column.Max, column)) / new Vector<float>(_column.Sum, column);
                g -= e == 0 ? Vector<float>.Zero : IfTakesPart(z, new Vector<float>(ofColumns * e) / new Vector<float>(_column.Participants, column));
            }

            destination[i] = g;
        }

        for (int i = vectors.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            gradient[i] = Term(_row, row, logits[i], ofRow) + Term(_column, i, logits[i], ofColumns);
        }

        foreach (int j in _positives[row])
        {
            gradient[j] -= (1 - e) * ((ofRow / _positives[row].Length) + (ofColumns / _positives[j].Length));
        }
    }

    // What a threshold leaves; without a margin there is nothing to compare.
    private Vector<float> Keep(Vector<float> logits, Vector<float> threshold) => _options.FalseNegativeMargin is null
        ? logits
        : Vector.ConditionalSelect(Vector.GreaterThan(logits, threshold), new Vector<float>(float.NegativeInfinity), logits);

    private float Term(NaiveStatistics of, int line, float logit, float share)
    {
        if (share == 0 || float.IsNegativeInfinity(logit) || logit > of.Threshold[line])
        {
            return 0;
        }

        float g = share * MathF.Exp(logit - of.Max[line]) / of.Sum[line];
        return _options.LabelSmoothing == 0 ? g : g - (share * _options.LabelSmoothing / of.Participants[line]);
    }

    private double Sigmoid(float bias, float weight)
    {
        float share = weight / _rows;
        return share * Sum(i =>
        {
            ReadOnlySpan<float> logits = Row(_logits, i);
            Span<float> gradient = Row(_gradients, i);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            Span<Vector<float>> destination = MemoryMarshal.Cast<float, Vector<float>>(gradient);
            Vector<float> losses = Vector<float>.Zero;
            for (int j = 0; j < vectors.Length; j++)
            {
                // softplus(x) = max(x, 0) + log(1 + exp(-|x|)), sigmoid(x) = 1 / (1 + exp(-x)).
                Vector<float> x = vectors[j] + new Vector<float>(bias);
                losses += Vector.Max(x, Vector<float>.Zero) + Vector.Log(Vector<float>.One + Vector.Exp(-Vector.Abs(x)));
                destination[j] = share * Vector<float>.One / (Vector<float>.One + Vector.Exp(-x));
            }

            double loss = Vector.Sum(losses);
            for (int j = vectors.Length * Vector<float>.Count; j < logits.Length; j++)
            {
                float x = logits[j] + bias;
                loss += MathF.Max(x, 0) + MathF.Log(1 + MathF.Exp(-MathF.Abs(x)));
                gradient[j] = share / (1 + MathF.Exp(-x));
            }

            // A positive: softplus(-x) = softplus(x) - x.
            foreach (int j in _positives[i])
            {
                loss -= logits[j] + bias;
                gradient[j] -= share;
            }

            return loss;
        });
    }
}
