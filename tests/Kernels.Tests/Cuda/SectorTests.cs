using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>On aligned rows of 768 the element-wise and row-wise kernels touch hardly more 32-byte sectors than they must.</summary>
public sealed class SectorTests
{
    private const int N = 64;
    private const int C = 768;

    public static TheoryData<DType> Storage() => [DType.Float32, DType.BFloat16];

    [Theory]
    [MemberData(nameof(Storage))]
    public void Gelu(DType dtype) => AssertLeast(3, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Tensor y = device.NewTensor(dtype, new Shape(N, C));
        Tensor bias = device.NewTensor(DType.Float32, new Shape(C));
        Kernels.Gelu.Forward(GeluKind.Erf, x, bias, y);
        Kernels.Gelu.Backward(GeluKind.Erf, y, x, bias, y, bias);
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void ResidualAndCast(DType dtype) => AssertLeast(2, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Residual.Add(x, x, x);
        Cast.Run(x, device.NewTensor(dtype == DType.Float32 ? DType.BFloat16 : DType.Float32, new Shape(N, C)));
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void L2Norm(DType dtype) => AssertLeast(2, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Tensor y = device.NewTensor(dtype, new Shape(N, C));
        Tensor norm = device.NewTensor(DType.Float32, new Shape(N));
        Kernels.L2Norm.Forward(x, y, norm);
        Kernels.L2Norm.Backward(x, y, norm, x);
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void Pooling(DType dtype) => AssertLeast(2, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Tensor y = device.NewTensor(dtype, new Shape(3, C));
        Tensor ends = device.NewTensor(DType.Int32, new Shape(4));
        ends.CopyFrom<int>([0, 10, 31, N]);
        Kernels.Pooling.Forward(PoolingKind.Mean, x, ends, y);
        Kernels.Pooling.Backward(PoolingKind.Cls, y, ends, x);
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void Dropout(DType dtype) => AssertLeast(1, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Tensor keys = device.NewTensor(DType.Int32, new Shape(N, 2));
        Kernels.Dropout.Forward(x, x, new DropoutSite(0.1f, 1, 2, keys));
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void Embedding(DType dtype) => AssertLeast(1, device =>
    {
        // The gather of whole rows; the sort's scattered words are excepted.
        Tensor table = device.NewTensor(dtype, new Shape(50, C));
        Tensor ids = device.NewTensor(DType.Int32, new Shape(N));
        ids.CopyFrom<int>([.. Enumerable.Range(0, N).Select(i => i * 7 % 50)]);
        Kernels.Embedding.Forward(ids, ids, default, table, table, table, device.NewTensor(dtype, new Shape(N, C)));
    });

    [Fact]
    public void Optimizer() => AssertLeast(3, device =>
    {
        Shape shape = new(N, C);
        Tensor New(DType dtype = DType.Float32) => device.NewTensor(dtype, shape);
        Tensor ids = device.NewTensor(DType.Int32, new Shape(4));
        Tensor count = device.NewTensor(DType.Int32, new Shape(1));
        ids.CopyFrom<int>([1, 2, 30, 63]);
        count.CopyFrom<int>([4]);
        RowSparseGradient rows = new(ids, device.NewTensor(DType.Float32, new Shape(4, C)), count);
        AdamWParameter sparse = new(New(), rows, New(), New(), New(DType.BFloat16)) { WeightDecay = 0.1 };
        using AdamWParameters parameters = new(device, new AdamWParameter(New(), New(), New(), New(), New(DType.BFloat16)), sparse);
        Tensor norm = device.NewTensor(DType.Float32, new Shape(GradientNorm.ResultLength));
        GradientNorm.Run(parameters, 1, norm);
        AdamW.Step(parameters, new AdamWSettings(1e-3, 1), norm);
        device.Synchronize();
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void RetrievalRanks(DType dtype) => AssertLeast(4, device =>
    {
        Tensor queries = device.NewTensor(dtype, new Shape(128, 128));
        Tensor targets = device.NewTensor(DType.Int32, new Shape(128));
        Kernels.RetrievalRanks.Run(queries, device.NewTensor(dtype, new Shape(256, 128)), targets, targets);
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void Linear(DType dtype) => AssertLeast(6, device =>
    {
        Tensor x = device.NewTensor(dtype, new Shape(N, C));
        Tensor w = device.NewTensor(dtype, new Shape(128, C));
        Tensor y = device.NewTensor(dtype, new Shape(N, 128));
        Tensor bias = device.NewTensor(DType.Float32, new Shape(128));
        Kernels.Linear.Forward(x, w, bias, y);
        Kernels.Linear.Backward(y, x, w, x, device.NewTensor(DType.Float32, new Shape(128, C)), bias);
    });

    [Theory]
    [MemberData(nameof(Storage))]
    public void PatchEmbedding(DType dtype) => AssertLeast(dtype == DType.Float32 ? 7 : 8, device =>
    {
        // Patches of 16 x 16, and bfloat16 gradients widened for the float32 product.
        Tensor pixels = device.NewTensor(DType.Float32, new Shape(2, 3, 64, 64));
        Tensor w = device.NewTensor(DType.Float32, new Shape(128, C));
        Tensor channels = device.NewTensor(DType.Float32, new Shape(128));
        Tensor position = device.NewTensor(DType.Float32, new Shape(17, 128));
        Tensor y = device.NewTensor(dtype, new Shape(2 * 17, 128));
        Kernels.PatchEmbedding.Forward(pixels, w, channels, channels, position, y, 16);
        Kernels.PatchEmbedding.Backward(y, pixels, w, channels, channels, position, 16);
    });

    private static void AssertLeast(int kernels, Action<CudaDevice> run)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        run(device);
        device.Synchronize();
        IReadOnlyList<(string Name, KernelCounters Counters)> counted = [.. device.Emulation!.ReadCounters().Select(pair => (pair.Key, pair.Value))];
        Assert.Equal(kernels, counted.Count);
        foreach ((string name, KernelCounters counters) in counted)
        {
            Assert.True(counters.GlobalSectorCount > 0, $"{name} has touched nothing.");
            Assert.True(
                counters.GlobalSectorCount <= 1.05 * counters.MinGlobalSectorCount,
                $"{name}: {counters.GlobalSectorCount} sectors, {counters.MinGlobalSectorCount} would do");
            Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
        }
    }
}
