using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>The emulated device's footprint: each sector that a launch reads counts once, whoever reads it how often, and each that it writes once more.</summary>
public sealed class FootprintTests
{
    private const int N = 48;
    private const int C = 768;
    private const long TensorSectors = N * C * 4 / 32;

    [Fact]
    public void ASectorCountsOnceAsReadAndOnceAsWrittenALaunch()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { CountsFootprint = true });
        Tensor x = device.NewTensor(DType.Float32, new Shape(N, C));
        Tensor y = device.NewTensor(DType.Float32, new Shape(N, C));
        Residual.Add(x, y, y);
        Residual.Add(x, y, device.NewTensor(DType.Float32, new Shape(N, C)));
        Assert.Equal((3 + 3) * TensorSectors, device.Emulation!.ReadCounters()["residual_add_f32"].FootprintSectorCount);
    }

    [Fact]
    public void RowsReadThreeTimesCountOnce()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { CountsFootprint = true });
        Tensor x = device.NewTensor(DType.Float32, new Shape(N, C));
        Tensor weight = device.NewTensor(DType.Float32, new Shape(C));
        Tensor statistics = device.NewTensor(DType.Float32, new Shape(N));
        LayerNorm.Forward(x, weight, weight, device.NewTensor(DType.Float32, new Shape(N, C)), statistics, device.NewTensor(DType.Float32, new Shape(N)), 1e-5f);
        KernelCounters counters = device.Emulation!.ReadCounters()["layernorm_fwd_f32"];
        Assert.Equal((2 * TensorSectors) + (C * 4 / 32) + (2 * N * 4 / 32), counters.FootprintSectorCount);
        Assert.True(counters.GlobalSectorCount > 3 * TensorSectors);
    }

    [Fact]
    public void ItIsNotCountedUnlessAskedFor()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor x = device.NewTensor(DType.Float32, new Shape(1, 8));
        Residual.Add(x, x, x);
        Assert.Equal(0, device.Emulation!.ReadCounters()["residual_add_f32"].FootprintSectorCount);
    }

    [Fact]
    public void SharedMemoryIsWhatABlockHas()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        Tensor qkv = device.NewTensor(DType.BFloat16, new Shape(4, 3 * 64));
        Tensor ends = device.NewTensor(DType.Int32, new Shape(2));
        ends.CopyFrom<int>([0, 4]);
        Attention.Forward(qkv, ends, device.NewTensor(DType.BFloat16, new Shape(4, 64)), device.NewTensor(DType.Float32, new Shape(4, 1)), 1);

        // 64 queries and two stages of 64 keys and values, 64 columns of two bytes.
        Assert.Equal(5 * 64 * 64 * 2, device.Emulation!.ReadCounters()["attention_fwd_bf16_64"].SharedByteCount);
    }
}
