using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Runtime.Cuda;

/// <summary>By what calls reach the CUDA driver and cuBLAS of a real GPU: the program's own declarations, or another implementation of the same interfaces.</summary>
public sealed class CudaBinding
{
    private static readonly Lock s_lock = new();
    private static CudaBinding? s_current;
    private static bool s_isUsed;

    /// <summary>Names a binding.</summary>
    /// <param name="name">For <c>doctor</c> and messages.</param>
    /// <param name="driver">The driver.</param>
    /// <param name="driverError">Why its library cannot be used, or null where it can.</param>
    /// <param name="cublas">cuBLAS, or null where there is none.</param>
    /// <param name="cublasError">Why there is none, or null where there is one.</param>
    public CudaBinding(string name, ICudaDriver driver, string? driverError, ICublas? cublas, string? cublasError)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(driver);
        Name = name;
        Driver = driver;
        DriverError = driverError;
        Cublas = cublas;
        CublasError = cublasError;
    }

    /// <summary>The one through which devices are opened.</summary>
    public static CudaBinding Current
    {
        get
        {
            lock (s_lock)
            {
                s_isUsed = true;
                return s_current ??= new CudaBinding("own", NativeCudaDriver.Instance, CudaLibraries.DriverError, NativeCublas.TryLoad(), CudaLibraries.CublasError);
            }
        }
    }

    /// <summary>Its name; <c>own</c> for the program's own.</summary>
    public string Name { get; }

    /// <summary>Whether it is the program's own.</summary>
    public bool IsOwn => ReferenceEquals(Driver, NativeCudaDriver.Instance);

    /// <summary>The driver.</summary>
    public ICudaDriver Driver { get; }

    /// <summary>Why the driver's library cannot be used, or null where it can.</summary>
    public string? DriverError { get; }

    /// <summary>cuBLAS, or null where there is none.</summary>
    public ICublas? Cublas { get; }

    /// <summary>Why there is none, or null where there is one.</summary>
    public string? CublasError { get; }

    /// <summary>Opens devices through another binding from now on. To be called before anything else asks for a device.</summary>
    /// <param name="binding">The binding.</param>
    /// <exception cref="InvalidOperationException">Devices were asked for already.</exception>
    public static void Use(CudaBinding binding)
    {
        ArgumentNullException.ThrowIfNull(binding);
        lock (s_lock)
        {
            if (s_isUsed)
            {
                throw new InvalidOperationException($"Devices were asked for before the binding '{binding.Name}' was named.");
            }

            s_current = binding;
        }
    }
}
