namespace CrossAlign.Runtime.Cuda;

/// <summary>The attributes of a device that the runtime asks for, with the driver's numbers.</summary>
public enum CuDeviceAttribute
{
    /// <summary>Blocks of a grid along y.</summary>
    MaxGridDimY = 6,

    /// <summary>Shared memory a block without asking for more, in bytes.</summary>
    MaxSharedMemoryPerBlock = 8,

    /// <summary>Clock in kHz.</summary>
    ClockRate = 13,

    /// <summary>Multiprocessors.</summary>
    MultiprocessorCount = 16,

    /// <summary>Threads a multiprocessor.</summary>
    MaxThreadsPerMultiprocessor = 39,

    /// <summary>Major number of the compute capability.</summary>
    ComputeCapabilityMajor = 75,

    /// <summary>Minor number of the compute capability.</summary>
    ComputeCapabilityMinor = 76,

    /// <summary>Shared memory a multiprocessor, in bytes.</summary>
    MaxSharedMemoryPerMultiprocessor = 81,

    /// <summary>Shared memory a block that may be asked for, in bytes.</summary>
    MaxSharedMemoryPerBlockOptin = 97,

    /// <summary>Blocks a multiprocessor.</summary>
    MaxBlocksPerMultiprocessor = 106,
}
