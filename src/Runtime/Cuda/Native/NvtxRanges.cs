using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Native;

/// <summary>
/// Named ranges of the host's time, as NVIDIA's profilers show them beside the kernels, where the library (NVTX) is present; see
/// <see cref="CudaLibraries"/> for where it is looked for.
/// </summary>
internal static partial class NvtxRanges
{
    /// <summary>Whether there is a library to tell.</summary>
    public static bool IsAvailable { get; } = CudaLibraries.NvtxError is null;

    /// <summary>Begins a range within the calling thread's last one.</summary>
    /// <param name="name">Its name.</param>
    public static void Push(string name) => _ = nvtxRangePushA(name);

    /// <summary>Ends the calling thread's last range.</summary>
    public static void Pop() => _ = nvtxRangePop();

    [LibraryImport(CudaLibraries.Nvtx, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int nvtxRangePushA(string message);

    [LibraryImport(CudaLibraries.Nvtx)]
    private static partial int nvtxRangePop();
}
