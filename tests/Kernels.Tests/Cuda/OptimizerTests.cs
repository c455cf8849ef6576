using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>The optimiser on CUDA: a few launches for all tensors, the CPU's bits, and replays with new numbers.</summary>
public sealed class OptimizerTests
{
    private static readonly int[] s_counts = [1, 7, 96, 1000, 8192, 8193, 20_000];

    [Fact]
    public void AStepHasTheBitsOfTheCpu()
    {
        using CpuDevice cpu = new(1);
        using CudaDevice cuda = CudaDevice.Emulate(EmulationOptions.ForSeed(2));
        using Optimised expected = new(cpu);
        using Optimised actual = new(cuda);
        for (int step = 1; step <= 3; step++)
        {
            AdamWSettings settings = new(1e-2 / step, step);
            foreach (Optimised o in (Optimised[])[expected, actual])
            {
                o.FillGradients(step);
                o.Norm.CopyFrom<float>([1, 0.3f * step, 1]);
                AdamW.Step(o.Parameters, settings, o.Norm);
            }

            Assert.Equal(expected.Weights(), actual.Weights());
        }
    }

    [Fact]
    public void AStepIsThreeLaunchesWithoutWaitingOrTakingMemory()
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using Optimised o = new(device);
        o.FillGradients(1);
        o.Step(1);
        device.Synchronize();
        DeviceAudit before = device.Emulation!.Audit;
        o.Step(2);
        DeviceAudit issued = device.Emulation!.Audit;
        device.Synchronize();
        Assert.Equal(before.SynchronizationCount, issued.SynchronizationCount);
        Assert.Equal(before.AllocationCount, issued.AllocationCount);
        Assert.Equal(3, device.Emulation!.Audit.LaunchCount - before.LaunchCount);
    }

    [Fact]
    public void AReplayMakesTheStepWhoseSettingsWereWrittenLast()
    {
        using CudaDevice device = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using Optimised eager = new(device);
        using Optimised replayed = new(device);
        Tensor stored = device.NewTensor(DType.Float32, new Shape(AdamWSettings.StoredLength));
        void Issue()
        {
            GradientNorm.Run(replayed.Parameters, 1, replayed.Norm, 0.5);
            AdamW.Step(replayed.Parameters, stored, replayed.Norm);
        }

        // Gradients that are not finite: this step changes nothing, and the graph finds its kernels loaded.
        replayed.FillGradients(1, float.NaN);
        Issue();
        using CudaGraph graph = CudaGraph.Capture(device, Issue);
        for (int step = 1; step <= 4; step++)
        {
            float wrong = step == 3 ? float.PositiveInfinity : 0;
            eager.FillGradients(step, wrong);
            replayed.FillGradients(step, wrong);
            eager.Step(step);
            Settings(step).Store(stored);
            graph.Launch();
            Assert.Equal(eager.Norm.ToArray<float>(), replayed.Norm.ToArray<float>());
            Assert.Equal(step == 3 ? 0 : 1, replayed.Norm.ToArray<float>()[2]);
            Assert.Equal(eager.Weights(), replayed.Weights());
        }
    }

    [Theory]
    [InlineData(80)]
    [InlineData(1)]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void ARowIsLookedForAmongTheTouchedOnesAlone(int count)
    {
        // Eighty rows in the middle of a table, their numbers in the middle of memory that nobody may read; a count that is none of
        // theirs is cut to the room for them.
        const int V = 200, C = 5, Room = 80, First = 60;
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        int touched = Math.Clamp(count, 0, Room);
        int[] rows = [.. Enumerable.Range(First, Room)];
        Tensor numbers = device.NewTensor(DType.Int32, new Shape(V));
        numbers.CopyFrom<int>([.. Enumerable.Range(0, V)]);
        RowSparseGradient gradient = new(numbers.Rows(First, Room), device.NewTensor(DType.Float32, new Shape(Room, C)), device.NewTensor(DType.Int32, new Shape(1)));
        gradient.Values.CopyFrom<float>(TestData.Normal(DType.Float32, Room * C, 3, 1, 4));
        gradient.RowCount.CopyFrom<int>([count]);
        Shape shape = new(V, C);
        Tensor weight = device.NewTensor(DType.Float32, shape);
        Tensor norm = device.NewTensor(DType.Float32, new Shape(GradientNorm.ResultLength));
        using AdamWParameters all = new(
            device, new AdamWParameter(weight, gradient, device.NewTensor(DType.Float32, shape), device.NewTensor(DType.Float32, shape)));
        device.Synchronize();
        foreach (Tensor outside in (Tensor[])[numbers.Rows(0, First), numbers.Rows(First + touched, V - First - touched)])
        {
            device.Emulation!.MarkUninitialised(outside.Address, outside.ByteCount);
        }

        GradientNorm.Run(all, double.PositiveInfinity, norm);
        AdamW.Step(all, new AdamWSettings(1, 1), norm);
        float[] actual = weight.ToArray<float>();
        Assert.Equal(rows[..touched], Enumerable.Range(0, V).Where(row => actual.AsSpan(row * C, C).ContainsAnyExcept(0f)));
        double squares = gradient.Values.ToArray<float>().Take(touched * C).Sum(v => (double)v * v);
        Assert.Equal(Math.Sqrt(squares), norm.ToArray<float>()[0], 1e-4);
    }

    private static AdamWSettings Settings(int step) => new(1e-2 / step, step);

    private sealed class Optimised : IDisposable
    {
        public Optimised(Device device)
        {
            AdamWParameter[] parameters = new AdamWParameter[s_counts.Length];
            for (int t = 0; t < parameters.Length; t++)
            {
                Shape shape = new(s_counts[t]);
                Tensor weight = device.NewTensor(DType.Float32, shape);
                weight.CopyFrom<float>(TestData.Normal(DType.Float32, shape.Count, (uint)t));
                parameters[t] = new AdamWParameter(
                    weight, device.NewTensor(DType.Float32, shape), device.NewTensor(DType.Float32, shape), device.NewTensor(DType.Float32, shape))
                {
                    LearningRateFactor = 1 + (0.1 * t),
                    WeightDecay = t % 2 == 0 ? 0.1 : 0,
                    Maximum = t == 3 ? 1 : float.PositiveInfinity,
                };
            }

            Parameters = new AdamWParameters(device, parameters);
            Norm = device.NewTensor(DType.Float32, new Shape(GradientNorm.ResultLength));
        }

        public AdamWParameters Parameters { get; }

        public Tensor Norm { get; }

        public void FillGradients(int step, float wrong = 0)
        {
            for (int t = 0; t < Parameters.Count; t++)
            {
                float[] values = TestData.Normal(DType.Float32, s_counts[t], (uint)((100 * step) + t));
                values[^1] += t == 5 ? wrong : 0;
                Parameters[t].Gradient.CopyFrom<float>(values);
            }
        }

        public void Step(int step)
        {
            GradientNorm.Run(Parameters, 1, Norm, 0.5);
            AdamW.Step(Parameters, Settings(step), Norm);
        }

        public float[] Weights() => [.. Enumerable.Range(0, Parameters.Count).SelectMany(t => Parameters[t].Weight.ToArray<float>())];

        public void Dispose() => Parameters.Dispose();
    }
}
