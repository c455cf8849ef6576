using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// The contrastive loss with the whole matrix of logits in memory. Rows are captions, columns images and then extra negatives.
/// <para><c>z_ij = s &lt;u_i, v_j&gt; (+ bias)</c>, rows divided by their norm first where asked. A row i with positives P_i (its target, or its
/// group) and participants D_i (all columns; without the other members of its group where masked; without the false negatives)
/// has the loss <c>lse_{D_i}(z) - sum_j q_ij z_ij</c> with <c>q = (1 - e) [j in P_i] / |P_i| + e [j in D_i] / |D_i|</c>; columns
/// likewise over rows. The loss is the mean weighted by row weights; a column weighs the mean of its positives' weights.
/// Sigmoid: <c>sum_ij w_i softplus(-y_ij z_ij) / sum_i w_i</c>.</para>
/// <para>Sources: A. Radford et al. 2021 (CLIP), figure 3; X. Zhai et al. 2023 (SigLIP), algorithm 1; P. Khosla et al. 2020 (SupCon),
/// equation 2; C. Szegedy et al. 2016 (label smoothing), equation 4.</para>
/// In double the reference; in float the naive twin whose error sets the budget.
/// </summary>
public static class SimilarityCrossEntropyReference
{
    public const int IgnoreIndex = -100;

    public static SimilarityCrossEntropyResult<T> Run<T>(SimilarityCrossEntropyProblem<T> x)
        where T : IFloatingPointIeee754<T>
    {
        SimilarityCrossEntropyResult<T> total = new(x.B, x.K, x.X, x.E);
        (int Width, T Weight)[] prefixes = x.Prefixes.Length == 0 ? [(x.E, T.One)] : x.Prefixes;
        foreach ((int width, T weight) in prefixes)
        {
            AddPrefix(x, width, weight, total);
        }

        return total;
    }

    private static void AddPrefix<T>(SimilarityCrossEntropyProblem<T> x, int width, T factor, SimilarityCrossEntropyResult<T> total)
        where T : IFloatingPointIeee754<T>
    {
        int columns = x.K + x.X;
        (T[] u, T[] uNorm) = Rows(x.Captions, x.B, x.E, width, x.Normalize);
        (T[] v, T[] vNorm) = Rows([.. x.Images, .. x.Extra], columns, x.E, width, x.Normalize);
        T[] uOperand = x.Operand is null ? u : Array.ConvertAll(u, x.Operand);
        T[] vOperand = x.Operand is null ? v : Array.ConvertAll(v, x.Operand);
        T half = T.One / T.CreateChecked(2);

        // What float32 takes for the logarithm of the bound decides, in double too.
        bool clamped = x.LogScale && float.CreateTruncating(x.Scale) > MathF.Log(float.CreateTruncating(x.MaxScale));
        T s = !x.LogScale ? x.Scale : clamped ? x.MaxScale : T.Exp(x.Scale);
        T[] dot = new T[x.B * columns];
        T[] z = new T[x.B * columns];
        for (int i = 0; i < x.B; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                T sum = T.Zero;
                for (int e = 0; e < width; e++)
                {
                    sum += uOperand[(i * width) + e] * vOperand[(j * width) + e];
                }

                dot[(i * columns) + j] = sum;
                z[(i * columns) + j] = (s * sum) + x.Bias;
            }
        }

        bool[] positive = new bool[x.B * columns];
        bool[] present = new bool[x.B * columns];
        T[] weight = new T[x.B];
        bool[] counts = new bool[x.B];
        for (int i = 0; i < x.B; i++)
        {
            bool ignored = x.Targets is not null && x.Targets[i] == IgnoreIndex;
            weight[i] = ignored ? T.Zero : x.RowWeights is null ? T.One : x.RowWeights[i];
            counts[i] = !ignored;
            int target = x.Targets is null ? i : x.Targets[i];
            for (int j = 0; j < columns; j++)
            {
                bool sameGroup = x.CaptionGroups is not null && j < x.K && x.CaptionGroups[i] == x.ImageGroups![j];
                bool isPositive = !ignored && (x.SharedGroups ? sameGroup : j == target);
                positive[(i * columns) + j] = isPositive;
                present[(i * columns) + j] = isPositive || x.SharedGroups || !sameGroup;
            }
        }

