using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>Layer norm of a sum, a linear layer behind it, and their gradients; the sum's is added to what is there.</summary>
internal sealed class NormalisedRows : LiveRowsStep
{
    private readonly Tensor _weight;
    private readonly Tensor _input;
    private readonly Tensor _residual;
    private readonly Tensor _sum;
    private readonly Tensor _mean;
    private readonly Tensor _rstd;
    private readonly Tensor _output;
    private readonly Tensor _projected;
    private readonly Tensor _dProjected;
    private readonly Tensor _dOutput;
    private readonly Tensor _dInput;
    private readonly Tensor _dWeight;
    private readonly Tensor _dBias;
    private readonly Tensor _projection;
    private readonly Tensor _dProjection;
    private readonly Tensor _dProjectionBias;

    public NormalisedRows(CudaDevice device, DType dtype, int n, int c, LiveRows? live = null)
        : base(device)
    {
        _weight = New(DType.Float32, new Shape(c));
        _input = New(dtype, new Shape(n, c), live);
        _residual = New(dtype, new Shape(n, c), live);
        _sum = New(dtype, new Shape(n, c), live);
        _mean = New(DType.Float32, new Shape(n), live);
        _rstd = New(DType.Float32, new Shape(n), live);
        _output = New(dtype, new Shape(n, c), live);
        _projected = New(dtype, new Shape(n, c), live);
        _dProjected = New(dtype, new Shape(n, c), live);
        _dOutput = New(dtype, new Shape(n, c), live);
        _dInput = New(dtype, new Shape(n, c), live);
        _dWeight = New(DType.Float32, new Shape(c));
        _dBias = New(DType.Float32, new Shape(c));
        _projection = New(dtype, new Shape(c, c));
        _dProjection = New(DType.Float32, new Shape(c, c));
        _dProjectionBias = New(DType.Float32, new Shape(c));
    }

    public override IReadOnlyList<Tensor> Rows => [_sum, _mean, _rstd, _output, _projected, _dOutput, _dInput];

    public override IReadOnlyList<Tensor> Gradients => [_dWeight, _dBias, _dProjection, _dProjectionBias];

    public override void Step()
    {
        LayerNorm.Forward(_input, _residual, _sum, _weight, _weight, _output, _mean, _rstd, 1e-5f);
        Linear.Forward(_output, _projection, _weight, _projected);
        Linear.Backward(_dProjected, _output, _projection, _dOutput, _dProjection, _dProjectionBias);
        LayerNorm.Backward(_dOutput, _sum, _weight, _mean, _rstd, _dInput, _dWeight, _dBias, accumulateInput: true);
    }

    protected override void FillInputs(int rows)
    {
        Draw(_weight, 1, _weight.Shape[0]);
        Draw(_input, 2, rows);
        Draw(_residual, 3, rows);
        Draw(_dProjected, 4, rows);
        Draw(_projection, 5, _projection.Shape[0]);
    }
}
