using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Profiling;

/// <summary>Tiny towers on the built-in shapes.</summary>
internal static class TinyConfig
{
    public static RunConfig Create() => RunConfigReader.From("album", "multilingual", "shapes").Build() with
    {
        Steps = 4,
        BatchSize = 16,
        CaptionsPerPicture = 2,
        EvaluateEvery = 0,
        CheckpointEvery = 0,
        Threads = 2,
        Tokenizer = new TokenizerConfig { Pieces = 600, MaxTokens = 16 },
        TextTower = new TextTowerConfig { Width = 32, Heads = 2, FeedForward = 48 },
        ImageTower = new ImageTowerConfig { ImageSize = 16, PatchSize = 8, Width = 32, Heads = 2, FeedForward = 48 },
        Projection = new ProjectionConfig { Width = 24 },
    };
}