        T[] g = new T[x.B * columns];
        T loss = T.Zero;
        Array.Clear(total.RowLoss);
        Array.Clear(total.ColumnLoss);
        if (x.Sigmoid)
        {
            T divisor = Divisor(weight, counts, x);
            for (int i = 0; i < x.B; i++)
            {
                for (int j = 0; j < columns; j++)
                {
                    int at = (i * columns) + j;
                    if (present[at])
                    {
                        T y = positive[at] ? T.One : -T.One;
                        total.RowLoss[i] += weight[i] > T.Zero ? Softplus(-y * z[at]) : T.Zero;
                        g[at] = -y * weight[i] * divisor / (T.One + T.Exp(y * z[at]));
                    }
                }

                loss += weight[i] * divisor * total.RowLoss[i];
            }
        }
        else
        {
            T share = x.Rows && x.Columns ? half : T.One;
            if (x.Rows)
            {
                loss += Softmax(x, new Side(x.B, columns, columns, 1), z, dot, positive, present, weight, share, g, total.RowLoss);
            }

            if (x.Columns)
            {
                T[] columnWeight = new T[columns];
                for (int j = 0; j < columns; j++)
                {
                    T sum = T.Zero;
                    int count = 0;
                    for (int i = 0; i < x.B; i++)
                    {
                        if (positive[(i * columns) + j])
                        {
                            sum += weight[i];
                            count++;
                        }
                    }

                    columnWeight[j] = count == 0 ? T.Zero : sum / T.CreateChecked(count);
                }

                T[] columnLoss = new T[columns];
                loss += Softmax(x, new Side(columns, x.B, 1, columns), z, dot, positive, present, columnWeight, share, g, columnLoss);
                columnLoss.AsSpan(0, x.K).CopyTo(total.ColumnLoss);
            }
        }

