namespace CrossAlign.Runtime;

/// <summary>
/// Times one call of an operation where the device keeps an <see cref="OperationLog"/>, and does nothing where it keeps none. With a log a
/// device is waited for before and after: what is measured is the operation, not its issue.
/// </summary>
public readonly ref struct OperationTimer
{
    private readonly Device _device;
    private readonly OperationLog? _log;
    private readonly string _name;
    private readonly long _arithmetic;
    private readonly long _start;

    private OperationTimer(Device device, OperationLog? log, string name, long arithmetic)
    {
        _device = device;
        _log = log;
        _name = name;
        _arithmetic = arithmetic;
        if (log is not null)
        {
            device.Synchronize();
            _start = log.Enter();
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
            _device.Synchronize();
            _log.Leave(_name, _start, _arithmetic);
        }
    }
}
