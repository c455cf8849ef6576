using System.Diagnostics;
using System.Globalization;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Models.Training.Recording;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// The training loop: batches, steps, evaluations on the validation split, checkpoints. Everything it decides depends on the
/// configuration, the data and the step, so a run that is killed at any step and resumed ends with the same bytes.
/// </summary>
public sealed class TrainingRun
{
    // Steps in a row whose gradient is not finite (each is skipped) before the run is given up.
    private const int PatienceForDivergence = 20;

    // Steps after the warm-up for which the loss may stay at guessing before an alarm.
    private const int PatienceForLearning = 100;

    private readonly TrainingRequest _request;
    private readonly RunConfig _config;
    private readonly RunFolder _folder;
    private readonly ITrainingObserver _observer;

    private TrainingRun(TrainingRequest request, ITrainingObserver observer)
    {
        _request = request;
        _config = request.Config;
        _folder = new RunFolder(request.Folder);
        _observer = observer;
    }

    /// <summary>Trains, or goes on training, until the last step, <see cref="TrainingRequest.StopAfter"/> or an interruption.</summary>
    /// <param name="request">What to train on, where.</param>
    /// <param name="observer">Hears of each step.</param>
    /// <param name="cancellation">Ends the run after the current step, with a checkpoint.</param>
    /// <returns>How it ended and what it took.</returns>
    /// <exception cref="UserErrorException">The folder holds another run, data is missing, the disk is full, the loss diverged.</exception>
    public static TrainingResult Start(TrainingRequest request, ITrainingObserver observer, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(observer);
        TrainerLimits.Check(request.Config);
        using ProductSettings products = ProductSettings.Apply(request.Device, request.Config);
        return new TrainingRun(request, observer).Train(cancellation);
    }

    private TrainingResult Train(CancellationToken cancellation)
    {
        CheckFolder();
        TrainingState? resumed = null;
        string? checkpoint = null;
        if (_request.Resume && _folder.CheckpointSteps() is [.., int latest])
        {
            checkpoint = _folder.CheckpointPath(latest);
            resumed = TrainingState.Read(Path.Combine(checkpoint, TrainingCheckpoint.StateFile));
        }

        RunRecord record = SittingRecord.Open(_request, _folder, resumed is not null, _observer);
        ITokenizer tokenizer = checkpoint is null ? TowerFactory.MakeTokenizer(_config, _request.Data) : OfCheckpoint(checkpoint, () => Tokenizer.Load(Path.Combine(checkpoint, ModelFolder.TextName)));
        CheckMemory(tokenizer, checkpoint);
        using TwoTowerModel model = checkpoint is null
            ? TowerFactory.Create(_config, tokenizer, _request.Device, _observer.Note)
            : OfCheckpoint(checkpoint, () => TowerFactory.Load(_config, tokenizer, _request.Device, checkpoint));
        TowerCompanions companions = new(_config, tokenizer, checkpoint);
        TowerInputs inputs = TowerInputs.Of(_config, companions.ImageFolder, model.Image?.Config);
        int microBatch = TrainingMemory.MicroBatchOf(_config);
        PairedCaptionSource source = new(_config, _request.Data, tokenizer, model, inputs, microBatch);
        source.AllocateGradients(model);
        if (TrainingMemory.StoresBFloat16(_config, _request.Device))
        {
            model.StoreBFloat16();
        }

        using ContrastiveStep step = new(model, _config, microBatch);
        TowerPause pause = new(model, _config, source.StepsPerEpoch);
        using Optimizer optimizer = new(model, _config, step.LossCount, pause.TextSteps, pause.ImageSteps);
        using StepRunner runner = new(model, _config, step, optimizer);
        if (checkpoint is not null)
        {
            OfCheckpoint(checkpoint, () =>
            {
                optimizer.Load(Path.Combine(checkpoint, TrainingCheckpoint.OptimizerFile));
                return optimizer;
            });
        }

        TrainingState state = resumed ?? new TrainingState { Step = 0, Epoch = 0, ExamplesConsumed = 0, RandomKey = _config.Seed };
        ValidationProbe probe = new(_config, _request.Data, tokenizer, model, inputs);

        // Nothing is written before here, so that a run that its configuration or its data forbids leaves no folder behind.
        StartFolder();
        record.Write(_folder.RecordPath);
        _observer.Note(Describe(model, optimizer, source, state));
        using RunJournal journal = new(_folder, state.Step, _observer);
        Sitting sitting = new(model, source, step, runner, pause, optimizer, journal, probe, companions);
        try
        {
            state = Loop(sitting, state, cancellation);
        }
        catch (Exception e)
        {
            Close(record, sitting, e is OperationCanceledException ? "interrupted" : $"failed: {e.Message}").Write(_folder.RecordPath);
            throw;
        }

        bool completed = state.Step == _config.Steps;
        Close(record, sitting, completed ? "completed" : "stopped").Write(_folder.RecordPath);
        return new TrainingResult(_folder.FullPath, completed, state.Step, sitting.Clock.Elapsed.TotalSeconds, sitting.Captions, sitting.Pictures);
    }