        total.Loss += factor * loss;
        T[] du = new T[x.B * width];
        T[] dv = new T[columns * width];
        T dScale = T.Zero;
        for (int i = 0; i < x.B; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                T gradient = factor * g[(i * columns) + j];
                dScale += gradient * dot[(i * columns) + j];
                total.DBias += gradient;
                T operand = x.Operand is null ? gradient : x.Operand(gradient);
                for (int e = 0; e < width; e++)
                {
                    du[(i * width) + e] += s * operand * vOperand[(j * width) + e];
                    dv[(j * width) + e] += s * operand * uOperand[(i * width) + e];
                }
            }
        }

        total.DScale += !x.LogScale ? dScale : clamped ? T.Zero : dScale * s;
        AddRows(total.DCaptions, du, u, uNorm, 0, x.B, x.E, width, x.Normalize);
        AddRows(total.DImages, dv, v, vNorm, 0, x.K, x.E, width, x.Normalize);
        AddRows(total.DExtra, dv, v, vNorm, x.K, x.X, x.E, width, x.Normalize);
    }

    private readonly record struct Side(int Count, int Others, int Stride, int OtherStride);

    private static T Softmax<T>(
        SimilarityCrossEntropyProblem<T> x, Side side, T[] z, T[] dot, bool[] positive, bool[] present, T[] sideWeight, T share, T[] g, T[] losses)
        where T : IFloatingPointIeee754<T>
    {
        T[] w = new T[side.Count];
        bool[] counts = new bool[side.Count];
        bool[][] takesPart = new bool[side.Count][];
        for (int i = 0; i < side.Count; i++)
        {
            T best = T.NegativeInfinity;
            bool any = false;
            for (int j = 0; j < side.Others; j++)
            {
                int at = (i * side.Stride) + (j * side.OtherStride);
                any |= positive[at];
                best = positive[at] && dot[at] > best ? dot[at] : best;
            }

            counts[i] = any;
            w[i] = any ? sideWeight[i] : T.Zero;
            takesPart[i] = new bool[side.Others];
            for (int j = 0; j < side.Others; j++)
            {
                int at = (i * side.Stride) + (j * side.OtherStride);
                bool falseNegative = any && dot[at] > best + x.FalseNegativeMargin;
                takesPart[i][j] = present[at] && (positive[at] || !falseNegative);
            }
        }

        T divisor = Divisor(w, counts, x);
        T loss = T.Zero;
        for (int i = 0; i < side.Count; i++)
        {
            if (!(w[i] > T.Zero))
            {
                continue;
            }

            T max = T.NegativeInfinity;
            int members = 0;
            int positives = 0;
            for (int j = 0; j < side.Others; j++)
            {
                int at = (i * side.Stride) + (j * side.OtherStride);
                if (takesPart[i][j])
                {
                    max = T.Max(max, z[at]);
                    members++;
                }

                positives += positive[at] ? 1 : 0;
            }

            T sum = T.Zero;
            for (int j = 0; j < side.Others; j++)
            {
                sum += takesPart[i][j] ? T.Exp(z[(i * side.Stride) + (j * side.OtherStride)] - max) : T.Zero;
            }

            losses[i] = max + T.Log(sum);
            for (int j = 0; j < side.Others; j++)
            {
                int at = (i * side.Stride) + (j * side.OtherStride);
                if (takesPart[i][j])
                {
                    T q = x.LabelSmoothing / T.CreateChecked(members);
                    q += positive[at] ? (T.One - x.LabelSmoothing) / T.CreateChecked(positives) : T.Zero;
                    losses[i] -= q * z[at];
                    g[at] += share * w[i] * divisor * ((T.Exp(z[at] - max) / sum) - q);
                }
            }

            loss += share * w[i] * divisor * losses[i];
        }

        return loss;
    }

    /// <summary>1 / sum of the weights, or 1 / number of what counts; 0 where nothing does.</summary>
    private static T Divisor<T>(T[] weights, bool[] counts, SimilarityCrossEntropyProblem<T> x)
        where T : IFloatingPointIeee754<T>
    {
        T sum = T.Zero;
        for (int i = 0; i < weights.Length; i++)
        {
            sum += !counts[i] ? T.Zero : x.DivideByRowCount ? T.One : weights[i];
        }

        return sum > T.Zero ? T.One / sum : T.Zero;
    }

    private static (T[] Rows, T[] Norm) Rows<T>(T[] source, int count, int stride, int width, bool normalize)
        where T : IFloatingPointIeee754<T>
    {
        T[] rows = new T[count * width];
        T[] norms = new T[count];
        for (int i = 0; i < count; i++)
        {
            T squares = T.Zero;
            for (int e = 0; e < width; e++)
            {
                squares += source[(i * stride) + e] * source[(i * stride) + e];
            }

            norms[i] = normalize ? T.Max(T.Sqrt(squares), T.CreateChecked(1e-12)) : T.One;
            for (int e = 0; e < width; e++)
            {
                rows[(i * width) + e] = source[(i * stride) + e] / norms[i];
            }
        }

        return (rows, norms);
    }

    private static void AddRows<T>(T[] destination, T[] gradient, T[] unit, T[] norm, int first, int count, int stride, int width, bool normalize)
        where T : IFloatingPointIeee754<T>
    {
        for (int i = 0; i < count; i++)
        {
            T inner = T.Zero;
            for (int e = 0; e < width; e++)
            {
                inner += gradient[((first + i) * width) + e] * unit[((first + i) * width) + e];
            }

            inner = normalize && norm[first + i] > T.CreateChecked(1e-12) ? inner : T.Zero;
            for (int e = 0; e < width; e++)
            {
                destination[(i * stride) + e] += (gradient[((first + i) * width) + e] - (inner * unit[((first + i) * width) + e])) / norm[first + i];
            }
        }
    }

    private static T Softplus<T>(T value)
        where T : IFloatingPointIeee754<T> => T.Max(value, T.Zero) + T.LogP1(T.Exp(-T.Abs(value)));
}
