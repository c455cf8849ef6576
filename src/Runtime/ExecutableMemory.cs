using System.ComponentModel;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime;

/// <summary>
/// Machine code written at run time, for instructions that the .NET runtime has no intrinsics for. The pages are written first and
/// then made executable: never both at once.
/// </summary>
public sealed unsafe partial class ExecutableMemory : SafeHandle
{
    private const int ReadWrite = 1 | 2;
    private const int ReadExecute = 1 | 4;
    private const int Private = 2;
    private const int AnonymousOnLinux = 0x20;
    private const int AnonymousOnMac = 0x1000;
    private const uint Commit = 0x1000 | 0x2000;
    private const uint Release = 0x8000;
    private const uint WindowsReadWrite = 4;
    private const uint WindowsReadExecute = 0x20;

    private readonly nuint _byteCount;

    private ExecutableMemory(nint address, nuint byteCount)
        : base(nint.Zero, ownsHandle: true)
    {
        SetHandle(address);
        _byteCount = byteCount;
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == nint.Zero;

    /// <summary>The first instruction. Valid until this is disposed.</summary>
    public void* Address => (void*)handle;

    /// <summary>Copies code into pages of its own and makes them executable.</summary>
    /// <param name="code">Position-independent machine code for this processor, with the calling convention of this system.</param>
    /// <returns>The pages; released when disposed.</returns>
    /// <exception cref="PlatformNotSupportedException">This is not an x64 process on Linux, macOS or Windows.</exception>
    /// <exception cref="Win32Exception">The system refuses pages, or refuses to make them executable.</exception>
    public static ExecutableMemory Create(ReadOnlySpan<byte> code)
    {
        bool posix = OperatingSystem.IsLinux() || OperatingSystem.IsMacOS();
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64 || !(posix || OperatingSystem.IsWindows()))
        {
            throw new PlatformNotSupportedException("Machine code is written for x64 processes on Linux, macOS and Windows.");
        }

        nuint byteCount = (nuint)Math.Max(1, code.Length);
        nint address = posix
            ? Map(0, byteCount, ReadWrite, Private | (OperatingSystem.IsMacOS() ? AnonymousOnMac : AnonymousOnLinux), -1, 0)
            : VirtualAlloc(0, byteCount, Commit, WindowsReadWrite);
        if (address is 0 or -1)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "The system gives no pages for machine code.");
        }

        ExecutableMemory memory = new(address, byteCount);
        code.CopyTo(new Span<byte>((void*)address, code.Length));
        bool done = posix ? Protect(address, byteCount, ReadExecute) == 0 : VirtualProtect(address, byteCount, WindowsReadExecute, out _) != 0;
        if (!done)
        {
            int error = Marshal.GetLastPInvokeError();
            memory.Dispose();
            throw new Win32Exception(error, "The system refuses to make pages executable.");
        }

        return memory;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() =>
        OperatingSystem.IsWindows() ? VirtualFree(handle, 0, Release) != 0 : Unmap(handle, _byteCount) == 0;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Unmap(nint address, nuint length);

    [LibraryImport("kernel32", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial nint VirtualAlloc(nint address, nuint size, uint type, uint protection);

    [LibraryImport("kernel32", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial int VirtualProtect(nint address, nuint size, uint protection, out uint before);

    [LibraryImport("kernel32", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial int VirtualFree(nint address, nuint size, uint type);
}