    private TrainingState Loop(Sitting s, TrainingState state, CancellationToken cancellation)
    {
        int lastStep = Math.Min(_config.Steps, _request.StopAfter ?? _config.Steps);
        LearningRateSchedule schedule = new(_config.Schedule, _config.Steps, s.Source.StepsPerEpoch);
        int textFrozen = _config.Schedule.TextFrozenSteps;
        LearningRateSchedule ownOfText = new(_config.Schedule, _config.Steps - textFrozen, s.Source.StepsPerEpoch);
        LossAlarm alarm = new(LossOptions.GuessingLoss(_config.Loss, s.Step.LossRows), PatienceForLearning, (int)(_config.Schedule.Warmup * _config.Steps));
        int saved = state.Step;
        if (state.Step == 0 && _config.Steps == 0)
        {
            // Untrained towers are a set-up of their own: the floor of a comparison.
            Save(s, state);
            Tidy(state);
            return state;
        }

        int diverged = 0;
        using BatchLoader loader = new(s.Source, state.Step + 1, lastStep);
        TrainingBatch? next = null;
        for (int step = state.Step + 1; step <= lastStep; step++)
        {
            s.Clock.Start();
            TrainingBatch batch = next ?? loader.Next();
            s.Pause.Apply(step);
            StepNumbers numbers = NumbersOf(step);
            s.Runner.Run(batch, numbers);
            s.Pictures += batch.Pictures;
            s.Captions += (long)batch.Pictures * batch.CaptionsPerPicture;
            s.Truncated += batch.TruncatedCount;
            int tokenCount = batch.TokenCount;

            // The batch is not needed any more. The next one goes to the device beside this step's work, where it is ready.
            next = loader.TryNext();
            if (next is not null)
            {
                s.Runner.Prepare(next, NumbersOf(step + 1));
            }

            StepFigures figures = s.Runner.Read();
            (double loss, double norm, double scale) = figures;
            s.Clock.Stop();
            double captionsPerSecond = s.Captions / s.Clock.Elapsed.TotalSeconds;
            StepReport report = new(step, _config.Steps, loss, norm, numbers.LearningRate, _config.Loss.ScaleParameter == ScaleParameter.Log ? Math.Exp(scale) : scale, tokenCount, captionsPerSecond)
            {
                LogitBias = figures.LogitBias,
            };
            s.Journal.Record(report);
            if (alarm.Look(step, loss, norm) is { } warning)
            {
                _observer.Alarm(warning);
            }

            bool isSkipped = !double.IsFinite(norm);
            s.Skipped += isSkipped ? 1 : 0;
            diverged = isSkipped ? diverged + 1 : 0;
            if (diverged == PatienceForDivergence)
            {
                throw new UserErrorException(
                    string.Create(CultureInfo.InvariantCulture, $"the gradient has not been finite for {diverged} steps, up to step {step}"),
                    "lower optimizer.learningRate, or set optimizer.clip, and resume from the last checkpoint");
            }

            state = state with
            {
                Step = step,
                ExamplesConsumed = (long)step * _config.BatchSize,
                Epoch = Math.Round((double)step * _config.BatchSize / s.Source.ExampleCount, 6),
            };
            bool isBest = false;
            if (Every(_config.EvaluateEvery, step))
            {
                EvaluationReport evaluation = s.Probe.Run(step);
                s.Journal.Record(evaluation);
                isBest = _config.Keep == KeepPolicy.Best && (state.BestMean is null || evaluation.Mean > state.BestMean);
                state = isBest || state.BestMean is null || evaluation.Mean > state.BestMean
                    ? state with { BestMean = evaluation.Mean, BestStep = step }
                    : state;
            }

            if (isBest || step == _config.Steps || Every(_config.CheckpointEvery, step))
            {
                Save(s, state);
                saved = step;
                Tidy(state);
            }

            if (cancellation.IsCancellationRequested)
            {
                break;
            }
        }

        if (saved < state.Step)
        {
            // A checkpoint out of the ordinary row: the next regular one removes it.
            Save(s, state);
        }

        if (state.Step < lastStep)
        {
            throw new OperationCanceledException(cancellation);
        }

        SayAtTheEnd(s, loader);
        return state;

        StepNumbers NumbersOf(int step)
        {
            double? textLearningRate = textFrozen > 0 && step > textFrozen ? _config.Optimizer.LearningRate * ownOfText.Factor(step - textFrozen) : null;
            return new StepNumbers(step, _config.Optimizer.LearningRate * schedule.Factor(step), DropoutKey(step), textLearningRate);
        }
    }

