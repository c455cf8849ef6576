using System.Numerics;
using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>What the naive loss does with its matrix of logits: masks, statistics, and the matrix of gradients.</summary>
internal sealed partial class NaiveSweeps
{
    // Columns that one thread sweeps down at a time: their statistics stay in the first-level cache.
    private const int ColumnBlock = 512;

    // As in the fused loss: a negative that equals its positive but for rounding is not dropped.
    private const float Slack = 1e-6f;

    private readonly SimilarityCrossEntropyOptions _options;
    private readonly Tensor _logits;
    private readonly Tensor _gradients;
    private readonly ParallelOptions _threads;
    private readonly int _rows;
    private readonly bool _masksGroups;
    private readonly bool _sharesGroups;
    private readonly NaiveStatistics _row;
    private readonly NaiveStatistics _column;
    private int[] _groups = [];
    private int[][] _positives = [];

    /// <summary>Takes the arrays of statistics.</summary>
    /// <param name="options">Which loss.</param>
    /// <param name="logits">(B, B).</param>
    /// <param name="gradients">(B, B).</param>
    /// <param name="threads">Threads that sweep.</param>
    public NaiveSweeps(SimilarityCrossEntropyOptions options, in Tensor logits, in Tensor gradients, int threads)
    {
        _options = options;
        _logits = logits;
        _gradients = gradients;
        _threads = new ParallelOptions { MaxDegreeOfParallelism = threads };
        _rows = logits.Shape[0];
        _masksGroups = options.Groups == SimilarityCrossEntropyGroups.Masked;
        _sharesGroups = options.Groups == SimilarityCrossEntropyGroups.Shared;
        _row = new NaiveStatistics(_rows);
        _column = new NaiveStatistics(_rows);
    }

    /// <summary>Says which rows, and columns, belong together.</summary>
    /// <param name="groups">(B), the same for both sides; empty for none.</param>
    public void SetGroups(int[] groups)
    {
        _groups = groups;
        if (_sharesGroups)
        {
            Dictionary<int, int[]> members = Enumerable.Range(0, _rows).GroupBy(i => groups[i]).ToDictionary(g => g.Key, g => g.ToArray());
            _positives = Array.ConvertAll(groups, g => members[g]);
        }
        else if (_positives.Length == 0)
        {
            _positives = [.. Enumerable.Range(0, _rows).Select(i => new[] { i })];
        }
    }

    /// <summary>The loss; the gradients of the logits are left in their matrix.</summary>
    /// <param name="scale">What the similarities were multiplied with.</param>
    /// <param name="bias">Of the sigmoid.</param>
    /// <param name="weight">Of the prefix.</param>
    /// <returns>The loss, weighted.</returns>
    public double Run(float scale, float bias, float weight)
    {
        if (_masksGroups)
        {
            ForRows(MaskGroup);
        }

        return _options.Objective == SimilarityCrossEntropyObjective.Sigmoid ? Sigmoid(bias, weight) : Softmax(scale, weight);
    }

    /// <summary>The sum of gradients times logits, without those that are masked.</summary>
    public double SumOfProducts() => Sum(i => Dot(Row(_gradients, i), Row(_logits, i)));

    private static Span<float> Row(in Tensor matrix, int row) => matrix.Rows(row, 1).AsSpan<float>();

    private static float Dot(ReadOnlySpan<float> gradients, ReadOnlySpan<float> logits)
    {
        ReadOnlySpan<Vector<float>> left = MemoryMarshal.Cast<float, Vector<float>>(gradients);
        ReadOnlySpan<Vector<float>> right = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < left.Length; i++)
        {
            sums += left[i] * Vector.ConditionalSelect(Vector.Equals(right[i], new Vector<float>(float.NegativeInfinity)), Vector<float>.Zero, right[i]);
        }

        float sum = Vector.Sum(sums);
        for (int i = left.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            sum += float.IsNegativeInfinity(logits[i]) ? 0 : gradients[i] * logits[i];
        }

