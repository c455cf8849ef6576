using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>Patch embedding and mean pooling, and their gradients.</summary>
internal sealed class PictureRows : LiveRowsStep
{
    private readonly int _patch;
    private readonly int _rows;
    private readonly Tensor _pixels;
    private readonly Tensor _starts;
    private readonly Tensor _weight;
    private readonly Tensor _bias;
    private readonly Tensor _classToken;
    private readonly Tensor _position;
    private readonly Tensor _embedded;
    private readonly Tensor _pooled;
    private readonly Tensor _dPooled;
    private readonly Tensor _dEmbedded;
    private readonly Tensor _dWeight;
    private readonly Tensor _dBias;
    private readonly Tensor _dClassToken;
    private readonly Tensor _dPosition;

    public PictureRows(CudaDevice device, DType dtype, int count, int size, int patch, int c, LiveRows? livePictures, LiveRows? liveRows)
        : base(device)
    {
        _patch = patch;
        _rows = 1 + (size / patch * (size / patch));
        _pixels = New(DType.Float32, new Shape(count, 3, size, size), livePictures);
        _starts = New(DType.Int32, new Shape(count + 1));
        _weight = New(DType.Float32, new Shape(c, 3 * patch * patch));
        _bias = New(DType.Float32, new Shape(c));
        _classToken = New(DType.Float32, new Shape(c));
        _position = New(DType.Float32, new Shape(_rows, c));
        _embedded = New(dtype, new Shape(count * _rows, c), liveRows);
        _pooled = New(dtype, new Shape(count, c), livePictures);
        _dPooled = New(dtype, new Shape(count, c), livePictures);
        _dEmbedded = New(dtype, new Shape(count * _rows, c), liveRows);
        _dWeight = New(DType.Float32, new Shape(c, 3 * patch * patch));
        _dBias = New(DType.Float32, new Shape(c));
        _dClassToken = New(DType.Float32, new Shape(c));
        _dPosition = New(DType.Float32, new Shape(_rows, c));
    }

    public override IReadOnlyList<Tensor> Rows => [_pooled];

    public override IReadOnlyList<Tensor> Gradients => [_dWeight, _dBias, _dClassToken, _dPosition];

    public override void Step()
    {
        PatchEmbedding.Forward(_pixels, _weight, _bias, _classToken, _position, _embedded, _patch);
        Pooling.Forward(PoolingKind.Mean, _embedded, _starts, _pooled);
        Pooling.Backward(PoolingKind.Mean, _dPooled, _starts, _dEmbedded);
        PatchEmbedding.Backward(_dEmbedded, _pixels, _dWeight, _dBias, _dClassToken, _dPosition, _patch);
    }

    protected override void FillInputs(int rows)
    {
        Draw(_weight, 1, _weight.Shape[0]);
        Draw(_bias, 2, _bias.Shape[0]);
        Draw(_classToken, 3, _classToken.Shape[0]);
        Draw(_position, 4, _rows);
        Draw(_pixels, 5, rows);
        Draw(_dPooled, 6, rows);
        Write(_embedded, Enumerable.Repeat(float.NaN, (int)_embedded.Count));
        Write(_dEmbedded, Enumerable.Repeat(float.NaN, (int)_dEmbedded.Count));
        Write(_starts, Enumerable.Range(0, rows + 1).Select(i => i * _rows));
    }
}
