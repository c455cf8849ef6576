using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The optimiser.</summary>
public sealed record OptimizerConfig
{
    /// <summary>Which one.</summary>
    [Description("adamw (decoupled decay) or adam (no decay).")]
    public OptimizerKind Kind { get; init; } = OptimizerKind.AdamW;

    /// <summary>The highest learning rate.</summary>
    [Description("The highest learning rate.")]
    [Bounds(0, IsAbove = true)]
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Decay of the first moment.</summary>
    [Description("Decay of the first moment.")]
    [Bounds(0, 0.9999999)]
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    [Description("Decay of the second moment.")]
    [Bounds(0, 0.9999999)]
    public double Beta2 { get; init; } = 0.98;

    /// <summary>Added to the root of the second moment.</summary>
    [Description("Added to the root of the second moment.")]
    [Bounds(0, IsAbove = true)]
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay of matrices.</summary>
    [Description("Decoupled weight decay of matrices (weights of linear layers and patches; embeddings and positions with decayEmbeddings).")]
    [Bounds(0)]
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Whether embedding tables are decayed too.</summary>
    [Description("Whether token and position embeddings are decayed too.")]
    public bool DecayEmbeddings { get; init; } = true;

    /// <summary>Learning rate of the multiplier, and of a sigmoid loss's bias; null for the common one.</summary>
    [Description("Learning rate of the learned multiplier (and of a sigmoid loss's bias); null for the common one.")]
    [Bounds(0)]
    public double? ScaleLearningRate { get; init; } = 1e-2;

    /// <summary>Learning rate of the text tower; null for the common one.</summary>
    [Description("Learning rate of the text tower; null for the common one.")]
    [Bounds(0)]
    public double? TextLearningRate { get; init; }

    /// <summary>Learning rate of the text tower's word embeddings; null for the text tower's. A rare word is touched by few steps, so that it can take longer ones than a block, which all texts share.</summary>
    [Description("Learning rate of the text tower's word embeddings, which a step touches in few rows; null for the text tower's.")]
    [Bounds(0)]
    public double? WordLearningRate { get; init; }

    /// <summary>Learning rate of the image tower; null for the common one.</summary>
    [Description("Learning rate of the image tower; null for the common one.")]
    [Bounds(0)]
    public double? ImageLearningRate { get; init; }

    /// <summary>Bound of the global gradient norm; null for none.</summary>
    [Description("Bound of the global gradient norm; null for none.")]
    [Bounds(0, IsAbove = true)]
    public double? Clip { get; init; } = 1.0;
}
