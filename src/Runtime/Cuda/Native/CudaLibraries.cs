using System.Reflection;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Native;

/// <summary>
/// Where the CUDA libraries are looked for: the path in <c>CROSSALIGN_CUDA_DRIVER</c>, <c>CROSSALIGN_CUBLAS</c> or <c>CROSSALIGN_NVTX</c>, then the names under
/// which drivers and cuBLAS 13 and 12 install themselves, on the loader's own search path.
/// </summary>
public static class CudaLibraries
{
    /// <summary>The variable with an explicit path of the driver's library.</summary>
    public const string DriverVariable = "CROSSALIGN_CUDA_DRIVER";

    /// <summary>The variable with an explicit path of cuBLAS.</summary>
    public const string CublasVariable = "CROSSALIGN_CUBLAS";

    /// <summary>The variable with an explicit path of the library of named ranges (NVTX).</summary>
    public const string NvtxVariable = "CROSSALIGN_NVTX";

    internal const string Driver = "crossalign-cuda";
    internal const string Cublas = "crossalign-cublas";
    internal const string Nvtx = "crossalign-nvtx";

    private static readonly Lazy<(nint Handle, string? Source, string? Error)> s_driver =
        new(() => Load(DriverVariable, ["libcuda.so.1", "nvcuda.dll"]));

    private static readonly Lazy<(nint Handle, string? Source, string? Error)> s_cublas =
        new(() => Load(CublasVariable, ["libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll"]));

    private static readonly Lazy<(nint Handle, string? Source, string? Error)> s_nvtx =
        new(() => Load(NvtxVariable, ["libnvToolsExt.so.1", "nvToolsExt64_1.dll"]));

    static CudaLibraries() => NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, Resolve);

    /// <summary>Why the driver's library cannot be loaded, or null where it can.</summary>
    public static string? DriverError => s_driver.Value.Error;

    /// <summary>The path or name under which the driver's library was found.</summary>
    public static string? DriverSource => s_driver.Value.Source;

    /// <summary>The loader's handle of the driver's library, or 0.</summary>
    public static nint DriverHandle => s_driver.Value.Handle;

    /// <summary>Why cuBLAS cannot be loaded, or null where it can.</summary>
    public static string? CublasError => s_cublas.Value.Error;

    /// <summary>The path or name under which cuBLAS was found.</summary>
    public static string? CublasSource => s_cublas.Value.Source;

    /// <summary>The loader's handle of cuBLAS, or 0.</summary>
    public static nint CublasHandle => s_cublas.Value.Handle;

    /// <summary>Why the library of named ranges cannot be loaded, or null where it can.</summary>
    public static string? NvtxError => s_nvtx.Value.Error;

    /// <summary>The path or name under which the library of named ranges was found.</summary>
    public static string? NvtxSource => s_nvtx.Value.Source;

    private static nint Resolve(string library, Assembly assembly, DllImportSearchPath? path) => library switch
    {
        Driver => s_driver.Value.Handle,
        Cublas => s_cublas.Value.Handle,
        Nvtx => s_nvtx.Value.Handle,
        _ => 0,
    };

    private static (nint Handle, string? Source, string? Error) Load(string variable, string[] names)
    {
        string? explicitPath = Environment.GetEnvironmentVariable(variable);
        string? firstError = null;
        foreach (string name in string.IsNullOrEmpty(explicitPath) ? names : [explicitPath])
        {
            // Names of the other operating system need not be tried.
            if (name.EndsWith(".dll", StringComparison.Ordinal) != OperatingSystem.IsWindows() && name != explicitPath)
            {
                continue;
            }

            try
            {
                return (NativeLibrary.Load(name), name, null);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                firstError ??= e.Message;
            }
        }

        return (0, null, (firstError ?? "no library has this name here.").ReplaceLineEndings(" ").Trim());
    }
}
