using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>How a device multiplies matrices for the length of a run, or while a model embeds; afterwards it is as it was before.</summary>
public sealed class ProductSettings : IDisposable
{
    private readonly Device _device;
    private readonly MatMulPrecision _precision;
    private readonly MatMulEngine? _engine;

    private ProductSettings(Device device)
    {
        _device = device;
        _precision = device.MatMulPrecision;
        _engine = (device as CudaDevice)?.MatMulEngine;
    }

    /// <summary>Sets what the configuration asks for.</summary>
    /// <param name="device">The device.</param>
    /// <param name="config">The configuration.</param>
    /// <returns>To be disposed at the end of the run.</returns>
    /// <exception cref="UserErrorException">The device does not have it; the message names the key.</exception>
    public static ProductSettings Apply(Device device, RunConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        ProductSettings before = Apply(device, config.Precision);
        try
        {
            Set("matmul", "give auto or own, or a CUDA device with cuBLAS", () => SetEngine(device, config.Matmul));
            return before;
        }
        catch
        {
            before.Dispose();
            throw;
        }
    }

    /// <summary>Sets a precision; the engine stays as it is.</summary>
    /// <param name="device">The device.</param>
    /// <param name="precision">The precision.</param>
    /// <returns>To be disposed when it is needed no more.</returns>
    /// <exception cref="UserErrorException">The device does not have it.</exception>
    public static ProductSettings Apply(Device device, Precision precision)
    {
        ArgumentNullException.ThrowIfNull(device);
        ProductSettings before = new(device);
        Set("precision", "give f32 or bf16, or a CUDA device", () => device.MatMulPrecision = precision switch
        {
            Precision.TF32 => MatMulPrecision.Tf32,
            Precision.BF16 => MatMulPrecision.BFloat16,
            _ => MatMulPrecision.Float32,
        });
        return before;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _device.MatMulPrecision = _precision;
        if (_engine is { } engine)
        {
            ((CudaDevice)_device).MatMulEngine = engine;
        }
    }

    private static void SetEngine(Device device, ProductEngine engine)
    {
        if (device is CudaDevice cuda)
        {
            cuda.MatMulEngine = engine switch
            {
                ProductEngine.Own => MatMulEngine.Own,
                ProductEngine.Cublas => MatMulEngine.Cublas,
                _ => cuda.MatMulEngine,
            };
        }
        else if (engine == ProductEngine.Cublas)
        {
            throw new NotSupportedException($"{device.Name} has no cuBLAS.");
        }
    }

    private static void Set(string key, string remedy, Action set)
    {
        try
        {
            set();
        }
        catch (NotSupportedException e)
        {
            throw new UserErrorException($"'{key}': {e.Message}", remedy, e);
        }
    }
}
