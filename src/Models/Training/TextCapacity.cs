using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// Room on a CUDA device for the captions of a batch, or a part of it, of up to so many tokens, and the graphs of the stages that read them; or,
/// where the text tower is frozen whole, the graphs alone.
/// </summary>
internal sealed class TextCapacity : IDisposable
{
    private readonly Tensor _count;
    private readonly int[] _starts = [];

    /// <summary>Takes no room: the step reads rows that the tower has made.</summary>
    public TextCapacity()
    {
    }

    /// <summary>Takes the room.</summary>
    /// <param name="device">Where.</param>
    /// <param name="capacity">Tokens.</param>
    /// <param name="texts">The most captions.</param>
    /// <param name="liveTexts">How many of them count; null where all do.</param>
    /// <param name="hasTypes">Whether token types are among them.</param>
    /// <param name="hasDropout">Whether dropout acts.</param>
    public TextCapacity(CudaDevice device, int capacity, int texts, LiveRows? liveTexts, bool hasTypes, bool hasDropout)
    {
        _starts = new int[texts + 1];
        _count = device.NewTensor(DType.Int32, new Shape(1));
        LiveRows live = new(capacity, _count);
        Inputs = new TokenInputs(
            New(new Shape(capacity)),
            New(new Shape(capacity)),
            hasTypes ? New(new Shape(capacity)) : default,
            device.NewTensor(DType.Int32, new Shape(texts + 1)),
            hasDropout ? New(new Shape(capacity, 2)) : default,
            liveTexts);

        Tensor New(Shape shape) => device.NewTensor(DType.Int32, shape).WithLiveRows(live);
    }

    /// <summary>The captions, bound to the number of tokens that the last <see cref="Upload"/> has set.</summary>
    public TokenInputs Inputs { get; }

    /// <summary>The graphs of the stages.</summary>
    public StepGraphs Graphs { get; } = new();

    /// <summary>Copies the captions of a batch.</summary>
    /// <param name="batch">Not more tokens, nor captions, than there is room for.</param>
    public void Upload(TokenBatch batch)
    {
        int tokens = batch.TokenCount;
        Inputs.Ids.Rows(0, tokens).CopyFrom(batch.Ids);
        Inputs.Positions.Rows(0, tokens).CopyFrom(batch.Positions);
        batch.CuSeqlens.CopyTo(_starts);
        _starts.AsSpan(batch.CuSeqlens.Length).Fill(tokens);
        Inputs.CuSeqlens.CopyFrom<int>(_starts);
        _count.CopyFrom<int>([tokens]);
        if (Inputs.Types.IsPresent)
        {
            Inputs.Types.Rows(0, tokens).CopyFrom(batch.Types);
        }

        if (Inputs.TokenKeys.IsPresent)
        {
            Inputs.TokenKeys.Rows(0, tokens).CopyFrom(batch.TokenKeys);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Graphs.Dispose();
        foreach (Tensor tensor in (Tensor[])[_count, Inputs.Ids, Inputs.Positions, Inputs.Types, Inputs.CuSeqlens, Inputs.TokenKeys])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }
}
