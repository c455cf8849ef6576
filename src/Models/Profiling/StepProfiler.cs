using System.Diagnostics;
using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>Takes training steps apart: where their time goes. The steps are those that <see cref="TrainingRun"/> takes, without evaluations and checkpoints.</summary>
public static class StepProfiler
{
    // The arena grows after the first step, and code is compiled during the first two.
    private const int WarmUpSteps = 3;

    /// <summary>Trains some steps and times them.</summary>
    /// <param name="config">What is trained; its number of steps is not looked at.</param>
    /// <param name="data">What it is trained on.</param>
    /// <param name="steps">Steps that are timed.</param>
    /// <param name="operations">Whether each operation is timed too, in as many further steps.</param>
    /// <param name="cancellation">Ends the measurement after the current step; the steps so far are what counts.</param>
    /// <returns>The profile.</returns>
    /// <exception cref="UserErrorException">The configuration cannot be trained, or does not fit into memory.</exception>
    /// <exception cref="OperationCanceledException">Stopped before any step was timed.</exception>
    public static StepProfile Run(RunConfig config, CaptionedPictures data, int steps, bool operations, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        TrainerLimits.Check(config);
        ITokenizer tokenizer = TowerFactory.MakeTokenizer(config, data);
        TrainingMemory memory = TrainingMemory.Predict(config with { EvaluateEvery = 0 }, data, tokenizer);
        memory.Require(MachineMemory.AvailableByteCount());
        using CpuDevice device = new(config.Threads);
        using ProductSettings products = ProductSettings.Apply(device, config);
        using TwoTowerModel model = TowerFactory.Create(config, tokenizer, device, static _ => { });
        int microBatch = TrainingMemory.MicroBatchOf(config);
        TowerInputs inputs = TowerInputs.Of(config, config.ImageTower.From, model.Image?.Config);
        PairedCaptionSource captions = new(config, data, tokenizer, model, inputs, microBatch);
        TimedSource source = new(captions);
        captions.AllocateGradients(model);
        StepClock clock = new(device);
        using ContrastiveStep step = new(model, config, microBatch, clock);
        using Optimizer optimizer = new(model, config, step.LossCount);
        int total = WarmUpSteps + (steps * (operations ? 2 : 1));
        int timed = 0;
        TimeSpan whole = TimeSpan.Zero;
        PartTime[] parts = [];
        using BatchLoader loader = new(source, 1, total);
        OperationLog log = new();
        int logged = 0;
        for (int i = 1; i <= total; i++)
        {
            if (i == WarmUpSteps + 1)
            {
                clock.Restart();
                source.Clear();
            }

            // Operations are timed in steps of their own: timing them costs a little.
            if (i == WarmUpSteps + steps + 1)
            {
                device.Operations = log;
            }

            clock.Lap(StepPart.Optimizer);
            TrainingBatch batch = loader.Next();
            clock.Lap(StepPart.Data);
            model.Parameters.ZeroGradients();
            clock.Lap(StepPart.Optimizer);
            step.Run(batch, (uint)i);
            clock.Lap(StepPart.Loss);
            optimizer.Step(i, config.Optimizer.LearningRate);
            clock.Lap(StepPart.Optimizer);
            logged += device.Operations is null ? 0 : 1;
            if (i > WarmUpSteps && device.Operations is null)
            {
                timed++;
                parts = Parts(clock, timed, out whole);
            }

            if (cancellation.IsCancellationRequested)
            {
                break;
            }
        }

        if (timed == 0)
        {
            throw new OperationCanceledException(cancellation);
        }

        TimeSpan inOperations = new(log.Totals().Sum(t => t.Time.Ticks));
        return new StepProfile
        {
            Configuration = $"{config.Recipe}, {config.Setup}, {data.Name}",
            BatchSize = config.BatchSize,
            CaptionsPerPicture = config.CaptionsPerPicture,
            Steps = timed,
            Milliseconds = whole.TotalMilliseconds / timed,
            CaptionsPerSecond = timed * (double)config.BatchSize * config.CaptionsPerPicture / whole.TotalSeconds,
            PreparationMilliseconds = source.MeanMilliseconds,
            Parts = parts,
            Operations =
            [
                .. log.Totals().Select(t => new OperationTime(
                    t.Name,
                    (double)t.Calls / logged,
                    t.Time.TotalMilliseconds / logged,
                    t.Time / inOperations,
                    t.Arithmetic == 0 ? null : t.Arithmetic / t.Time.TotalSeconds / 1e9)),
            ],
            MemoryBytes = device.PeakByteCount,
            PredictedBytes = memory.Tensors,
        };
    }

    /// <summary>What a part is called.</summary>
    internal static string NameOf(StepPart part) => part switch
    {
        StepPart.TextTower => "text tower",
        StepPart.ImageTower => "image tower",
        _ => part.ToString().ToLower(CultureInfo.InvariantCulture),
    };

    private static PartTime[] Parts(StepClock clock, int steps, out TimeSpan whole)
    {
        StepPart[] all = [StepPart.TextTower, StepPart.ImageTower, StepPart.Loss, StepPart.Optimizer, StepPart.Data];
        TimeSpan sum = TimeSpan.Zero;
        foreach (StepPart part in all)
        {
            sum += clock.Of(part);
        }

        whole = sum;
        return Array.ConvertAll(all, p => new PartTime(NameOf(p), clock.Of(p).TotalMilliseconds / steps, clock.Of(p) / sum));
    }

    /// <summary>Times the preparation of batches, which runs on a thread of its own.</summary>
    private sealed class TimedSource(PairedCaptionSource source) : IBatchSource
    {
        private readonly Lock _lock = new();
        private TimeSpan _spent;
        private int _filled;

        public double MeanMilliseconds
        {
            get
            {
                lock (_lock)
                {
                    return _filled == 0 ? 0 : _spent.TotalMilliseconds / _filled;
                }
            }
        }

        public TrainingBatch NewBatch() => source.NewBatch();

        public void Fill(TrainingBatch batch, int step)
        {
            long start = Stopwatch.GetTimestamp();
            source.Fill(batch, step);
            lock (_lock)
            {
                _spent += Stopwatch.GetElapsedTime(start);
                _filled++;
            }
        }

        public void Clear()
        {
            lock (_lock)
            {
                _spent = TimeSpan.Zero;
                _filled = 0;
            }
        }
    }
}
