namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>What the README of an exported model says of it, beside what follows from the model itself.</summary>
public sealed record ModelCard
{
    /// <summary>The model's name.</summary>
    public required string Name { get; init; }

    /// <summary>One or two sentences: what it is for.</summary>
    public required string Summary { get; init; }

    /// <summary>Language codes.</summary>
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>The licence of the weights as the public hub names it (<c>mit</c>, <c>cc-by-sa-4.0</c>, <c>other</c>); null where it has to be chosen by whoever publishes them.</summary>
    public string? License { get; init; }

    /// <summary>The published models that the towers were tuned from; empty where they were trained from scratch.</summary>
    public IReadOnlyList<string> BaseModels { get; init; } = [];

    /// <summary>What it was trained on: a line a source with its licence.</summary>
    public IReadOnlyList<string> Data { get; init; } = [];

    /// <summary>How it was trained: a line a setting.</summary>
    public IReadOnlyList<string> Training { get; init; } = [];

    /// <summary>Measured figures: a header row, then rows of equal length. Empty where nothing was measured.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Figures { get; init; } = [];
}
