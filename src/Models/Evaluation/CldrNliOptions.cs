namespace CrossAlign.Models.Evaluation;

/// <summary>Settings of <see cref="CldrNli"/>.</summary>
public sealed record CldrNliOptions
{
    /// <summary>Pairs that a concept gives at most for each label.</summary>
    public int PairsPerLabel { get; init; } = 2;

    /// <summary>The language that the classifier is trained on.</summary>
    public string TrainingLanguage { get; init; } = "en";

    /// <summary>Seed of the choice of pairs.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The classifier.</summary>
    public SentencePairOptions Classifier { get; init; } = new() { HiddenWidth = 256, BatchSize = 64, Epochs = 5, Seed = 1 };
}
