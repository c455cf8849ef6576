using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// What a model embeds on a CUDA device, sent there beside the batch before it: token ids or pixels are copied by the device's stream of copies while
/// the stream of the operations computes, and put where the tower reads them in the order of its work. One batch is on its way at a time; one that
/// was not sent, or another than was sent, is sent when it is needed.
/// </summary>
internal sealed class EmbeddingInputs : IDisposable
{
    private const long AlignmentBytes = 256;

    private readonly CudaDevice _device;
    private readonly CudaUploads _uploads;
    private DeviceMemory? _room;
    private long _usedByteCount;
    private object? _sent;
    private TokenInputs _texts;
    private PictureInputs _pictures;

    /// <summary>Takes no memory of the device yet.</summary>
    /// <param name="device">Where the model lies.</param>
    public EmbeddingInputs(CudaDevice device)
    {
        _device = device;
        _uploads = new CudaUploads(device);
    }

    /// <summary>Lets a batch of texts go to the device beside the work that was issued.</summary>
    /// <param name="batch">At least one text; it must not change before <see cref="Deliver(TokenBatch, bool)"/>.</param>
    /// <param name="hasTypes">Whether the tower reads token types.</param>
    public void Send(TokenBatch batch, bool hasTypes)
    {
        bool types = hasTypes && !batch.Types.IsEmpty;
        int tokens = batch.TokenCount;
        Begin(RoomOf(tokens) + RoomOf(tokens) + (types ? RoomOf(tokens) : 0) + RoomOf(batch.Count + 1));
        _texts = new TokenInputs(
            Add(batch.Ids, new Shape(tokens)),
            Add(batch.Positions, new Shape(tokens)),
            types ? Add(batch.Types, new Shape(tokens)) : default,
            Add(batch.CuSeqlens, new Shape(batch.Count + 1)),
            default);
        _uploads.Send();
        _sent = batch;
    }

    /// <summary>Lets a batch of pictures go to the device beside the work that was issued.</summary>
    /// <param name="pixels">The pictures one behind the other; they must not change before <see cref="Deliver(float[], Shape, ImageTower)"/>.</param>
    /// <param name="shape">(B, 3, H, W), not more than there are.</param>
    /// <param name="tower">The tower that reads them.</param>
    public void Send(float[] pixels, Shape shape, ImageTower tower)
    {
        int count = shape[0];
        Begin(RoomOf(shape.Count) + RoomOf(count + 1));
        _pictures = new PictureInputs(
            Add<float>(pixels.AsSpan(0, (int)shape.Count), shape), Add(tower.StartsOf(tower.RowsOf(shape[2], shape[3]), count), new Shape(count + 1)), default);
        _uploads.Send();
        _sent = pixels;
    }

    /// <summary>A batch of texts on the device, in the order of its work; valid until the next batch is delivered.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="hasTypes">Whether the tower reads token types.</param>
    /// <returns>Tensors as large as the batch.</returns>
    public TokenInputs Deliver(TokenBatch batch, bool hasTypes)
    {
        if (!ReferenceEquals(_sent, batch))
        {
            Send(batch, hasTypes);
        }

        Deliver();
        return _texts;
    }

    /// <summary>A batch of pictures on the device, in the order of its work; valid until the next batch is delivered.</summary>
    /// <param name="pixels">The batch.</param>
    /// <param name="shape">Its extents.</param>
    /// <param name="tower">The tower that reads them.</param>
    /// <returns>Tensors as large as the batch.</returns>
    public PictureInputs Deliver(float[] pixels, Shape shape, ImageTower tower)
    {
        if (!ReferenceEquals(_sent, pixels))
        {
            Send(pixels, shape, tower);
        }

        Deliver();
        return _pictures;
    }

    /// <summary>Forgets what was sent and not delivered: the batch may change.</summary>
    public void Forget()
    {
        _uploads.Discard();
        _sent = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _uploads.Dispose();
        _room?.Dispose();
        _room = null;
    }

    private static long RoomOf(long count) => ((count * sizeof(int)) + AlignmentBytes - 1) / AlignmentBytes * AlignmentBytes;

    private void Deliver()
    {
        _uploads.Deliver();
        _sent = null;
    }

    private void Begin(long byteCount)
    {
        Forget();
        _usedByteCount = 0;
        if (_room is null || _room.ByteCount < byteCount)
        {
            // What reads the old room was issued before: the device's memory is its stream's.
            _room?.Dispose();
            _room = null;
            _room = _device.Allocate(byteCount + (byteCount / 8));
        }
    }

    private Tensor Add<T>(ReadOnlySpan<T> values, Shape shape)
        where T : unmanaged
    {
        Tensor tensor = new(_room!, _usedByteCount, typeof(T) == typeof(float) ? DType.Float32 : DType.Int32, shape);
        _usedByteCount += RoomOf(shape.Count);
        _uploads.Add(values, tensor);
        return tensor;
    }
}
