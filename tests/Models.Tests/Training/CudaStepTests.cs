using System.Globalization;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>
/// The whole training step of two tiny towers on the emulated CUDA device, from captions and pictures to new weights: as on the CPU, and
/// to the bit the same whether its operations are issued one by one or replayed from a graph.
/// </summary>
public sealed class CudaStepTests
{
    private const int Steps = 5;

    public static TheoryData<ulong, MatMulPrecision> Variations() => new()
    {
        { 0, MatMulPrecision.Float32 },
        { 1, MatMulPrecision.Float32 },
        { 2, MatMulPrecision.BFloat16 },
    };

    [Theory]
    [MemberData(nameof(Variations))]
    public void FiveStepsAreTheCpusAndAReplayedGraphHasTheBitsOfTheEagerStep(ulong seed, MatMulPrecision precision)
    {
        using CpuDevice cpu = new(1);
        cpu.MatMulPrecision = precision;
        Trained expected = Train(cpu, capturesGraphs: false);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        eagerDevice.MatMulPrecision = precision;
        Trained eager = Train(eagerDevice, capturesGraphs: false);
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        replayDevice.MatMulPrecision = precision;
        Trained replayed = Train(replayDevice, capturesGraphs: true);

        Assert.Equal(0, eager.Replays);
        Assert.InRange(replayed.Replays, 3, Steps - 1);
        Assert.Equal(eager.Figures, replayed.Figures);
        foreach ((string name, float[] weights) in eager.Weights)
        {
            Assert.True(weights.AsSpan().SequenceEqual(replayed.Weights[name]), $"{name} differs between the eager and the replayed step.");
        }

        // Sums are added in another order; where an operand lies between two bfloat16 numbers, it may fall either way. Measured: losses
        // 3e-7 apart (bfloat16 1.2e-3), norms 4e-7 (6e-3), updates at most 1.1e-4 of their size (0.023).
        double lossTolerance = precision == MatMulPrecision.Float32 ? 3e-6 : 4e-3;
        double updateTolerance = precision == MatMulPrecision.Float32 ? 1e-3 : 0.07;
        for (int i = 0; i < Steps; i++)
        {
            Assert.Equal(expected.Figures[i].Loss, eager.Figures[i].Loss, lossTolerance * expected.Figures[i].Loss);
            Assert.Equal(expected.Figures[i].GradientNorm, eager.Figures[i].GradientNorm, 10 * lossTolerance * expected.Figures[i].GradientNorm);
            Assert.Equal(expected.Figures[i].Scale, eager.Figures[i].Scale, 1e-4);
        }

        int compared = 0;
        foreach ((string name, float[] weights) in expected.Weights.Where(w => !CudaTrainer.HasNoGradient(w.Key)))
        {
            double error = Math.Sqrt(weights.Zip(eager.Weights[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            double update = Math.Sqrt(weights.Zip(expected.Initial[name], (a, b) => Math.Pow((double)a - b, 2)).Sum());
            Assert.True(update > 0, $"{name} was not trained.");
            Assert.True(
                error <= updateTolerance * update,
                string.Create(CultureInfo.InvariantCulture, $"{name}: its update differs by {error / update:G3} of its size."));
            compared++;
        }

        Assert.InRange(compared, 50, 80);
    }

    [Theory]
    [InlineData(MatMulPrecision.Float32)]
    [InlineData(MatMulPrecision.BFloat16)]
    public void WithCublasReplayedGraphsHaveTheBitsOfTheEagerSteps(MatMulPrecision precision)
    {
        // Batches of several numbers of tokens in one capacity and in several: what lies behind the last token adds nothing.
        using CpuDevice cpu = new(1);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        cpu.MatMulPrecision = eagerDevice.MatMulPrecision = replayDevice.MatMulPrecision = precision;
        eagerDevice.MatMulEngine = replayDevice.MatMulEngine = MatMulEngine.Cublas;
        using CudaTrainer expected = new(cpu, capturesGraphs: false);
        using CudaTrainer eager = new(eagerDevice, capturesGraphs: false, tokensPerCapacity: 16);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, tokensPerCapacity: 16);
        double tolerance = precision == MatMulPrecision.Float32 ? 3e-6 : 4e-3;
        for (int step = 1; step <= 8; step++)
        {
            StepFigures figures = eager.Step(step);
            Assert.Equal(figures, replayed.Step(step));
            StepFigures ofCpu = expected.Step(step);
            Assert.Equal(ofCpu.Loss, figures.Loss, step * tolerance * ofCpu.Loss);
            Assert.Equal(ofCpu.GradientNorm, figures.GradientNorm, 10 * step * tolerance * ofCpu.GradientNorm);
        }

        Assert.InRange(replayed.Replays, 3, 7);
        Assert.Contains(replayDevice.Emulation!.ReadCounters().Keys, k => k.StartsWith("cublas_gemm", StringComparison.Ordinal));
        Assert.DoesNotContain(replayDevice.Emulation.ReadCounters().Keys, k => k.StartsWith("matmul_n", StringComparison.Ordinal) || k.StartsWith("matmul_tn", StringComparison.Ordinal));
        CudaTrainer.AssertSameBits(eager, replayed);
    }

    [Theory]
    [InlineData(MatMulEngine.Own)]
    [InlineData(MatMulEngine.Cublas)]
    public void CopiesOfTheWeightsGiveTheBitsOfWeightsThatAreRoundedAtEachProduct(MatMulEngine engine)
    {
        using CudaDevice roundingDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(2));
        using CudaDevice copyingDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(2));
        roundingDevice.MatMulPrecision = copyingDevice.MatMulPrecision = MatMulPrecision.BFloat16;
        roundingDevice.MatMulEngine = copyingDevice.MatMulEngine = engine;
        using CudaTrainer rounding = new(roundingDevice, capturesGraphs: true);
        using CudaTrainer copying = new(copyingDevice, capturesGraphs: true, keepsCopies: true);
        for (int step = 1; step <= 3; step++)
        {
            Assert.Equal(rounding.Step(step), copying.Step(step));
        }

        CudaTrainer.AssertSameBits(rounding, copying);
        Assert.InRange(copying.Replays, 1, 2);
        int compared = 0;
        foreach (Parameter parameter in copying.Copied())
        {
            Assert.Equal(parameter.Value.ToArray<float>().Select(BFloat16.FromSingle), parameter.Copy.ToArray<BFloat16>());
            compared++;
        }

        Assert.Equal((3 * 6) + 2, compared);

        // Of each product's two operands the weight is there already.
        long Packs(CudaDevice device) => device.Emulation!.ReadCounters().Where(c => c.Key == "matmul_pack_f32_bf16").Sum(c => c.Value.InstructionCount);
        Assert.True(Packs(copyingDevice) < Packs(roundingDevice));
    }

