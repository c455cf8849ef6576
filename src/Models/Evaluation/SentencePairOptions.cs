namespace CrossAlign.Models.Evaluation;

/// <summary>Settings of <see cref="SentencePairClassifier"/>; the defaults are those of the paper's XNLI head.</summary>
public sealed record SentencePairOptions
{
    /// <summary>Width of the three hidden layers.</summary>
    public int HiddenWidth { get; init; } = 512;

    /// <summary>The number of labels.</summary>
    public int Classes { get; init; } = 3;

    /// <summary>Adam's step size.</summary>
    public float LearningRate { get; init; } = 1e-3f;

    /// <summary>Pairs a step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Passes over the training pairs.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Seed of the initial weights and of the order of the pairs.</summary>
    public ulong Seed { get; init; }

    /// <summary>Applies softmax before the cross-entropy, which applies it again: a defect of the published code, off by default.</summary>
    public bool DoubleSoftmax { get; init; }
}
