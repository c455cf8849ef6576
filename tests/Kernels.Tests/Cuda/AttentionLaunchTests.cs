using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>How attention is launched: lengths are read on the device, so a captured graph serves any batch of its capacity.</summary>
public sealed class AttentionLaunchTests
{
    private const int Capacity = 200;
    private const int Sequences = 6;
    private const int Heads = 2;
    private const int C = 48;

    [Theory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void AReplayedGraphEqualsTheEagerStepForOtherLengths(DType dtype)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { Interleaving = Interleaving.Random });
        Tensors full = new(device, dtype, Capacity, Sequences);
        full.Fill([40, 40, 40, 40, 20, 20]);
        full.Step();
        using CudaGraph graph = CudaGraph.Capture(device, full.Step);
        foreach (int[] lengths in (int[][])[[40, 40, 40, 40, 20, 20], [150], [3, 0, 70, 1], [1, 1, 1, 1, 1, 195]])
        {
            int n = lengths.Sum();
            Tensors eager = new(device, dtype, n, lengths.Length);
            eager.Fill(lengths);
            eager.Step();
            full.Fill(lengths);
            graph.Launch();
            Assert.Equal(Values(eager.Output), Values(full.Output.Rows(0, n)));
            Assert.Equal(eager.Lse.ToArray<float>(), full.Lse.Rows(0, n).ToArray<float>());
            Assert.Equal(Values(eager.DQkv), Values(full.DQkv.Rows(0, n)));
        }
    }

    [Fact]
    public void AHeadWiderThanTheKernelsIsRefusedByName()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        NotSupportedException e = Assert.Throws<NotSupportedException>(() => Attention.Forward(
            device.NewTensor(DType.Float32, new Shape(2, 3 * 129)),
            device.NewTensor(DType.Int32, new Shape(2)),
            device.NewTensor(DType.Float32, new Shape(2, 129)),
            device.NewTensor(DType.Float32, new Shape(2, 1)),
            1));
        Assert.Contains("129 columns", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheLargestTilesFitTheSmallerGpus()
    {
        // GPUs of compute capability 8.6 let a block have 99 KiB; the emulated one refuses more.
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions { ComputeCapability = 86 });
        foreach (DType dtype in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach (int size in (int[])[64, 128])
            {
                Tensor qkv = device.NewTensor(dtype, new Shape(1, 3 * size));
                Tensor output = device.NewTensor(dtype, new Shape(1, size));
                Tensor lse = device.NewTensor(DType.Float32, new Shape(1, 1));
                Tensor ends = device.NewTensor(DType.Int32, new Shape(2));
                ends.CopyFrom<int>([0, 1]);
                Attention.Forward(qkv, ends, output, lse, 1);
                Attention.Backward(output, qkv, ends, output, lse, device.NewTensor(dtype, new Shape(1, 3 * size)), 1);
            }
        }

        device.Synchronize();
    }

    private static float[] Values(in Tensor tensor) => tensor.DType == DType.Float32
        ? tensor.ToArray<float>()
        : Array.ConvertAll(tensor.ToArray<BFloat16>(), v => v.ToSingle());

    private sealed class Tensors(CudaDevice device, DType dtype, int n, int sequences)
    {
        private readonly Tensor _qkv = device.NewTensor(dtype, new Shape(n, 3 * C));
        private readonly Tensor _dOutput = device.NewTensor(dtype, new Shape(n, C));
        private readonly Tensor _ends = device.NewTensor(DType.Int32, new Shape(sequences + 1));

        public Tensor Output { get; } = device.NewTensor(dtype, new Shape(n, C));

        public Tensor Lse { get; } = device.NewTensor(DType.Float32, new Shape(n, Heads));

        public Tensor DQkv { get; } = device.NewTensor(dtype, new Shape(n, 3 * C));

        public void Fill(int[] lengths)
        {
            int[] ends = new int[sequences + 1];
            for (int s = 0; s < lengths.Length; s++)
            {
                ends[s + 1] = ends[s] + lengths[s];
            }

            // Sequences of the capacity that the batch does not have are empty.
            ends.AsSpan(lengths.Length + 1).Fill(ends[lengths.Length]);
            _ends.CopyFrom<int>(ends);
            Put(_qkv, 3 * C * ends[lengths.Length], 1);
            Put(_dOutput, C * ends[lengths.Length], 2);
        }

        public void Step()
        {
            Attention.Forward(_qkv, _ends, Output, Lse, Heads);
            Attention.Backward(_dOutput, _qkv, _ends, Output, Lse, DQkv, Heads);
        }

        private void Put(Tensor tensor, int count, uint seed)
        {
            float[] values = TestData.Normal(dtype, count, seed);
            float[] all = new float[tensor.Count];
            values.CopyTo(all, 0);
            if (dtype == DType.Float32)
            {
                tensor.CopyFrom<float>(all);
            }
            else
            {
                tensor.CopyFrom<BFloat16>(Array.ConvertAll(all, BFloat16.FromSingle));
            }
        }
    }
}
