namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Calls that a <see cref="WatchedDriver"/> notes.</summary>
internal enum StreamCallKind
{
    /// <summary>A kernel.</summary>
    Launch,

    /// <summary>A graph.</summary>
    GraphLaunch,

    /// <summary>A copy from the host.</summary>
    CopyFromHost,

    /// <summary>A copy within the device.</summary>
    CopyOnDevice,

    /// <summary>The stream waits for an event.</summary>
    Wait,

    /// <summary>The host waits for the stream.</summary>
    Synchronize,
}
