using System.Diagnostics;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Runtime;

/// <summary>
/// Times one call of an operation where the device keeps an <see cref="OperationLog"/>, and times nothing where it keeps none. On a device
/// that works while the host goes on the time is that between two marks in its order of work, so that nothing waits; a captured graph
/// holds no such marks, so a device with a log is not to be captured. On a CUDA device the call is a named range too, where NVTX is present.
/// </summary>
public readonly ref struct OperationTimer
{
    private readonly Device _device;
    private readonly OperationLog? _log;
    private readonly OperationMark? _begin;
    private readonly string _name;
    private readonly long _arithmetic;
    private readonly long _start;
    private readonly bool _isRange;

    private OperationTimer(Device device, OperationLog? log, string name, long arithmetic)
    {
        _device = device;
        _log = log;
        _name = name;
        _arithmetic = arithmetic;
        _isRange = device.Kind == DeviceKind.Cuda && NvtxRanges.IsAvailable;
        if (_isRange)
        {
            NvtxRanges.Push(name);
        }

        if (log is not null)
        {
            _begin = log.Enter() ? device.Mark() : null;
            _start = Stopwatch.GetTimestamp();
        }
    }

    /// <summary>Begins.</summary>
    /// <param name="device">Where the operation runs.</param>
    /// <param name="name">Its name.</param>
    /// <param name="arithmetic">Additions and multiplications of its matrix products.</param>
    /// <returns>To be disposed when the operation is done.</returns>
    public static OperationTimer Start(Device device, string name, long arithmetic = 0)
    {
        ArgumentNullException.ThrowIfNull(device);
        return new OperationTimer(device, device.Operations, name, arithmetic);
    }

    /// <summary>Ends.</summary>
    public void Dispose()
    {
        if (_log is not null)
        {
            _log.Leave(_name, _begin, _begin is null ? null : _device.Mark(), Stopwatch.GetTimestamp() - _start, _arithmetic);
        }

        if (_isRange)
        {
            NvtxRanges.Pop();
        }
    }
}
