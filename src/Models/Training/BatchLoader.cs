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
    /// <returns>A filled batch, valid until the next call.</returns>
    public TrainingBatch Next()
    {
        if (_holding)
        {
            _free.Release();
        }

        long started = Stopwatch.GetTimestamp();
        _ready.Wait();
        Waited += Stopwatch.GetElapsedTime(started);
        _failure?.Throw();
        _holding = true;
        return _batches[(_next++ - _firstStep) & 1];
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
                _ready.Release();
                return;
            }

            _ready.Release();
        }
    }
}
