namespace CrossAlign.Models.Encoders;

/// <summary>How texts become vectors. What is left out follows what the model's folder declares.</summary>
public sealed record TextEmbedderOptions
{
    /// <summary>How a text's rows become its vector; null: as the folder declares, else the mean.</summary>
    public PoolingModes? Pooling { get; init; }

    /// <summary>Whether vectors are divided by their Euclidean norm; null: as the folder declares, else yes.</summary>
    public bool? Normalize { get; init; }

    /// <summary>Whether the head is applied where the model has one.</summary>
    public bool Project { get; init; } = true;

    /// <summary>What is put before every text; null: the prompt that <see cref="PromptName"/> names.</summary>
    public string? Prefix { get; init; }

    /// <summary>The name of one of the prompts that the folder declares; null: its default prompt, none as a rule.</summary>
    public string? PromptName { get; init; }

    /// <summary>About how many tokens go through the tower at once.</summary>
    public int BatchTokens { get; init; } = 4096;
}
