using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>Working tensors of the backward pass, taken once and shared by all blocks.</summary>
internal readonly struct BlockGradients
{
    /// <summary>Takes the tensors.</summary>
    /// <param name="arena">Where from.</param>
    /// <param name="dtype">Storage of the activations.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="tokens">N.</param>
    /// <param name="dropout">Whether dropout acts, which needs one tensor more.</param>
    public BlockGradients(TensorArena arena, DType dtype, EncoderConfig config, int tokens, bool dropout)
    {
        Wide = arena.Take(dtype, new Shape(tokens, config.FeedForward));
        DQkv = arena.Take(dtype, new Shape(tokens, 3 * config.Width));
        Narrow = arena.Take(dtype, new Shape(tokens, config.Width));
        Dropped = dropout ? arena.Take(dtype, new Shape(tokens, config.Width)) : default;
    }

    /// <summary>(N, F).</summary>
    public Tensor Wide { get; }

    /// <summary>(N, 3C).</summary>
    public Tensor DQkv { get; }

    /// <summary>(N, C).</summary>
    public Tensor Narrow { get; }

    /// <summary>(N, C), absent without dropout.</summary>
    public Tensor Dropped { get; }
}
