namespace CrossAlign.Runtime.Cuda;

/// <summary>Results of the CUDA driver's calls, with the driver's numbers. Others than these may come.</summary>
public enum CuResult
{
    /// <summary>No error.</summary>
    Success = 0,

    /// <summary>An argument is out of range.</summary>
    InvalidValue = 1,

    /// <summary>The device's memory does not suffice.</summary>
    OutOfMemory = 2,

    /// <summary>The driver was not initialised.</summary>
    NotInitialized = 3,

    /// <summary>There is no CUDA device.</summary>
    NoDevice = 100,

    /// <summary>There is no device of that number.</summary>
    InvalidDevice = 101,

    /// <summary>No context is current, or it was destroyed.</summary>
    InvalidContext = 201,

    /// <summary>The module has no code for this GPU.</summary>
    NoBinaryForGpu = 209,

    /// <summary>The driver's compiler refuses the PTX.</summary>
    InvalidPtx = 218,

    /// <summary>The PTX is of a version that the driver does not know.</summary>
    UnsupportedPtxVersion = 222,

    /// <summary>A handle is not one.</summary>
    InvalidHandle = 400,

    /// <summary>No such kernel.</summary>
    NotFound = 500,

    /// <summary>Work is not finished yet.</summary>
    NotReady = 600,

    /// <summary>A kernel accessed memory that it must not; sticky.</summary>
    IllegalAddress = 700,

    /// <summary>A launch asks for more threads or registers than there are.</summary>
    LaunchOutOfResources = 701,

    /// <summary>A kernel ran too long; sticky.</summary>
    LaunchTimeout = 702,

    /// <summary>A kernel failed in another way; sticky.</summary>
    LaunchFailed = 719,

    /// <summary>The device or the driver does not support the call.</summary>
    NotSupported = 801,

    /// <summary>The call is not allowed while a stream is captured.</summary>
    StreamCaptureUnsupported = 900,

    /// <summary>A capture was spoilt by an earlier error.</summary>
    StreamCaptureInvalidated = 901,

    /// <summary>A captured stream was not joined to the one where the capture began.</summary>
    StreamCaptureUnjoined = 904,

    /// <summary>The call would have made a capture depend on the legacy stream.</summary>
    StreamCaptureImplicit = 906,

    /// <summary>Anything else.</summary>
    Unknown = 999,
}
