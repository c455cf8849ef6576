namespace CrossAlign.Models.Profiling;

/// <summary>What the naive loss keeps of the rows, or of the columns.</summary>
/// <param name="count">How many there are.</param>
internal sealed class NaiveStatistics(int count)
{
    /// <summary>The highest logit.</summary>
    public float[] Max { get; } = new float[count];

    /// <summary>The sum of exponentials, less the maximum.</summary>
    public float[] Sum { get; } = new float[count];

    /// <summary>With label smoothing: the sum of the logits that take part.</summary>
    public float[] Logits { get; } = new float[count];

    /// <summary>With label smoothing: how many do.</summary>
    public float[] Participants { get; } = new float[count];

    /// <summary>The logit above which a negative is dropped.</summary>
    public float[] Threshold { get; } = Infinite(count);

    private static float[] Infinite(int count)
    {
        float[] values = new float[count];
        Array.Fill(values, float.PositiveInfinity);
        return values;
    }
}
