using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda;

/// <summary>A call of the CUDA driver failed. The message names the call and carries the driver's own name of the error.</summary>
public sealed class CudaException : Exception
{
    private CudaException(CuResult result, string message)
        : base(message) => Result = result;

    /// <summary>The driver's result.</summary>
    public CuResult Result { get; }

    /// <summary>Passes success, throws otherwise.</summary>
    /// <param name="result">What the call returned.</param>
    /// <param name="driver">Asked for the error's name.</param>
    /// <param name="call">Filled in by the compiler.</param>
    /// <exception cref="CudaException">The result is not <see cref="CuResult.Success"/>.</exception>
    /// <exception cref="OutOfMemoryException">The device's memory does not suffice.</exception>
    public static void ThrowIfFailed(CuResult result, ICudaDriver driver, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != CuResult.Success)
        {
            throw Create(result, driver, call);
        }
    }

    /// <summary>The same for cuBLAS.</summary>
    /// <param name="status">What the call returned.</param>
    /// <param name="call">Filled in by the compiler.</param>
    /// <exception cref="CudaException">The status is not 0.</exception>
    public static void ThrowIfCublasFailed(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != 0)
        {
            string name = status switch
            {
                1 => "CUBLAS_STATUS_NOT_INITIALIZED",
                3 => "CUBLAS_STATUS_ALLOC_FAILED",
                7 => "CUBLAS_STATUS_INVALID_VALUE",
                8 => "CUBLAS_STATUS_ARCH_MISMATCH",
                13 => "CUBLAS_STATUS_EXECUTION_FAILED",
                14 => "CUBLAS_STATUS_INTERNAL_ERROR",
                15 => "CUBLAS_STATUS_NOT_SUPPORTED",
                _ => "CUBLAS_STATUS",
            };
            throw new CudaException(CuResult.Unknown, string.Create(CultureInfo.InvariantCulture, $"{name} ({status}) from {Shorten(call)}."));
        }
    }

    private static unsafe Exception Create(CuResult result, ICudaDriver driver, string call)
    {
        string name = driver.GetErrorName(result, out byte* text) == CuResult.Success && text != null
            ? Marshal.PtrToStringUTF8((nint)text) ?? "CUDA_ERROR"
            : "CUDA_ERROR";
        string detail = driver.ErrorDetail is { } d ? $": {d}" : Remedy(result);
        string message = string.Create(CultureInfo.InvariantCulture, $"{name} ({(int)result}) from {Shorten(call)}{detail}");
        return result == CuResult.OutOfMemory ? new InsufficientMemoryException(message) : new CudaException(result, message);
    }

    private static string Remedy(CuResult result) => result switch
    {
        CuResult.NoBinaryForGpu => ": the kernels need a GPU of compute capability 8.0 or later",
        CuResult.UnsupportedPtxVersion => ": the driver is older than CUDA 11.0; update it",
        CuResult.IllegalAddress or CuResult.LaunchFailed => ": an earlier kernel failed; the process must be started again",
        _ => string.Empty,
    };

    private static string Shorten(string call)
    {
        int arguments = call.IndexOf('(', StringComparison.Ordinal);
        string name = arguments < 0 ? call : call[..arguments];
        return name[(name.LastIndexOf('.') + 1)..];
    }
}
