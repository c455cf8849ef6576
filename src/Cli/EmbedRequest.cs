using CrossAlign.Models;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Cli;

/// <summary>What <c>embed</c> was asked for. Null follows what the model's folder declares.</summary>
internal sealed record EmbedRequest
{
    // In the order of the enumeration.
    private static readonly string[] s_precisions = ["f32", "tf32", "bf16"];

    /// <summary>The model.</summary>
    public required ModelSource Source { get; init; }

    /// <summary>The model as it was named, for the file's metadata.</summary>
    public required string Name { get; init; }

    public PoolingModes? Pooling { get; init; }

    public bool? Normalize { get; init; }

    public bool Project { get; init; } = true;

    /// <summary>Put before every text.</summary>
    public string? Prefix { get; init; }

    /// <summary>The name of a declared prompt.</summary>
    public string? Prompt { get; init; }

    public int BatchTokens { get; init; } = 4096;

    /// <summary>Of matrix products; null for the run's own, and float32 for a folder that is no run's.</summary>
    public Precision? Precision { get; init; }

    /// <summary>Whether what cannot be read is left out and listed.</summary>
    public bool SkipBad { get; init; }

    /// <summary>The file of vectors.</summary>
    public required string Output { get; init; }

    /// <summary>A precision by the name that a configuration gives it.</summary>
    /// <exception cref="UserErrorException">There is none of that name.</exception>
    public static Precision ParsePrecision(string name) => Array.IndexOf(s_precisions, name) is int index and >= 0
        ? (Precision)index
        : throw new UserErrorException($"--precision: there is no precision '{name}'", $"the nearest is '{NearestName.Find(name, s_precisions)}'");

    /// <summary>The name that a configuration gives a precision.</summary>
    public static string NameOf(Precision precision) => s_precisions[(int)precision];
}
