using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;
using CrossAlign.Runtime.Tests.Cuda;

namespace CrossAlign.Models.Tests.Training;

/// <summary>What the next step reads goes to the CUDA device beside the work of the one under way: nothing that is computed changes, and every wait between the two is needed.</summary>
public sealed class CudaUploadTests
{
    [Theory]
    [InlineData(0, true, 3)]
    [InlineData(2, false, 2)]
    public void StepsThatWerePreparedHaveTheBitsOfStepsThatWereNot(ulong seed, bool capturesGraphs, int steps) => AssertSame(
        seed, (device, prepares) => new CudaTrainer(device, capturesGraphs, picturesOfNext: prepares), [.. Enumerable.Repeat(CudaTrainer.BatchSize, steps)]);

    [Fact]
    public void BatchesOfSeveralSizesAndCapacitiesAreMadeReadyAsTheyCome() =>
        AssertSame(1, (device, prepares) => new CudaTrainer(device, capturesGraphs: true, tokensPerCapacity: 16, picturesOfNext: prepares), 6, 2, 6, 2);

    // Without dropout the rows of the text tower are looked up while it stands still.
    [Fact]
    public void WhereTowersBeginToMoveWhatWasMadeReadyBeforeIsMadeReadyAgain() => AssertSame(
        2, (device, prepares) => new CudaTrainer(device, capturesGraphs: true, headsOnlySteps: 1, textFrozenSteps: 2, dropout: 0, picturesOfNext: prepares), 6, 6, 6);

    // Six pictures in parts of four and two; of two sets of captions the smaller part is issued from the host. Then in three parts, twice each.
    [Theory]
    [InlineData(Accumulation.Plain, 2, 4, false)]
    [InlineData(Accumulation.Exact, 1, 2, true)]
    public void SoAreMicroBatches(Accumulation accumulate, int captions, int microBatchSize, bool freezesImage) => AssertSame(
        2,
        (device, prepares) => new CudaTrainer(device, capturesGraphs: true, freezesImage: freezesImage, accumulate: accumulate, microBatchSize: microBatchSize, captions: captions, picturesOfNext: prepares),
        6, 6);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheNextUploadIsOnItsWayBeforeTheStepIsWaitedFor(bool capturesGraphs)
    {
        WatchedDriver driver = new(new EmulationOptions());
        using CudaDevice device = new(driver, null, 0, "watched", poolsMemory: false);
        using CudaTrainer trainer = new(device, capturesGraphs, picturesOfNext: _ => CudaTrainer.BatchSize);
        int last = capturesGraphs ? 3 : 2;
        for (int step = 1; step < last; step++)
        {
            trainer.Step(step);
        }

        driver.Calls.Clear();
        trainer.Step(last);
        List<StreamCall> calls = driver.Calls;
        int ofWork = calls.FindLastIndex(c => c.Kind == (capturesGraphs ? StreamCallKind.GraphLaunch : StreamCallKind.Launch));
        int firstCopy = calls.FindIndex(c => c.Kind == StreamCallKind.CopyFromHost);
        int lastCopy = calls.FindLastIndex(c => c.Kind == StreamCallKind.CopyFromHost);
        int waited = calls.FindIndex(c => c.Kind == StreamCallKind.Synchronize);
        Assert.True(ofWork >= 0 && ofWork < firstCopy && lastCopy < waited, $"work {ofWork}, copies {firstCopy} to {lastCopy}, wait {waited}");

        // Pixels, captions and what else a step reads: nothing of it goes through the stream of the work.
        Assert.InRange(lastCopy - firstCopy, 8, 16);
        Assert.All(calls.Where(c => c.Kind == StreamCallKind.CopyFromHost), c => Assert.Equal(1, c.Stream));
        Assert.Equal(1, calls.Count(c => c.Kind == StreamCallKind.Synchronize));

        // Each stream waits once for the other: before what is delivered, and before what is sent.
        Assert.Equal([0, 1], calls.Where(c => c.Kind == StreamCallKind.Wait).Select(c => c.Stream));
    }

    [Theory]
    [InlineData(LostWait.OfOperationsForCopies, Accumulation.None, Interleaving.Forward)]
    [InlineData(LostWait.OfCopiesForOperations, Accumulation.None, Interleaving.Reverse)]
    [InlineData(LostWait.OfHostForCopies, Accumulation.Exact, Interleaving.Forward)]
    public void AStepWithoutOneOfTheWaitsIsAnotherStep(LostWait lost, Accumulation accumulate, Interleaving interleaving)
    {
        // One step of parts has uploads enough.
        int steps = accumulate == Accumulation.None ? 2 : 1;
        EmulationOptions options = new() { Interleaving = interleaving };
        (StepFigures[] expected, int none) = Run(LostWait.None);
        Assert.Equal(0, none);
        StepFigures[]? actual = null;
        int lostCount = 1;
        try
        {
            (actual, lostCount) = Run(lost);
        }
        catch (CudaException)
        {
            // Tokens that are none, places that are none.
        }

        Assert.True(lostCount > 0);
        Assert.NotEqual(expected, actual);

        (StepFigures[] Figures, int LostCount) Run(LostWait lost)
        {
            WatchedDriver driver = new(options, lost);
            using CudaDevice device = new(driver, null, 0, "watched", poolsMemory: false);
            using CudaTrainer trainer = new(
                device, capturesGraphs: true, accumulate: accumulate, microBatchSize: accumulate == Accumulation.None ? CudaTrainer.BatchSize : 2, picturesOfNext: _ => CudaTrainer.BatchSize);
            return ([.. Enumerable.Range(1, steps).Select(step => trainer.Step(step))], driver.LostCount);
        }
    }

    private static void AssertSame(ulong seed, Func<CudaDevice, Func<int, int>?, CudaTrainer> create, params int[] sizes)
    {
        using CudaDevice plainDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        using CudaDevice preparedDevice = CudaDevice.Emulate(EmulationOptions.ForSeed(seed));
        plainDevice.MatMulEngine = preparedDevice.MatMulEngine = MatMulEngine.Cublas;
        using CudaTrainer plain = create(plainDevice, null);
        int SizeOf(int step) => sizes[Math.Min(step, sizes.Length) - 1];
        using CudaTrainer prepared = create(preparedDevice, SizeOf);
        for (int step = 1; step <= sizes.Length; step++)
        {
            Assert.Equal(plain.Step(step, SizeOf(step)), prepared.Step(step, SizeOf(step)));
        }

        CudaTrainer.AssertSameBits(plain, prepared);
    }
}
