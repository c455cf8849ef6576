using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Training;

/// <summary>Batches of several sizes, and batches that go through the towers in parts, on the emulated CUDA device: graphs have the bits of steps that are issued operation by operation.</summary>
public sealed class CudaPartsTests
{
    [Theory]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, false)]
    [InlineData(MatMulPrecision.BFloat16, MatMulEngine.Own, false)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Own, true)]
    [InlineData(MatMulPrecision.Float32, MatMulEngine.Cublas, false)]
    public void BatchesOfSeveralSizesReplayOneGraphWithTheBitsOfStepsOnTensorsAsLargeAsTheBatch(MatMulPrecision precision, MatMulEngine engine, bool freezesText)
    {
        using CudaDevice exactDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        exactDevice.MatMulPrecision = replayDevice.MatMulPrecision = precision;
        exactDevice.MatMulEngine = replayDevice.MatMulEngine = engine;
        using CudaTrainer exact = new(exactDevice, capturesGraphs: false, freezesText: freezesText, readsHostInputs: true);
        using CudaTrainer replayed = new(replayDevice, capturesGraphs: true, freezesText: freezesText);
        int[] sizes = [6, 4, 1, 6];
        for (int step = 1; step <= sizes.Length; step++)
        {
            Assert.Equal(exact.Step(step, sizes[step - 1]), replayed.Step(step, sizes[step - 1]));
        }

        Assert.Equal((1, sizes.Length - 1, 1), (replayed.Captures, replayed.Replays, replayed.Capacities));
        CudaTrainer.AssertSameBits(exact, replayed);
    }

    [Theory]
    [InlineData(Accumulation.Plain, 1, 4, 0.1f, false, MatMulEngine.Cublas)]
    [InlineData(Accumulation.Plain, 2, 3, 0.1f, false, MatMulEngine.Own)]
    [InlineData(Accumulation.Plain, 2, 4, 0, false, MatMulEngine.Cublas)]
    [InlineData(Accumulation.Exact, 1, 4, 0.1f, false, MatMulEngine.Own)]
    [InlineData(Accumulation.Exact, 2, 4, 0.1f, false, MatMulEngine.Cublas)]
    [InlineData(Accumulation.Exact, 1, 4, 0, true, MatMulEngine.Cublas)]
    public void MicroBatchesReplayGraphsWithTheBitsOfPartsThatAreIssuedOneByOne(
        Accumulation accumulate, int captions, int microBatchSize, float dropout, bool freezesText, MatMulEngine engine)
    {
        // Six pictures in parts of three and three, or four and two. cuBLAS's products are quicker to emulate.
        using CudaDevice eagerDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        using CudaDevice replayDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(1));
        eagerDevice.MatMulEngine = replayDevice.MatMulEngine = engine;
        using CudaTrainer eager = New(eagerDevice, capturesGraphs: false);
        using CudaTrainer replayed = New(replayDevice, capturesGraphs: true);
        for (int step = 1; step <= 3; step++)
        {
            Assert.Equal(eager.Step(step), replayed.Step(step));
        }

        int captures = replayed.Captures;
        int replays = replayed.Replays;
        const int More = 1;
        for (int step = 4; step <= 3 + More; step++)
        {
            Assert.Equal(eager.Step(step), replayed.Step(step));
        }

        // Begin and end, and each part once, or twice with the loss between; several sets of captions of a smaller part are not cut apart.
        int stages = accumulate == Accumulation.Exact ? 2 + 1 + (2 * 2) : captions > 1 && microBatchSize == 4 ? 2 + 1 : 2 + 2;
        Assert.Equal((captures, More * stages), (replayed.Captures, replayed.Replays - replays));
        Assert.InRange(captures, accumulate == Accumulation.Exact ? 5 : 3, 8);
        Assert.Equal(0, eager.Replays);
        CudaTrainer.AssertSameBits(eager, replayed);

        CudaTrainer New(CudaDevice device, bool capturesGraphs) => new(
            device, capturesGraphs, dropout: dropout, freezesText: freezesText, accumulate: accumulate, microBatchSize: microBatchSize, captions: captions);
    }
}
