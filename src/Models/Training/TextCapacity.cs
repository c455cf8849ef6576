using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// Room on a CUDA device for the captions of a batch of up to so many tokens, and the graph of the steps whose captions lie there; or,
/// where the text tower is frozen whole, the graph alone.
/// </summary>
internal sealed class TextCapacity : IDisposable
{
    private readonly Tensor _count;
    private CudaGraph? _graph;

    /// <summary>Takes no room: the step reads rows that the tower has made.</summary>
    public TextCapacity()
    {
    }

    /// <summary>Takes the room.</summary>
    /// <param name="device">Where.</param>
    /// <param name="capacity">Tokens.</param>
    /// <param name="texts">Captions of a batch.</param>
    /// <param name="hasTypes">Whether token types are among them.</param>
    /// <param name="hasDropout">Whether dropout acts.</param>
    public TextCapacity(CudaDevice device, int capacity, int texts, bool hasTypes, bool hasDropout)
    {
        _count = device.NewTensor(DType.Int32, new Shape(1));
        LiveRows live = new(capacity, _count);
        Inputs = new TokenInputs(
            New(new Shape(capacity)),
            New(new Shape(capacity)),
            hasTypes ? New(new Shape(capacity)) : default,
            device.NewTensor(DType.Int32, new Shape(texts + 1)),
            hasDropout ? New(new Shape(capacity, 2)) : default);

        Tensor New(Shape shape) => device.NewTensor(DType.Int32, shape).WithLiveRows(live);
    }

    /// <summary>The captions, bound to the number of tokens that the last <see cref="Upload"/> has set.</summary>
    public TokenInputs Inputs { get; }

    /// <summary>The graph of a step, where it was captured; disposed when it is replaced.</summary>
    public CudaGraph? Graph
    {
        get => _graph;
        set
        {
            _graph?.Dispose();
            _graph = value;
        }
    }

    /// <summary>What <see cref="ContrastiveStep.ArenaGeneration"/> was when a step ran here last; negative before the first.</summary>
    public int Generation { get; set; } = -1;

    /// <summary>Copies the captions of a batch.</summary>
    /// <param name="batch">Not more tokens than there is room for.</param>
    public void Upload(TokenBatch batch)
    {
        int tokens = batch.TokenCount;
        Inputs.Ids.Rows(0, tokens).CopyFrom(batch.Ids);
        Inputs.Positions.Rows(0, tokens).CopyFrom(batch.Positions);
        Inputs.CuSeqlens.CopyFrom(batch.CuSeqlens);
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
        Graph = null;
        foreach (Tensor tensor in (Tensor[])[_count, Inputs.Ids, Inputs.Positions, Inputs.Types, Inputs.CuSeqlens, Inputs.TokenKeys])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }
}