    [Theory]
    [InlineData(MatMulEngine.Own, 3, 0, 0.1f)]
    [InlineData(MatMulEngine.Cublas, 3, 0, 0.1f)]
    [InlineData(MatMulEngine.Cublas, 0, 4, 0.1f)]
    [InlineData(MatMulEngine.Cublas, 3, 6, 0)]
    public void StepsInWhichTowersStandStillHaveGraphsOfTheirOwn(MatMulEngine engine, int headsOnlySteps, int textFrozenSteps, float dropout)
    {
        // Without dropout the text tower's rows are looked up while it stands still.
        using CpuDevice cpu = new(1);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        eagerDevice.MatMulEngine = replayDevice.MatMulEngine = engine;
        using CudaTrainer expected = new(cpu, capturesGraphs: false, headsOnlySteps: headsOnlySteps, textFrozenSteps: textFrozenSteps, dropout: dropout);
        using CudaTrainer eager = new(eagerDevice, capturesGraphs: false, headsOnlySteps: headsOnlySteps, textFrozenSteps: textFrozenSteps, dropout: dropout);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, headsOnlySteps: headsOnlySteps, textFrozenSteps: textFrozenSteps, dropout: dropout);
        Dictionary<string, float[]> before = replayed.Weights();
        Assert.All((string[])[TwoTowerModel.TextPrefix, TwoTowerModel.ImagePrefix], prefix => Assert.Contains(before.Keys, k => IsOf(k, prefix)));
        int lastStill = Math.Max(headsOnlySteps, textFrozenSteps);
        int steps = lastStill + 3;
        for (int step = 1; step <= steps; step++)
        {
            StepFigures ofCpu = expected.Step(step);
            StepFigures figures = eager.Step(step);
            Assert.Equal(figures, replayed.Step(step));
            Assert.Equal(ofCpu.Loss, figures.Loss, 3e-6 * step * ofCpu.Loss);
            Assert.Equal(ofCpu.GradientNorm, figures.GradientNorm, 3e-5 * step * ofCpu.GradientNorm);
            Assert.All(replayed.Weights().Where(w => IsOf(w.Key, TwoTowerModel.ImagePrefix)), w => Assert.True(step > headsOnlySteps || w.Value.AsSpan().SequenceEqual(before[w.Key]), w.Key));
            Assert.All(replayed.Weights().Where(w => IsOf(w.Key, TwoTowerModel.TextPrefix)), w => Assert.True(step > lastStill || w.Value.AsSpan().SequenceEqual(before[w.Key]), w.Key));
        }

