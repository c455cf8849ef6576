using System.Runtime.ExceptionServices;

namespace CrossAlign.Runtime;

/// <summary>
/// A fixed set of threads that share the tasks of one job at a time. Tasks are taken in order of their number by whoever is free;
/// what a task computes must not depend on who runs it. Starting a job allocates nothing: the body is a function pointer and its
/// arguments lie on the caller's stack.
/// </summary>
/// <remarks>
/// Workers spin for about a millisecond after a job, so that the next operation of a training step finds them awake, then park.
/// A worker that wakes late finds no task left and holds nobody up.
/// </remarks>

public sealed unsafe class WorkerPool : IDisposable
{
    /// <summary>The most tasks that one job can have.</summary>
    public const int MaxTaskCount = (1 << TaskBits) - 1;

    // One 64-bit word holds the job's number, its task count and the next task, so that a claim is a single atomic increment
    // that cannot mix two jobs.
    private const int TaskBits = 20;
    private const ulong TaskMask = (1UL << TaskBits) - 1;

    // About a millisecond at 3 GHz; measured as the longest pause between two operations of a small training step.
    private const int SpinRounds = 20_000;

    private readonly Thread[] _threads;
    private readonly AutoResetEvent[] _wake;
    private readonly int[] _parked;
    private readonly Lock _jobLock = new();

    private delegate*<int, void*, void> _body;
    private void* _state;
    private ExceptionDispatchInfo? _failure;
    private PaddedLong _ticket;
    private PaddedLong _completed;
    private volatile bool _stopping;

    [ThreadStatic]
    private static bool s_insideTask;

    /// <summary>Starts <paramref name="threadCount"/> - 1 threads; the caller of <see cref="Run"/> is the remaining one.</summary>
    /// <param name="threadCount">At least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threadCount"/> is below 1.</exception>
    public WorkerPool(int threadCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threadCount, 1);
        ThreadCount = threadCount;
        _threads = new Thread[threadCount - 1];
        _wake = new AutoResetEvent[threadCount - 1];
        _parked = new int[threadCount - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i;
            _wake[i] = new AutoResetEvent(false);
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"CrossAlign worker {i + 1}" };
            _threads[i].Start();
        }
    }

    /// <summary>The number of threads that compute, the caller's included.</summary>
    public int ThreadCount { get; }

    /// <summary>
    /// Runs <c>body(task, state)</c> for each task from 0 to <paramref name="taskCount"/> - 1 and returns when all are done. Inside
    /// a task a further call runs its tasks on the calling thread.
    /// </summary>
    /// <param name="taskCount">0 to <see cref="MaxTaskCount"/>; derive it from shapes, never from <see cref="ThreadCount"/>.</param>
    /// <param name="body">The task.</param>
    /// <param name="state">Passed to each task.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="taskCount"/> is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The pool was disposed.</exception>
    public void Run(int taskCount, delegate*<int, void*, void> body, void* state)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(taskCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(taskCount, MaxTaskCount);
        ObjectDisposedException.ThrowIf(_stopping, this);
        if (taskCount <= 1 || _threads.Length == 0 || s_insideTask)
        {
            for (int task = 0; task < taskCount; task++)
            {
                body(task, state);
            }

            return;
        }

        lock (_jobLock)
        {
            _body = body;
            _state = state;
            _failure = null;
            Volatile.Write(ref _completed.Value, 0);
            ulong job = ((ulong)Volatile.Read(ref _ticket.Value) >> (2 * TaskBits)) + 1;
            Interlocked.Exchange(ref _ticket.Value, (long)((job << (2 * TaskBits)) | ((ulong)taskCount << TaskBits)));
            for (int i = 0; i < _wake.Length; i++)
            {
                if (Volatile.Read(ref _parked[i]) != 0)
                {
                    _wake[i].Set();
                }
            }

            TakeTasks();
            SpinWait spinner = default;
            while (Volatile.Read(ref _completed.Value) < taskCount)
            {
                // A task may run long on a busy machine: after a while this yields the processor.
                spinner.SpinOnce(sleep1Threshold: -1);
            }

            _failure?.Throw();
        }
    }

    /// <summary>Stops the threads. No job may be running.</summary>
    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        _stopping = true;
        foreach (AutoResetEvent wake in _wake)
        {
            wake.Set();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        foreach (AutoResetEvent wake in _wake)
        {
            wake.Dispose();
        }
    }

    private void Work(int worker)
    {
        long seen = 0;
        while (!_stopping)
        {
            int rounds = 0;
            while (Volatile.Read(ref _ticket.Value) == seen && !_stopping)
            {
                if (++rounds < SpinRounds)
                {
                    Thread.SpinWait(4);
                    continue;
                }

                // Parked is announced before the last look at the ticket; the caller writes the ticket before it looks at
                // parked: one of the two always sees the other.
                Interlocked.Exchange(ref _parked[worker], 1);
                if (Volatile.Read(ref _ticket.Value) == seen && !_stopping)
                {
                    _wake[worker].WaitOne();
                }

                Interlocked.Exchange(ref _parked[worker], 0);
                rounds = 0;
            }

            TakeTasks();
            seen = Volatile.Read(ref _ticket.Value);
        }
    }

    private void TakeTasks()
    {
        s_insideTask = true;
        while (true)
        {
            // Looking first keeps late workers from counting the ticket up without end.
            ulong look = (ulong)Volatile.Read(ref _ticket.Value);
            if ((look & TaskMask) >= ((look >> TaskBits) & TaskMask))
            {
                break;
            }

            ulong claim = (ulong)Interlocked.Increment(ref _ticket.Value) - 1;
            ulong task = claim & TaskMask;
            if (task >= ((claim >> TaskBits) & TaskMask))
            {
                break;
            }

            // The job cannot end, and its fields cannot change, before this task is counted as completed.
            try
            {
                _body((int)task, _state);
            }
#pragma warning disable CA1031 // whatever a task throws is thrown again by Run, on the caller's thread
            catch (Exception e)
#pragma warning restore CA1031
            {
                Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
            }

            Interlocked.Increment(ref _completed.Value);
        }

        s_insideTask = false;
    }

    // Each counter on a cache line of its own.
    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Explicit, Size = 192)]
    private struct PaddedLong
    {
        [System.Runtime.InteropServices.FieldOffset(64)]
        public long Value;
    }
}
