namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What one of the device's checks found while a kernel ran.</summary>
public enum FaultKind
{
    /// <summary>An access outside of every live allocation, or of freed memory.</summary>
    OutOfBounds,

    /// <summary>An address that is no multiple of the access's size.</summary>
    Misaligned,

    /// <summary>A value read before it was written.</summary>
    Uninitialised,

    /// <summary>Two threads, no order between them, one of them writing.</summary>
    Race,

    /// <summary>A barrier or warp-wide instruction that not all of its lanes reach.</summary>
    Synchronisation,

    /// <summary>Data of an asynchronous copy touched before its wait.</summary>
    PendingCopy,

    /// <summary>The kernel does not end.</summary>
    Timeout,
}

/// <summary>A check of the emulated device failed; becomes a sticky error of the context.</summary>
internal sealed class EmulatedFault(FaultKind kind, string message) : Exception(message)
{
    public FaultKind Kind { get; } = kind;
}