        // The first step of each stretch is issued operation by operation.
        int stretches = (headsOnlySteps > 0 ? 1 : 0) + (textFrozenSteps > headsOnlySteps ? 1 : 0) + 1;
        Assert.InRange(replayed.Replays, stretches, steps - stretches);
        CudaTrainer.AssertSameBits(eager, replayed);

        // The first steps of a tower's moments move each element by the whole rate, whatever its gradient's size, so that one whose gradient is
        // hardly more than rounding goes either way. Measured: updates at most 2.1e-3 of their size apart.
        CudaTrainer.AssertNear(expected, eager, before, 1e-2);
    }

    [Theory]
    [InlineData(true, false, MatMulEngine.Cublas)]
    [InlineData(false, true, MatMulEngine.Cublas)]
    [InlineData(true, true, MatMulEngine.Own)]
    public void WhereATowerIsFrozenTheGraphReadsItsRows(bool text, bool image, MatMulEngine engine)
    {
        using CpuDevice cpu = new(1);
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        eagerDevice.MatMulEngine = replayDevice.MatMulEngine = engine;
        using CudaTrainer expected = new(cpu, capturesGraphs: false, freezesText: text, freezesImage: image);
        using CudaTrainer eager = new(eagerDevice, capturesGraphs: false, freezesText: text, freezesImage: image);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, freezesText: text, freezesImage: image);
        Dictionary<string, float[]> before = replayed.Weights();
        for (int step = 1; step <= 5; step++)
        {
            StepFigures ofCpu = expected.Step(step);
            StepFigures figures = eager.Step(step);
            Assert.Equal(figures, replayed.Step(step));
            Assert.Equal(ofCpu.Loss, figures.Loss, 3e-6 * step * ofCpu.Loss);
            Assert.Equal(ofCpu.GradientNorm, figures.GradientNorm, 3e-5 * step * ofCpu.GradientNorm);
        }

        Assert.InRange(replayed.Replays, 3, 5);
        CudaTrainer.AssertSameBits(eager, replayed);
        CudaTrainer.AssertNear(expected, eager, before, 2e-3);
    }

    [Fact]
    public void RowSparseGradientsInAReplayedGraphHaveTheBitsOfTheEagerStepAndOfDenseOnes()
    {
        using CpuDevice cpu = new(1);
        using CudaDevice denseDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        denseDevice.MatMulEngine = eagerDevice.MatMulEngine = replayDevice.MatMulEngine = MatMulEngine.Cublas;
        using CudaTrainer expected = new(cpu, capturesGraphs: false, isSparse: true);
        using CudaTrainer dense = new(denseDevice, capturesGraphs: true, tokensPerCapacity: 16);
        using CudaTrainer eager = new(eagerDevice, capturesGraphs: false, tokensPerCapacity: 16, isSparse: true);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, tokensPerCapacity: 16, isSparse: true);
        Dictionary<string, float[]> before = replayed.Weights();
        for (int step = 1; step <= 8; step++)
        {
            StepFigures ofCpu = expected.Step(step);
            StepFigures figures = eager.Step(step);
            Assert.Equal(figures, replayed.Step(step));
            StepFigures ofDense = dense.Step(step);
            Assert.Equal(ofCpu.Loss, figures.Loss, 3e-6 * step * ofCpu.Loss);
            Assert.Equal(ofDense.Loss, figures.Loss, 3e-6 * step * ofDense.Loss);
        }

        Assert.InRange(replayed.Replays, 3, 7);
        Assert.InRange(replayed.Capacities, 2, 5);
        CudaTrainer.AssertSameBits(eager, replayed);
        CudaTrainer.AssertNear(expected, eager, before, 2e-3);
        CudaTrainer.AssertNear(dense, eager, before, 2e-3);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AStepPutsNothingOnTheManagedHeap(bool capturesGraphs)
    {
        // Over a driver that does nothing, because the emulated one allocates. Uploads go through 64 pieces of page-locked memory in turns,
        // each of which has to have been large enough for the pictures once.
        IdleDriver driver = new();
        using CudaDevice device = new(driver, null, 0, "idle", poolsMemory: true);
        using CudaTrainer trainer = new(device, capturesGraphs, headsOnlySteps: 1);
        for (int step = 1; step <= 80; step++)
        {
            trainer.Step(step);
        }

        int allocations = driver.AllocationCount;
        int graphs = driver.GraphLaunchCount;
        int launches = driver.LaunchCount;
        for (int step = 81; step <= 90; step++)
        {
            Assert.Equal(0, trainer.HeapBytesOf(step));
        }

        Assert.Equal(allocations, driver.AllocationCount);
        Assert.Equal(capturesGraphs ? 10 : 0, driver.GraphLaunchCount - graphs);
        Assert.True(capturesGraphs ? driver.LaunchCount == launches : driver.LaunchCount > launches + 1000);
    }

    [Fact]
    public void GraphsOfSeveralCapacitiesTakeTurns()
    {
        // Capacities of a few tokens, so that batches of a few captions have several.
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        eagerDevice.MatMulEngine = replayDevice.MatMulEngine = MatMulEngine.Cublas;
        using CudaTrainer eager = new(eagerDevice, capturesGraphs: false, tokensPerCapacity: 6);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, tokensPerCapacity: 6);
        for (int step = 1; step <= 12; step++)
        {
            Assert.Equal(eager.Step(step), replayed.Step(step));
        }

        Assert.InRange(replayed.Capacities, 2, 8);
        Assert.InRange(replayed.Replays, 2, 10);
        Dictionary<string, float[]> weights = replayed.Weights();
        foreach ((string name, float[] expected) in eager.Weights())
        {
            Assert.True(expected.AsSpan().SequenceEqual(weights[name]), name);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AStepTakesNoMemoryAndWaitsOnce(bool capturesGraphs)
    {
        using CudaDevice device = CudaDevice.Emulate(new EmulationOptions());
        using CudaTrainer trainer = new(device, capturesGraphs);
        trainer.Step(1);
        trainer.Step(2);
        DeviceAudit before = device.Emulation!.Audit;
        trainer.Step(3);
        DeviceAudit after = device.Emulation!.Audit;
        Assert.Equal(before.AllocationCount, after.AllocationCount);
        Assert.Equal(1, after.SynchronizationCount - before.SynchronizationCount);
        Assert.Equal(capturesGraphs ? 1 : 0, after.GraphLaunchCount - before.GraphLaunchCount);
        Assert.InRange(after.LaunchCount - before.LaunchCount, 100, 400);

        // Loss, norm with factor and flag, scale.
        Assert.Equal((GradientFigures + 2) * sizeof(float), after.DeviceToHostByteCount - before.DeviceToHostByteCount);
    }

    private const int GradientFigures = 3;

    private static bool IsOf(string name, string prefix) => name.StartsWith(prefix, StringComparison.Ordinal);

    private static Trained Train(Device device, bool capturesGraphs)
    {
        using CudaTrainer trainer = new(device, capturesGraphs);
        Dictionary<string, float[]> initial = trainer.Weights();
        StepFigures[] figures = [.. Enumerable.Range(1, Steps).Select(step => trainer.Step(step))];
        return new Trained(initial, trainer.Weights(), figures, trainer.Replays);
    }

    private sealed record Trained(Dictionary<string, float[]> Initial, Dictionary<string, float[]> Weights, StepFigures[] Figures, int Replays);
}
