using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>Working tensors of the backward pass, taken once and shared by all blocks.</summary>
internal readonly struct BlockGradients
{
    /// <summary>Takes the tensors.</summary>
    /// <param name="arena">Where from.</param>
    /// <param name="dX">(N, C): the working tensors have its storage, rows and live rows.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="dropout">Whether dropout acts, which needs one tensor more.</param>
    public BlockGradients(TensorArena arena, in Tensor dX, EncoderConfig config, bool dropout)
    {
        int tokens = dX.Shape[0];
        DType dtype = dX.DType;
        LiveRows? live = dX.LiveRows;
        Wide = arena.Take(dtype, new Shape(tokens, config.FeedForward), live);
        DQkv = arena.Take(dtype, new Shape(tokens, 3 * config.Width), live);
        Narrow = arena.Take(dtype, new Shape(tokens, config.Width), live);
        Dropped = dropout ? arena.Take(dtype, new Shape(tokens, config.Width), live) : default;
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
