using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// What one block computes on its way forward and reads again on its way back, taken from an arena. N tokens, width C, feed-forward
/// width F, NH heads. A value, so that a step puts nothing on the managed heap.
/// </summary>
internal readonly struct BlockActivations
{
    /// <summary>Takes the tensors of one block.</summary>
    /// <param name="arena">Where from.</param>
    /// <param name="input">(N, C): the tower's tensors have its storage, rows and live rows.</param>
    /// <param name="config">The sizes.</param>
    public BlockActivations(TensorArena arena, in Tensor input, EncoderConfig config)
    {
        int tokens = input.Shape[0];
        DType dtype = input.DType;
        LiveRows? live = input.LiveRows;
        Shape narrow = new(tokens, config.Width);
        Shape wide = new(tokens, config.FeedForward);
        Shape perRow = new(tokens);
        Qkv = arena.Take(dtype, new Shape(tokens, 3 * config.Width), live);
        Attended = arena.Take(dtype, narrow, live);
        Lse = arena.Take(DType.Float32, new Shape(tokens, config.Heads), live);
        Sum1 = arena.Take(dtype, narrow, live);
        Normed1 = arena.Take(dtype, narrow, live);
        Mean1 = arena.Take(DType.Float32, perRow, live);
        Rstd1 = arena.Take(DType.Float32, perRow, live);
        Hidden = arena.Take(dtype, wide, live);
        Activated = arena.Take(dtype, wide, live);
        Normed2 = config.IsPreNorm ? arena.Take(dtype, narrow, live) : default;
        Sum2 = config.IsPreNorm ? default : arena.Take(dtype, narrow, live);
        Mean2 = arena.Take(DType.Float32, perRow, live);
        Rstd2 = arena.Take(DType.Float32, perRow, live);
    }

    /// <summary>(N, 3C): queries, keys and values.</summary>
    public Tensor Qkv { get; }

    /// <summary>(N, C): the heads' outputs, before their projection.</summary>
    public Tensor Attended { get; }

    /// <summary>(N, NH): log-sum-exp of each query's logits.</summary>
    public Tensor Lse { get; }

    /// <summary>(N, C): the block's input plus what attention adds.</summary>
    public Tensor Sum1 { get; }

    /// <summary>(N, C): output of the first LayerNorm: of the input (pre-LN), of <see cref="Sum1"/> (post-LN).</summary>
    public Tensor Normed1 { get; }

    /// <summary>(N): statistics of the first LayerNorm.</summary>
    public Tensor Mean1 { get; }

    /// <summary>(N): statistics of the first LayerNorm.</summary>
    public Tensor Rstd1 { get; }

    /// <summary>(N, F): the feed-forward layer before bias and activation.</summary>
    public Tensor Hidden { get; }

    /// <summary>(N, F): after the activation.</summary>
    public Tensor Activated { get; }

    /// <summary>(N, C): output of the second LayerNorm, pre-LN only; post-LN's is the block's output.</summary>
    public Tensor Normed2 { get; }

    /// <summary>(N, C): what post-LN's second LayerNorm normalises; absent for pre-LN.</summary>
    public Tensor Sum2 { get; }

    /// <summary>(N): statistics of the second LayerNorm.</summary>
    public Tensor Mean2 { get; }

    /// <summary>(N): statistics of the second LayerNorm.</summary>
    public Tensor Rstd2 { get; }
}
