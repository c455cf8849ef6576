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

    /// <summary>The captions, bound to the number of tokens of what was uploaded last.</summary>
    public TokenInputs Inputs { get; }

    /// <summary>The graphs of the stages.</summary>
    public StepGraphs Graphs { get; } = new();

    /// <summary>Bytes of the device that it takes.</summary>
    public long ByteCount
    {
        get
        {
            long byteCount = 0;
            foreach (Tensor tensor in (ReadOnlySpan<Tensor>)[_count, Inputs.Ids, Inputs.Positions, Inputs.Types, Inputs.CuSeqlens, Inputs.TokenKeys])
            {
                byteCount += tensor.IsPresent ? tensor.ByteCount : 0;
            }

            return byteCount;
        }
    }

    /// <summary>Adds the captions of a batch to what is uploaded.</summary>
    /// <param name="batch">Not more tokens, nor captions, than there is room for.</param>
    /// <param name="uploads">What takes them to the device.</param>
    public void Upload(TokenBatch batch, CudaUploads uploads)
    {
        int tokens = batch.TokenCount;
        uploads.Add(batch.Ids, Inputs.Ids);
        uploads.Add(batch.Positions, Inputs.Positions);
        batch.CuSeqlens.CopyTo(_starts);
        _starts.AsSpan(batch.CuSeqlens.Length).Fill(tokens);
        uploads.Add<int>(_starts, Inputs.CuSeqlens);
        uploads.Add<int>([tokens], _count);
        if (Inputs.Types.IsPresent)
        {
            uploads.Add(batch.Types, Inputs.Types);
        }

        if (Inputs.TokenKeys.IsPresent)
        {
            uploads.Add(batch.TokenKeys, Inputs.TokenKeys);
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
