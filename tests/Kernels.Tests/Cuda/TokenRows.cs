using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>Embedding, GELU, dropout, residual and L2 norm, and their gradients; the table's once dense, once of the rows it touches.</summary>
internal sealed class TokenRows : LiveRowsStep
{
    private const int TableRows = 7;

    private readonly Tensor _table;
    private readonly Tensor _bias;
    private readonly Tensor _ids;
    private readonly Tensor _keys;
    private readonly Tensor _embedded;
    private readonly Tensor _activated;
    private readonly Tensor _output;
    private readonly Tensor _norm;
    private readonly Tensor _dInput;
    private readonly Tensor _dBias;
    private readonly Tensor _dTable;
    private readonly RowSparseGradient _dRows;
    private readonly Tensor _dSparse;

    public TokenRows(CudaDevice device, DType dtype, int n, int c, LiveRows? live = null)
        : base(device)
    {
        _table = New(DType.Float32, new Shape(TableRows, c));
        _bias = New(DType.Float32, new Shape(c));
        _ids = New(DType.Int32, new Shape(n), live);
        _keys = New(DType.Int32, new Shape(n, 2), live);
        _embedded = New(dtype, new Shape(n, c), live);
        _activated = New(dtype, new Shape(n, c), live);
        _output = New(dtype, new Shape(n, c), live);
        _norm = New(DType.Float32, new Shape(n), live);
        _dInput = New(dtype, new Shape(n, c), live);
        _dBias = New(DType.Float32, new Shape(c));
        _dTable = New(DType.Float32, new Shape(TableRows, c));
        _dSparse = New(DType.Float32, new Shape(TableRows, c));
        _dRows = new RowSparseGradient(New(DType.Int32, new Shape(TableRows)), _dSparse, New(DType.Int32, new Shape(1)));
    }

    public override IReadOnlyList<Tensor> Rows => [_embedded, _activated, _norm, _output, _dInput];

    public override IReadOnlyList<Tensor> Gradients => [_dBias, _dTable, _dSparse, _dRows.RowCount];

    public override void Step()
    {
        DropoutSite site = new(0.25f, 3, 4, _keys);
        Embedding.Forward(_ids, _ids, default, _table, _table, default, _embedded);
        Gelu.Forward(GeluKind.Erf, _embedded, _bias, _activated);
        Dropout.Forward(_activated, _activated, site);
        Residual.Add(_activated, _embedded, _activated);
        L2Norm.Forward(_activated, _output, _norm);
        L2Norm.Backward(_embedded, _output, _norm, _dInput);
        Dropout.Backward(_dInput, _dInput, site);
        Gelu.Backward(GeluKind.Erf, _dInput, _embedded, _bias, _dInput, _dBias);
        Embedding.Backward(_dInput, _ids, _ids, default, _dTable, default, default);
        Embedding.BackwardSparse(_dInput, _ids, TableRows, _dRows);
    }

    protected override void FillInputs(int rows)
    {
        Draw(_table, 1, TableRows);
        Draw(_bias, 2, _bias.Shape[0]);
        Write(_ids, Enumerable.Range(0, rows).Select(i => i * 3 % TableRows));
        Write(_keys, Enumerable.Range(0, 2 * rows));
    }
}