    private bool Every(int interval, int step) => interval > 0 && (step % interval == 0 || step == _config.Steps);

    private void Save(Sitting s, TrainingState state) =>
        _folder.WriteCheckpoint(state.Step, folder => TrainingCheckpoint.Save(folder, s.Model, s.Companions, s.Optimizer, state));

    // After a regular checkpoint: the latest few regular ones stay, and the best one.
    private void Tidy(TrainingState state)
    {
        int[] regular = [.. _folder.CheckpointSteps().Where(s => s == _config.Steps || Every(_config.CheckpointEvery, s)).TakeLast(_config.KeepLast)];
        bool best = _config.Keep == KeepPolicy.Best && state.BestStep is not null;
        _folder.Name(best ? "best" : "last", best ? state.BestStep!.Value : state.Step);
        _folder.RemoveCheckpoints(s => s == state.Step || regular.Contains(s) || (best && s == state.BestStep));
    }

    private ulong DropoutKey(int step) => ((ulong)_config.Seed << 32) ^ (uint)step;

    private void CheckFolder()
    {
        bool exists = File.Exists(_folder.ConfigPath);
        if (exists && !_request.Resume)
        {
            throw new UserErrorException($"'{_folder.FullPath}' holds a run already", "choose another --out, or go on with it by --resume");
        }

        if (!exists && _request.Resume)
        {
            throw new UserErrorException($"'{_folder.FullPath}' holds no run", "give the folder that train wrote");
        }
    }

    private void StartFolder()
    {
        Directory.CreateDirectory(_folder.CheckpointsPath);
        if (!_request.Resume)
        {
            AtomicFile.WriteText(_folder.ConfigPath, RunConfigJson.Write(_config));
        }
    }

    private void CheckMemory(ITokenizer tokenizer, string? checkpoint)
    {
        CudaDevice? cuda = _request.Device as CudaDevice;
        TrainingMemory memory = TrainingMemory.Predict(_config, _request.Data, tokenizer, checkpoint, cuda);
        long available = MachineMemory.AvailableByteCount();

        // A GPU has memory of its own; the emulated one's is the machine's.
        if (cuda is { Emulation: null })
        {
            memory.Require(available, cuda.AvailableByteCount);
        }
        else
        {
            memory.Require(available);
        }

        _observer.Note(memory.Describe());
    }

