namespace CrossAlign.Models.Evaluation;

/// <summary>What a method that understands nothing reaches on the same queries and pool.</summary>
/// <param name="Name">The method: <c>char 1-4-gram tf-idf</c>, or <c>chance</c>.</param>
/// <param name="R1">Its R@1 or accuracy, a fraction of 1.</param>
public sealed record FigureBaseline(string Name, double R1)
{
    /// <summary>The name of the character n-gram baseline.</summary>
    public const string NGramName = "char 1-4-gram tf-idf";

    /// <summary>The name of guessing.</summary>
    public const string ChanceName = "chance";
}
