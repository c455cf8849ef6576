namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// What is kept for each row, or for each column, of the matrix of logits. Arrays that a variant has no use for are null.
/// The first three hold statistics until the merge, and the coefficients of the gradient after it.
/// </summary>
internal unsafe struct CpuSimilaritySide
{
    /// <summary>Rows, or columns with the extra negatives.</summary>
    public int Count;

    /// <summary>Whether there is a softmax over this side's lines.</summary>
    public bool Active;

    /// <summary>The running maximum of the participants; sigmoid: the running sum of the row's gradients.</summary>
    public float* Max;

    /// <summary>The running sum of exp(z - max), then w / (W sum); sigmoid: the running loss of the row.</summary>
    public float* Sum;

    /// <summary>The sum of the positives' logits, then the weight that a positive's logit has in the loss; sigmoid: w / W.</summary>
    public float* Positive;

    /// <summary>Label smoothing: the running sum of the participants' logits, then e w / (W participants).</summary>
    public float* LogitSum;

    /// <summary>Label smoothing: how many participants.</summary>
    public float* Participants;

    /// <summary>1 / max(norm, epsilon), of the row as products read it (<see cref="Factors"/>); after the merge 0 for a line that has no part in the loss.</summary>
    public float* Rstd;

    /// <summary>Whether a line is so long that products read it multiplied by a power of two: dot products would leave float32's range.</summary>
    public bool HasLong;

    /// <summary>Whether a line has no part in the loss, neither with a loss of its own nor as a negative of the other side: whatever it holds, its gradient is zero.</summary>
    public bool HasAbsent;

    /// <summary>What products multiply the super-tile's lines by, where some are long or absent: a power of two, mostly 1, or 0.</summary>
    public float* Factors;

    /// <summary>The group as a small whole number; -1 for none.</summary>
    public float* Group;

    /// <summary>How many positives: of each row with shared groups, else of the columns at hand (<see cref="CpuSimilarityPositives"/>).</summary>
    public float* PositiveCount;

    /// <summary>Columns at hand: the sum of the weights of the positives.</summary>
    public float* PositiveWeight;

    /// <summary>The logit above which a negative is dropped; for a negative scale that of the opposite numbers.</summary>
    public float* Threshold;

    /// <summary>Several prefixes: the inner product of the line with its gradient before this prefix was added.</summary>
    public double* Inner;
}
