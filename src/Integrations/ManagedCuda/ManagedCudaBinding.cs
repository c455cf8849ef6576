using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Native;
using ManagedCuda;
using ManagedCuda.CudaBlas;

namespace CrossAlign.Integrations.ManagedCuda;

/// <summary>
/// ManagedCuda as the program's way to the driver and cuBLAS. It asks the loader for libraries without a version (<c>libcuda.so</c>,
/// <c>libcublas.so</c>), which a driver alone does not install; where the loader has none, it is given those that
/// <see cref="CudaLibraries"/> finds, and where it has others (a toolkit's stub of the driver, an older cuBLAS), that is an error.
/// </summary>
public static class ManagedCudaBinding
{
    // As ManagedCuda asks for them: first the one without a version, then, also on Linux, the name on Windows.
    private static readonly string[] s_driverNames = ["libcuda", "nvcuda"];
    private static readonly string[] s_cublasNames = ["cublas", "cublas64_12"];

    /// <summary>The binding; for <see cref="CudaBinding.Use"/>.</summary>
    /// <returns>The binding, also where there is no driver: it then says why.</returns>
    public static CudaBinding Create()
    {
        Assembly driver = typeof(DriverAPINativeMethods).Assembly;
        Assembly cublas = typeof(CudaBlasNativeMethods).Assembly;
        foreach (AssemblyLoadContext context in new[] { driver, cublas }.Select(a => AssemblyLoadContext.GetLoadContext(a)!).Distinct())
        {
            context.ResolvingUnmanagedDll += static (_, name) =>
                s_driverNames.Contains(name) ? CudaLibraries.DriverHandle
                : s_cublasNames.Contains(name) ? CudaLibraries.CublasHandle
                : 0;
        }

        string? driverError = CudaLibraries.DriverError ?? Mismatch(driver, s_driverNames, CudaLibraries.DriverHandle, CudaLibraries.DriverSource);
        string? cublasError = CudaLibraries.CublasError ?? Mismatch(cublas, s_cublasNames, CudaLibraries.CublasHandle, CudaLibraries.CublasSource);
        string version = driver.GetCustomAttribute<AssemblyFileVersionAttribute>()?.Version ?? "of unknown version";
        return new CudaBinding(
            $"ManagedCuda {version} (GPLv3 or commercial, and so is this program)",
            new ManagedCudaDriver(),
            driverError,
            cublasError is null ? new ManagedCublas(CudaLibraries.CublasSource!) : null,
            cublasError);
    }

    private static string? Mismatch(Assembly assembly, string[] names, nint expected, string? source)
    {
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, assembly, DllImportSearchPath.SafeDirectories, out nint found))
            {
                return found == expected
                    ? null
                    : $"ManagedCuda loads '{name}', which is here another library than '{source}' (a toolkit's stub, or an older version?). Take its folder off the loader's search path.";
            }
        }

        return null;
    }
}
