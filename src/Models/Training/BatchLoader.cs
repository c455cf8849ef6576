using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace CrossAlign.Models.Training;

/// <summary>
/// Prepares the next batch on a thread of its own while the current one is trained on, in two batches that take turns. How long
/// training waited for data is counted, so that a starving run can be told.
/// </summary>
internal sealed class BatchLoader : IDisposable
{
    private readonly IBatchSource _source;
    private readonly TrainingBatch[] _batches;
    private readonly SemaphoreSlim _free = new(2);
    private readonly SemaphoreSlim _ready = new(0);
    private readonly Thread _thread;
    private readonly int _firstStep;
    private readonly int _lastStep;
    private ExceptionDispatchInfo? _failure;
    private volatile int _failedStep = -1;
    private int _next;
    private bool _holding;
    private volatile bool _stopping;

    /// <summary>Starts preparing.</summary>
    /// <param name="source">What fills batches.</param>
    /// <param name="firstStep">The first step.</param>
    /// <param name="lastStep">The last step.</param>
    public BatchLoader(IBatchSource source, int firstStep, int lastStep)
    {
        _source = source;
        _batches = [source.NewBatch(), source.NewBatch()];
        _firstStep = firstStep;
        _lastStep = lastStep;
        _next = firstStep;
        _thread = new Thread(Prepare) { IsBackground = true, Name = "CrossAlign data" };
        _thread.Start();
    }

    /// <summary>How long <see cref="Next"/> has waited so far.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>The next step's batch; the one given before is taken back.</summary>
    /// <returns>A filled batch, valid until <see cref="TakeBack"/> or the next call.</returns>
    public TrainingBatch Next()
    {
        TakeBack();
        long started = Stopwatch.GetTimestamp();
        _ready.Wait();
        Waited += Stopwatch.GetElapsedTime(started);
        if (_next == _failedStep)
        {
            _failure!.Throw();
        }

        return Give();
    }

    /// <summary>The next step's batch where it is ready by now; the one given before is taken back.</summary>
    /// <returns>A filled batch, valid until <see cref="TakeBack"/> or the next call; null where there is none, or where filling it failed, which <see cref="Next"/> tells.</returns>
    public TrainingBatch? TryNext()
    {
        TakeBack();
        if (_ready.CurrentCount == 0 || _next == _failedStep)
        {
            return null;
        }

        _ready.Wait();
        return Give();
    }

    /// <summary>Takes the batch back that was given last, so that another step's is prepared in it.</summary>
    public void TakeBack()
    {
        if (_holding)
        {
            _holding = false;
            _free.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping = true;
        _free.Release();
        _thread.Join();
        _free.Dispose();
        _ready.Dispose();
    }

    private TrainingBatch Give()
    {
        _holding = true;
        return _batches[(_next++ - _firstStep) & 1];
    }

    private void Prepare()
    {
        for (int step = _firstStep; step <= _lastStep; step++)
        {
            _free.Wait();
            if (_stopping)
            {
                return;
            }

            try
            {
                _source.Fill(_batches[(step - _firstStep) & 1], step);
            }
#pragma warning disable CA1031 // thrown again by Next, on the training thread
            catch (Exception e)
#pragma warning restore CA1031
            {
                _failure = ExceptionDispatchInfo.Capture(e);
                _failedStep = step;
                _ready.Release();
                return;
            }

            _ready.Release();
        }
    }
}
