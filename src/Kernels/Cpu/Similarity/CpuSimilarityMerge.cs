namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>Between the passes: statistics become the loss, and the coefficients of the gradient. O(B), in double, in one order.</summary>
internal static unsafe class CpuSimilarityMerge
{
    // A line without loss: exp(x - this) is zero, and so is its coefficient.
    private const float Nothing = 1e30f;

    /// <summary>Empties the statistics of both sides.</summary>
    public static void Reset(CpuSimilarityState* s)
    {
        Reset(s->Rows, s->Sigmoid ? 0 : float.MinValue);
        Reset(s->Columns, float.MinValue);
        s->Rows.HasAbsent = false;
        s->Columns.HasAbsent = false;
        new Span<float>(s->Unbounded, s->TileCapacity).Fill(float.PositiveInfinity);
        if (s->Sigmoid)
        {
            double divisor = Divisor(s, ofRows: true);
            for (int i = 0; i < s->Rows.Count; i++)
            {
                s->Rows.Positive[i] = (float)(s->RowWeight(i) * divisor * s->PrefixWeight);
                if (s->Rows.Positive[i] == 0)
                {
                    Leave(ref s->Rows, i);
                }
            }
        }
    }

    /// <summary>Softmax: the loss of this prefix, and coefficients in place of the statistics.</summary>
    public static double Softmax(CpuSimilarityState* s, float* rowLoss, float* columnLoss)
    {
        double share = s->Rows.Active && s->Columns.Active ? 0.5 : 1;
        if (s->Columns.Active && s->Groups != SimilarityCrossEntropyGroups.Shared)
        {
            for (int i = 0; i < s->Rows.Count; i++)
            {
                int target = s->Target(i);
                if (target >= 0)
                {
                    s->Columns.Positive[target] += s->Rows.Positive[i];
                }
            }
        }

        double loss = 0;
        if (s->Rows.Active)
        {
            loss += share * Side(s, s->Rows, ofRows: true, share, rowLoss, s->Rows.Count);
        }

        if (s->Columns.Active)
        {
            loss += share * Side(s, s->Columns, ofRows: false, share, columnLoss, s->ImageCount);
        }

        return loss * s->PrefixWeight;
    }

    /// <summary>Sigmoid, after its only pass: the loss of this prefix and the sum of the gradients, which is the bias's.</summary>
    public static double Sigmoid(CpuSimilarityState* s, float* rowLoss, out double dBias)
    {
        double loss = 0;
        dBias = 0;
        for (int i = 0; i < s->Rows.Count; i++)
        {
            bool counts = s->Rows.Positive[i] > 0;
            loss += counts ? (double)s->Rows.Positive[i] * s->Rows.Sum[i] : 0;
            dBias += counts ? s->Rows.Max[i] : 0;
            if (rowLoss != null)
            {
                rowLoss[i] = counts ? s->Rows.Sum[i] : 0;
            }
        }

        return loss;
    }

    private static double Side(CpuSimilarityState* s, in CpuSimilaritySide side, bool ofRows, double share, float* losses, int lossCount)
    {
        double divisor = Divisor(s, ofRows);
        double smoothing = s->Smoothing;
        double total = 0;
        for (int i = 0; i < side.Count; i++)
        {
            if (!ofRows)
            {
                CpuSimilarityPositives.Bring(s, i);
            }

            double positives = ofRows ? s->RowPositives(i) : s->ColumnPositives(i);
            double weight = positives == 0 ? 0 : (ofRows ? s->RowWeight(i) : s->ColumnWeight(i)) * divisor;
            double loss = 0;
            if (weight > 0)
            {
                loss = side.Max[i] + Math.Log(side.Sum[i]) - ((1 - smoothing) * side.Positive[i] / positives);
                double coefficient = weight * share * s->PrefixWeight;
                if (smoothing > 0)
                {
                    loss -= smoothing * side.LogitSum[i] / side.Participants[i];
                    side.LogitSum[i] = (float)(smoothing * coefficient / side.Participants[i]);
                }

                side.Sum[i] = (float)(coefficient / side.Sum[i]);
                side.Positive[i] = (float)((1 - smoothing) * coefficient / positives);
                total += weight * loss;
            }
            else
            {
                side.Max[i] = Nothing;
                side.Sum[i] = 0;
                side.Positive[i] = 0;
                if (smoothing > 0)
                {
                    side.LogitSum[i] = 0;
                }

                // Where the other side has no loss, such a line is nobody's negative either.
                if (ofRows ? !s->Columns.Active : !s->Rows.Active)
                {
                    Leave(ref (ofRows ? ref s->Rows : ref s->Columns), i);
                }
            }

            if (losses != null && i < lossCount)
            {
                losses[i] = (float)loss;
            }
        }

        return total;
    }

    /// <summary>1 / sum of the weights, or 1 / number of the lines that count; 0 where nothing counts.</summary>
    private static double Divisor(CpuSimilarityState* s, bool ofRows)
    {
        double sum = 0;
        int count = ofRows ? s->Rows.Count : s->ImageCount;
        for (int i = 0; i < count; i++)
        {
            if (!ofRows)
            {
                CpuSimilarityPositives.Bring(s, i);
            }

            bool ignored = ofRows && s->Targets != null && s->Targets[i] == SimilarityCrossEntropy.IgnoreIndex;
            bool counts = !ignored && (s->Sigmoid || (ofRows ? s->RowPositives(i) : s->ColumnPositives(i)) > 0);
            sum += !counts ? 0 : s->DivideByRowCount ? 1 : ofRows ? s->RowWeight(i) : s->ColumnWeight(i);
        }

        return sum > 0 ? 1 / sum : 0;
    }

    // What the line holds, not-a-number perhaps, must not come into products of its coefficient, which is zero.
    private static void Leave(ref CpuSimilaritySide side, int line)
    {
        side.HasAbsent = true;
        if (side.Rstd != null)
        {
            side.Rstd[line] = 0;
        }
    }

    private static void Reset(in CpuSimilaritySide side, float lowest)
    {
        if (side.Max != null)
        {
            new Span<float>(side.Max, side.Count).Fill(lowest);
            new Span<float>(side.Sum, side.Count).Clear();
        }

        Clear(side.Positive, side.Count);
        Clear(side.LogitSum, side.Count);
        Clear(side.Participants, side.Count);
    }

    private static void Clear(float* array, int count)
    {
        if (array != null)
        {
            new Span<float>(array, count).Clear();
        }
    }
}
