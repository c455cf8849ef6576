namespace CrossAlign.Runtime.Cuda;

/// <summary>The attributes of a kernel that the runtime asks for or sets, with the driver's numbers.</summary>
public enum CuFunctionAttribute
{
    /// <summary>The most threads a block.</summary>
    MaxThreadsPerBlock = 0,

    /// <summary>Statically declared shared memory in bytes.</summary>
    SharedByteCount = 1,

    /// <summary>Local memory a thread in bytes: spills.</summary>
    LocalByteCount = 3,

    /// <summary>Registers a thread.</summary>
    RegisterCount = 4,

    /// <summary>The most dynamic shared memory that a launch may ask for, in bytes; can be set.</summary>
    MaxDynamicSharedByteCount = 8,
}
