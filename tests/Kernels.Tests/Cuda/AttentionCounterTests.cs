using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>
/// What the attention kernels cost on a sequence of 256 tokens: on the tensor cores no bank conflicts and no products beyond those of the
/// tiles; sectors of global memory within 5 % of the least.
/// </summary>
public sealed class AttentionCounterTests
{
    private const int N = 256;
    private const int Heads = 2;

    // Products of a tile: two in the forward pass, three where dq is made, four where dk and dv are.
    private static readonly (string Pass, int Products)[] s_passes = [("attention_fwd", 2), ("attention_bwd_queries", 3), ("attention_bwd_keys", 4)];

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(80)]
    [InlineData(96)]
    [InlineData(128)]
    public void TensorCoresRunWithoutBankConflictsOrSuperfluousProducts(int size)
    {
        Dictionary<string, KernelCounters> counted = Count(DType.BFloat16, size, causal: false);
        foreach ((string pass, int products) in s_passes)
        {
            KernelCounters counters = counted[$"{pass}_bf16_{size}"];
            Assert.Equal(2L * products * N * N * size * Heads, counters.MmaOperationCount);
            Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
            Assert.InRange(counters.GlobalSectorCount, 1, (long)(1.05 * counters.MinGlobalSectorCount));
        }

        Assert.Equal(s_passes.Length, counted.Count);
    }

    [Fact]
    public void HiddenKeysCostNoProducts()
    {
        // Four tiles of 64 queries see one to four tiles of 64 keys: 10 of 16.
        Dictionary<string, KernelCounters> counted = Count(DType.BFloat16, 64, causal: true);
        foreach ((string pass, int products) in s_passes)
        {
            Assert.Equal(2L * products * N * N * 64 * Heads * 10 / 16, counted[$"{pass}_bf16_64"].MmaOperationCount);
        }
    }

    [Fact]
    public void AHeadOf24ColumnsIsPaddedTo32()
    {
        // Its rows of 48 bytes share sectors of 32 with their neighbours, so sectors are not pinned here.
        Dictionary<string, KernelCounters> counted = Count(DType.BFloat16, 24, causal: false);
        foreach ((string pass, int products) in s_passes)
        {
            KernelCounters counters = counted[$"{pass}_bf16_32"];
            Assert.Equal(2L * products * N * N * 32 * Heads, counters.MmaOperationCount);
            Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
        }
    }

    [Theory]
    [InlineData(24)]
    [InlineData(64)]
    public void Float32RunsWithoutBankConflictsAndTensorCores(int size)
    {
        int padded = size <= 32 ? 32 : size;
        Dictionary<string, KernelCounters> counted = Count(DType.Float32, size, causal: false);
        foreach ((string pass, _) in s_passes)
        {
            KernelCounters counters = counted[$"{pass}_f32_{padded}"];
            Assert.Equal(0, counters.MmaOperationCount);
            Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
            Assert.InRange(counters.GlobalSectorCount, 1, (long)(1.05 * counters.MinGlobalSectorCount));
        }
    }

    private static Dictionary<string, KernelCounters> Count(DType dtype, int size, bool causal)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        int c = Heads * size;
        Tensor qkv = device.NewTensor(dtype, new Shape(N, 3 * c));
        Tensor output = device.NewTensor(dtype, new Shape(N, c));
        Tensor lse = device.NewTensor(DType.Float32, new Shape(N, Heads));
        Tensor ends = device.NewTensor(DType.Int32, new Shape(2));
        ends.CopyFrom<int>([0, N]);
        Attention.Forward(qkv, ends, output, lse, Heads, causal);
        Attention.Backward(output, qkv, ends, output, lse, device.NewTensor(dtype, new Shape(N, 3 * c)), Heads, causal);
        device.Synchronize();
        return device.Emulation!.ReadCounters().ToDictionary(pair => pair.Key, pair => pair.Value);
    }
}
