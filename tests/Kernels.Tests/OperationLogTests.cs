using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

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

    [Fact]
    public void OnACudaDeviceOperationsAreTimedByEventsAndNothingWaits()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor x = device.NewTensor(DType.Float32, new Shape(64, 768));
        Tensor y = device.NewTensor(DType.Float32, new Shape(64, 768));
        Residual.Add(x, x, y);
        device.Synchronize();
        OperationLog log = new();
        device.Operations = log;
        long before = device.Emulation!.Audit.SynchronizationCount;
        for (int i = 0; i < 3; i++)
        {
            Residual.Add(x, x, y);
        }

        Gelu.Forward(GeluKind.Erf, x, default, y);
        Assert.Equal(before, device.Emulation.Audit.SynchronizationCount);

        // The emulated device's clock stands for work: GELU of one row set is more than the sum of it.
        Dictionary<string, OperationTotal> totals = log.Totals().ToDictionary(t => t.Name);
        Assert.Equal([(1, "Gelu.Forward"), (3, "Residual.Add")], totals.Values.Select(t => (t.Calls, t.Name)).Order());
        Assert.All(totals.Values, t => Assert.True(t.Time > TimeSpan.Zero, t.Name));
        Assert.True(totals["Gelu.Forward"].Time > totals["Residual.Add"].Time / 3);

        // Marks are used again, and gathered ones are settled on the way.
        for (int i = 0; i < 1100; i++)
        {
            Cast.Run(x.Rows(0, 1), device.NewTensor(DType.BFloat16, new Shape(1, 768)));
        }

        Assert.Equal(1100, log.Totals().Single(t => t.Name.StartsWith("Cast", StringComparison.Ordinal)).Calls);
    }
}
