using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>What changes from step to step is read from the device, so that a captured graph makes each step with its own numbers.</summary>
public sealed class ReplayTests
{
    [Fact]
    public void AReplayDropsByTheKeyThatWasWrittenLast()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        const int N = 12;
        const int C = 20;
        Tensor input = device.NewTensor(DType.Float32, new Shape(N, C));
        Tensor output = device.NewTensor(DType.Float32, new Shape(N, C));
        Tensor keys = device.NewTensor(DType.Int32, new Shape(N, 2));
        Tensor storedKey = device.NewTensor(DType.Int32, DropoutSite.StoredKeyShape);
        keys.CopyFrom<int>([.. Enumerable.Range(0, 2 * N)]);
        input.CopyFrom<float>(TestData.Normal(DType.Float32, N * C, 1));
        DropoutSite eager = new(0.5f, 0, 3, keys);
        DropoutSite captured = eager with { StoredKey = storedKey };
        void Step(in DropoutSite site)
        {
            Dropout.Forward(input, output, site);
            Dropout.Backward(output, output, site);
        }

        Step(captured);
        using CudaGraph graph = CudaGraph.Capture(device, () => Step(captured));
        float[]? before = null;
        foreach (ulong key in (ulong[])[7, 0x1_0000_0007, 8])
        {
            DropoutSite.WriteKey(key, storedKey);
            graph.Launch();
            float[] replayed = output.ToArray<float>();
            Step(eager with { Key = key });
            Assert.Equal(output.ToArray<float>(), replayed);
            Assert.NotEqual(before, replayed);
            before = replayed;
        }
    }
}