    // What a run has written itself cannot be fetched again; the checkpoint before it may be whole.
    private static T OfCheckpoint<T>(string? checkpoint, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (checkpoint is not null && (e is UserErrorException or IOException or UnauthorizedAccessException))
        {
            throw new UserErrorException($"the checkpoint '{checkpoint}' cannot be read: {(e as UserErrorException)?.What ?? e.Message}", "remove that folder to go on from the one before it", e)
            {
                Details = (e as UserErrorException)?.Details ?? [],
            };
        }
    }

    private static RunRecord Close(RunRecord record, Sitting sitting, string reason) => record with
    {
        Ended = DateTimeOffset.UtcNow,
        ExitReason = reason,
        TrainingSeconds = record.TrainingSeconds + sitting.Clock.Elapsed.TotalSeconds,
        Captions = record.Captions + sitting.Captions,
        Pictures = record.Pictures + sitting.Pictures,
        SkippedSteps = record.SkippedSteps + sitting.Skipped,
    };

    private string Describe(TwoTowerModel model, Optimizer optimizer, PairedCaptionSource source, TrainingState state) => string.Create(
        CultureInfo.InvariantCulture,
        $"{optimizer.ParameterCount:N0} parameters trained, {source.ExampleCount:N0} concepts, {source.Languages} ({_config.Objective switch { Objective.TextText => "text-text", _ => "image-text" }}), {_config.Steps:N0} steps of {_config.BatchSize} x {_config.CaptionsPerPicture} captions on {model.Device.Name}{(state.Step > 0 ? $", from step {state.Step:N0}" : string.Empty)}");

    private void SayAtTheEnd(Sitting s, BatchLoader loader)
    {
        double share = loader.Waited.TotalSeconds / Math.Max(s.Clock.Elapsed.TotalSeconds, 1e-9);
        if (share > 0.2 && s.Clock.Elapsed.TotalSeconds > 5)
        {
            _observer.Alarm(string.Create(CultureInfo.InvariantCulture, $"{100 * share:F0} % of the training time was spent waiting for data: lower augmentation, or give the program more processors"));
        }

        if (s.Step.Frozen.Describe() is string kept)
        {
            _observer.Note(kept);
        }

        if (s.Skipped > 0)
        {
            _observer.Alarm(string.Create(CultureInfo.InvariantCulture, $"{s.Skipped:N0} steps changed no weight, as their gradient was not finite (gradientNorm in {Path.GetFileName(_folder.MetricsPath)})"));
        }

        if (s.Truncated > 0)
        {
            _observer.Note(string.Create(CultureInfo.InvariantCulture, $"{s.Truncated:N0} of {s.Captions:N0} captions were cut to {_config.Tokenizer.MaxTokens} tokens (tokenizer.maxTokens)"));
        }
    }

    /// <summary>What a run holds between its start, or its resumption, and its end.</summary>
    private sealed class Sitting(
        TwoTowerModel model,
        PairedCaptionSource source,
        ContrastiveStep step,
        StepRunner runner,
        TowerPause pause,
        Optimizer optimizer,
        RunJournal journal,
        ValidationProbe probe,
        TowerCompanions companions)
    {
        public TwoTowerModel Model { get; } = model;

        public PairedCaptionSource Source { get; } = source;

        public ContrastiveStep Step { get; } = step;

        public StepRunner Runner { get; } = runner;

        public TowerPause Pause { get; } = pause;

        public Optimizer Optimizer { get; } = optimizer;

        public RunJournal Journal { get; } = journal;

        public ValidationProbe Probe { get; } = probe;

        public TowerCompanions Companions { get; } = companions;

        public Stopwatch Clock { get; } = new();

        public long Captions { get; set; }

        public long Pictures { get; set; }

        public long Truncated { get; set; }

        public long Skipped { get; set; }
    }
}
