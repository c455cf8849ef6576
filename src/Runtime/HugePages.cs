using System.Runtime.InteropServices;

namespace CrossAlign.Runtime;

/// <summary>
/// Pages of 2 MiB for large tensors, where Linux gives them only on request (<c>madvise</c> in
/// <c>/sys/kernel/mm/transparent_hugepage/enabled</c>). Products walk over rows that lie on different pages: with pages of 4 KiB the
/// processor looks up most of them anew.
/// </summary>
internal static unsafe partial class HugePages
{
    private const int PageByteCount = 2 << 20;

    // Smaller tensors would lose more to the alignment than they win.
    private const long MinByteCount = 2 * PageByteCount;

    // MADV_HUGEPAGE
    private const int Wanted = 14;

    /// <summary>The alignment of an allocation.</summary>
    /// <param name="byteCount">Its size.</param>
    /// <returns>A huge page where it takes some, <see cref="CpuDevice.AlignmentBytes"/> otherwise.</returns>
    public static nuint Alignment(long byteCount) => OperatingSystem.IsLinux() && byteCount >= MinByteCount ? (nuint)PageByteCount : CpuDevice.AlignmentBytes;

    /// <summary>Asks for huge pages under an allocation, before it is first written. A system that has none goes on with small ones.</summary>
    /// <param name="address">Aligned by <see cref="Alignment"/>.</param>
    /// <param name="byteCount">Its size; the part that fills no huge page stays on small ones, so that no more memory is taken.</param>
    public static void Ask(void* address, long byteCount)
    {
        if (OperatingSystem.IsLinux() && byteCount >= MinByteCount)
        {
            // Advice: what is refused costs speed and nothing else.
            _ = Advise((nint)address, (nuint)(byteCount - (byteCount % PageByteCount)), Wanted);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Advise(nint address, nuint length, int advice);
}
