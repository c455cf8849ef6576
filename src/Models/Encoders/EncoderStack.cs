using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// The blocks of a tower, one behind the other, with the bookkeeping of what is kept for the backward pass: nothing for
/// embedding; from the lowest trained block on for training; with recomputation only each block's input.
/// </summary>
internal sealed class EncoderStack
{
    private readonly EncoderConfig _config;
    private readonly EncoderBlock[] _blocks;
    private readonly BlockActivations[] _kept;
    private readonly Tensor[] _hidden;
    private BlockActivations _shared;
    private Tensor _discarded;
    private PackedRows _rows;
    private int _firstKept;

    /// <summary>Adds the blocks' parameters to a store.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="layout">What the blocks have in common.</param>
    /// <param name="store">Where the parameters are kept.</param>
    /// <param name="scope">The part of the model.</param>
    public EncoderStack(EncoderConfig config, TowerLayout layout, ParameterStore store, ParameterScope scope)
    {
        _config = config;
        _blocks = new EncoderBlock[config.Layers];
        for (int i = 0; i < _blocks.Length; i++)
        {
            _blocks[i] = new EncoderBlock(config, i, layout, store, scope);
        }

        _kept = new BlockActivations[_blocks.Length];
        _hidden = new Tensor[_blocks.Length + 1];
    }

    /// <summary>What enters block <paramref name="index"/>, or leaves the last one; absent where the last pass did not keep it.</summary>
    /// <param name="index">0 to the number of blocks.</param>
    /// <returns>(N, C) or absent.</returns>
    public Tensor Hidden(int index) => _hidden[index];

    /// <summary>Runs the blocks.</summary>
    /// <param name="input">(N, C).</param>
    /// <param name="rows">How the rows hang together.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="frozenBlocks">How many of the lowest blocks need no backward pass.</param>
    /// <returns>(N, C): what the last block returns.</returns>
    public Tensor Forward(in Tensor input, in PackedRows rows, TensorArena arena, int frozenBlocks) =>
        Forward(input, rows, arena, frozenBlocks, 0, _blocks.Length);

    /// <summary>Runs some of the blocks: what the lowest ones give can be kept and the others run on it, with the bits of one pass through all.</summary>
    /// <param name="input">(N, C): what enters block <paramref name="first"/>.</param>
    /// <param name="rows">How the rows hang together.</param>
    /// <param name="arena">Where activations are taken.</param>
    /// <param name="frozenBlocks">How many of the lowest blocks need no backward pass.</param>
    /// <param name="first">The first block to run.</param>
    /// <param name="end">The block before which to stop.</param>
    /// <returns>(N, C): what block <paramref name="end"/> - 1 returns.</returns>
    public Tensor Forward(in Tensor input, in PackedRows rows, TensorArena arena, int frozenBlocks, int first, int end)
    {
        LiveRows? live = input.LiveRows;
        _rows = rows;
        _firstKept = rows.Pass.KeepActivations ? Math.Clamp(frozenBlocks, first, end) : end;
        Array.Clear(_hidden);
        bool needsShared = _firstKept > first || rows.Pass.Recompute;
        _shared = needsShared ? new BlockActivations(arena, input, _config) : default;
        _discarded = rows.Pass.KeepActivations && rows.Pass.Recompute ? arena.Take(input.DType, input.Shape, live) : default;

        // Below the first kept block two tensors take turns.
        Tensor spare = _firstKept > first ? arena.Take(input.DType, input.Shape, live) : default;
        Tensor other = _firstKept > first + 1 ? arena.Take(input.DType, input.Shape, live) : default;
        Tensor current = input;
        for (int i = first; i < end; i++)
        {
            bool kept = i >= _firstKept;
            if (kept)
            {
                _hidden[i] = current;
                if (!rows.Pass.Recompute)
                {
                    _kept[i] = new BlockActivations(arena, input, _config);
                }
            }

            Tensor output = kept ? arena.Take(input.DType, input.Shape, live) : spare;
            _blocks[i].Forward(current, rows, kept && !rows.Pass.Recompute ? _kept[i] : _shared, output);
            if (!kept)
            {
                (spare, other) = (other, output);
            }

            current = output;
        }

        _hidden[end] = current;
        return current;
    }

    /// <summary>The gradients of the last <see cref="Forward(in Tensor, in PackedRows, TensorArena, int)"/>, down to the lowest block that was kept.</summary>
    /// <param name="dX">(N, C): the output's gradient, overwritten by the input's of the lowest kept block.</param>
    /// <param name="arena">Where working tensors are taken.</param>
    /// <exception cref="InvalidOperationException">The last pass kept nothing.</exception>
    public void Backward(in Tensor dX, TensorArena arena)
    {
        if (!_rows.Pass.KeepActivations)
        {
            throw new InvalidOperationException("The forward pass kept no activations: run it with TowerPass.Training.");
        }

        if (_firstKept == _blocks.Length)
        {
            return;
        }

        BlockGradients gradients = new(arena, dX, _config, _rows.Pass.Dropout && _config.HiddenDropout > 0);
        for (int i = _blocks.Length - 1; i >= _firstKept; i--)
        {
            if (_rows.Pass.Recompute)
            {
                _blocks[i].Forward(_hidden[i], _rows, _shared, _discarded);
            }

            _blocks[i].Backward(_hidden[i], _rows, _rows.Pass.Recompute ? _shared : _kept[i], gradients, dX);
        }
    }
}
