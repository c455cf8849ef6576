using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>Operations tell the device's log their names and the arithmetic of their products.</summary>
public sealed class OperationLogTests
{
    [Fact]
    public void ProductsAndTheLossTellTheirArithmetic()
    {
        using CpuBackend backend = new(1);
        OperationLog log = new();
        backend.Device.Operations = log;
        MatMul.Run(backend.Upload(DType.Float32, new Shape(3, 5), new float[15]), backend.Upload(DType.Float32, new Shape(7, 5), new float[35]), backend.Poisoned(DType.Float32, new Shape(3, 7)), MatMulLayout.NT);
        Linear.Backward(
            backend.Upload(DType.Float32, new Shape(4, 2), new float[8]),
            backend.Upload(DType.Float32, new Shape(4, 3), new float[12]),
            backend.Upload(DType.Float32, new Shape(2, 3), new float[6]),
            backend.Poisoned(DType.Float32, new Shape(4, 3)),
            backend.Upload(DType.Float32, new Shape(2, 3), new float[6]),
            default);
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(new(), 8, 8, 4, 1);
        x.Run(backend, out _);
        Dictionary<string, OperationTotal> totals = log.Totals().ToDictionary(t => t.Name);
        Assert.Equal(2 * 3 * 5 * 7, totals["MatMul"].Arithmetic);
        Assert.Equal(2 * 2 * 4 * 2 * 3, totals["Linear.Backward"].Arithmetic);

        // The similarities are kept at this size: 3 products.
        Assert.Equal(3 * 2 * 8 * 8 * 4, totals["SimilarityCrossEntropy.ForwardBackward"].Arithmetic);
        Assert.All(totals.Values, t => Assert.Equal(1, t.Calls));
    }
}