        return sum;
    }

    private void ForRows(Action<int> row) => Parallel.For(0, _rows, _threads, row);

    private double Sum(Func<int, double> term)
    {
        double[] terms = new double[_rows];
        ForRows(i => terms[i] = term(i));
        return terms.Sum();
    }

    // Members of the row's group other than its own column take no part.
    private void MaskGroup(int row)
    {
        Span<float> logits = Row(_logits, row);
        float own = logits[row];
        Span<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        ReadOnlySpan<Vector<int>> groups = MemoryMarshal.Cast<int, Vector<int>>(_groups);
        Vector<int> group = new(_groups[row]);
        for (int i = 0; i < vectors.Length; i++)
        {
            vectors[i] = Vector.ConditionalSelect(Vector.Equals(groups[i], group), new Vector<float>(float.NegativeInfinity), vectors[i]);
        }

        for (int i = vectors.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            logits[i] = _groups[i] == _groups[row] ? float.NegativeInfinity : logits[i];
        }

        logits[row] = own;
    }

    private double Softmax(float scale, float weight)
    {
        bool rows = _options.Direction != SimilarityCrossEntropyDirection.ImageToCaption;
        bool columns = _options.Direction != SimilarityCrossEntropyDirection.CaptionToImage;
        float share = weight * (rows && columns ? 0.5f : 1) / _rows;
        Tensor ofRows = _logits;
        Tensor ofColumns = _logits;
        if (_options.FalseNegativeMargin is float margin)
        {
            // The matrix of gradients holds what is left of the logits, of rows and then of columns.
            for (int i = 0; i < _rows; i++)
            {
                float positive = Row(_logits, i)[i];
                float slack = Slack * (_options.Normalize ? MathF.Abs(scale) : MathF.Abs(positive));
                _row.Threshold[i] = _column.Threshold[i] = positive + (margin * scale) + slack;
            }

            ofRows = ofColumns = _gradients;
        }

        if (rows)
        {
            ForRows(i =>
            {
                if (_options.FalseNegativeMargin is not null)
                {
                    DropAbove(Row(_logits, i), Row(_gradients, i), [_row.Threshold[i]]);
                }

                RowStatistics(Row(ofRows, i), i);
            });
        }

        if (columns)
        {
            if (_options.FalseNegativeMargin is not null)
            {
                ForRows(i => DropAbove(Row(_logits, i), Row(_gradients, i), _column.Threshold));
            }

            Parallel.For(0, (_rows + ColumnBlock - 1) / ColumnBlock, _threads, block => ColumnStatistics(ofColumns, block));
        }

        double loss = (rows ? Losses(_row, share) : 0) + (columns ? Losses(_column, share) : 0);
        ForRows(i => Gradient(i, rows ? share : 0, columns ? share : 0));
        return loss;
    }

    // Rows and columns alike: the groups of both sides are the same.
    private double Losses(NaiveStatistics of, float share)
    {
        float e = _options.LabelSmoothing;
        double loss = 0;
        for (int i = 0; i < _rows; i++)
        {
            double positive = 0;
            foreach (int j in _positives[i])
            {
                positive += ReferenceEquals(of, _row) ? Row(_logits, i)[j] : Row(_logits, j)[i];
            }

            loss += share * (of.Max[i] + Math.Log(of.Sum[i]) - ((1 - e) * positive / _positives[i].Length));
            loss -= e == 0 ? 0 : share * e * of.Logits[i] / of.Participants[i];
        }

        return loss;
    }

    // One threshold for all, or one a column.
    private static void DropAbove(ReadOnlySpan<float> logits, Span<float> kept, ReadOnlySpan<float> thresholds)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Span<Vector<float>> destination = MemoryMarshal.Cast<float, Vector<float>>(kept);
        ReadOnlySpan<Vector<float>> limits = MemoryMarshal.Cast<float, Vector<float>>(thresholds);
        for (int i = 0; i < vectors.Length; i++)
        {
            Vector<float> limit = thresholds.Length == 1 ? new Vector<float>(thresholds[0]) : limits[i];
            destination[i] = Vector.ConditionalSelect(Vector.GreaterThan(vectors[i], limit), new Vector<float>(float.NegativeInfinity), vectors[i]);
        }

        for (int i = vectors.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            kept[i] = logits[i] > thresholds[thresholds.Length == 1 ? 0 : i] ? float.NegativeInfinity : logits[i];
        }
    }

    private void RowStatistics(ReadOnlySpan<float> logits, int row)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        int whole = vectors.Length * Vector<float>.Count;
        Vector<float> maxima = new(float.NegativeInfinity);
        for (int i = 0; i < vectors.Length; i++)
        {
            maxima = Vector.Max(maxima, vectors[i]);
        }

        float max = float.NegativeInfinity;
        for (int i = 0; i < Vector<float>.Count; i++)
        {
            max = MathF.Max(max, maxima[i]);
        }

        for (int i = whole; i < logits.Length; i++)
        {
            max = MathF.Max(max, logits[i]);
        }

        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < vectors.Length; i++)
        {
            sums += Vector.Exp(vectors[i] - new Vector<float>(max));
        }

        float sum = Vector.Sum(sums);
        for (int i = whole; i < logits.Length; i++)
        {
            sum += MathF.Exp(logits[i] - max);
        }

        _row.Max[row] = max;
        _row.Sum[row] = sum;
        if (_options.LabelSmoothing > 0)
        {
            CountParticipants(logits, row);
        }
    }

    private void CountParticipants(ReadOnlySpan<float> logits, int row)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Vector<float> totals = Vector<float>.Zero;
        Vector<float> counts = Vector<float>.Zero;
        for (int i = 0; i < vectors.Length; i++)
        {
            totals += IfTakesPart(vectors[i], vectors[i]);
            counts += IfTakesPart(vectors[i], Vector<float>.One);
        }

        float total = Vector.Sum(totals);
        float count = Vector.Sum(counts);
        for (int i = vectors.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            total += IfTakesPart(logits[i], logits[i]);
            count += IfTakesPart(logits[i], 1);
        }

        _row.Logits[row] = total;
        _row.Participants[row] = count;
    }

    private static Vector<float> IfTakesPart(Vector<float> logits, Vector<float> values) =>
        Vector.ConditionalSelect(Vector.Equals(logits, new Vector<float>(float.NegativeInfinity)), Vector<float>.Zero, values);

    private static float IfTakesPart(float logit, float value) => float.IsNegativeInfinity(logit) ? 0 : value;

    private void ColumnStatistics(in Tensor matrix, int block)
    {
        int start = block * ColumnBlock;
        int count = Math.Min(ColumnBlock, _rows - start);
        Span<float> max = _column.Max.AsSpan(start, count);
        Span<float> sum = _column.Sum.AsSpan(start, count);
        max.Fill(float.NegativeInfinity);
        sum.Clear();
        Span<Vector<float>> maxima = MemoryMarshal.Cast<float, Vector<float>>(max);
        Span<Vector<float>> sums = MemoryMarshal.Cast<float, Vector<float>>(sum);
        int whole = maxima.Length * Vector<float>.Count;
        for (int i = 0; i < _rows; i++)
        {
            ReadOnlySpan<float> logits = Row(matrix, i).Slice(start, count);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            for (int j = 0; j < maxima.Length; j++)
            {
                maxima[j] = Vector.Max(maxima[j], vectors[j]);
            }

            for (int j = whole; j < count; j++)
            {
                max[j] = MathF.Max(max[j], logits[j]);
            }
        }

        Span<float> total = _column.Logits.AsSpan(start, count);
        Span<float> participants = _column.Participants.AsSpan(start, count);
        total.Clear();
        participants.Clear();
        for (int i = 0; i < _rows; i++)
        {
            ReadOnlySpan<float> logits = Row(matrix, i).Slice(start, count);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            for (int j = 0; j < maxima.Length; j++)
            {
                sums[j] += Vector.Exp(vectors[j] - maxima[j]);
            }

            for (int j = whole; j < count; j++)
            {
                sum[j] += MathF.Exp(logits[j] - max[j]);
            }

            if (_options.LabelSmoothing > 0)
            {
                Span<Vector<float>> totals = MemoryMarshal.Cast<float, Vector<float>>(total);
                Span<Vector<float>> counts = MemoryMarshal.Cast<float, Vector<float>>(participants);
                for (int j = 0; j < totals.Length; j++)
                {
                    totals[j] += IfTakesPart(vectors[j], vectors[j]);
                    counts[j] += IfTakesPart(vectors[j], Vector<float>.One);
                }

                for (int j = whole; j < count; j++)
                {
                    total[j] += IfTakesPart(logits[j], logits[j]);
                    participants[j] += IfTakesPart(logits[j], 1);
                }
            }
        }
    }
}
