using System.Globalization;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Cuda;

/// <content>Where devices come from.</content>
public sealed partial class CudaDevice
{
    /// <summary>How <see cref="UnavailableReason"/> begins where the driver does not know the kernels' version of PTX, 7.0.</summary>
    public const string DriverIsTooOld = "the driver supports CUDA";

    private const int MinDriverVersion = 11_000;

    private static readonly Lazy<string?> s_unavailable = new(FindReason);

    /// <summary>Why there is no real CUDA device, in the words of the loader or the driver, or null where there is one.</summary>
    public static string? UnavailableReason => s_unavailable.Value;

    /// <summary>How many real devices the driver offers; 0 where there is none.</summary>
    public static int DeviceCount =>
        UnavailableReason is null && CudaBinding.Current.Driver.DeviceGetCount(out int count) == CuResult.Success ? count : 0;

    /// <summary>Opens a device by its name on the command line.</summary>
    /// <param name="spec"><c>cuda</c>, <c>cuda:1</c>, <c>cuda-emulated</c> or <c>cuda-emulated:sm_90</c>. The emulated device is never chosen otherwise.</param>
    /// <returns>The device.</returns>
    /// <exception cref="ArgumentException">The name is none of these.</exception>
    /// <exception cref="NotSupportedException">There is no CUDA device; the message says why and what to do.</exception>
    /// <exception cref="CudaException">A call of the driver failed.</exception>
    public static CudaDevice Open(string spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        string[] parts = spec.Split(':');
        if (parts[0] == "cuda-emulated" && parts.Length <= 2)
        {
            string target = parts.Length == 1 ? "sm_80" : parts[1];
            return Emulate(new EmulationOptions
            {
                ComputeCapability = target switch
                {
                    "sm_80" => 80,
                    "sm_86" => 86,
                    "sm_90" => 90,
                    _ => throw new ArgumentException($"There is no emulated device {target}: sm_80, sm_86 and sm_90 are.", nameof(spec)),
                },
            });
        }

        int ordinal = 0;
        if (parts[0] != "cuda" || parts.Length > 2 || (parts.Length == 2 && !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out ordinal)))
        {
            throw new ArgumentException($"'{spec}' is no CUDA device: cuda, cuda:N, cuda-emulated and cuda-emulated:sm_80 are.", nameof(spec));
        }

        if (UnavailableReason is { } reason)
        {
            throw new NotSupportedException($"There is no CUDA device: {reason} Use --device cpu, or --device cuda-emulated to try the kernels.");
        }

        CudaBinding binding = CudaBinding.Current;
        return new CudaDevice(binding.Driver, binding.Cublas, ordinal, $"cuda:{ordinal.ToString(CultureInfo.InvariantCulture)}", poolsMemory: true);
    }

    /// <summary>Makes an emulated device.</summary>
    /// <param name="options">Which and how.</param>
    /// <param name="poolsMemory">Whether freed memory is kept; the memory check then knows less.</param>
    /// <returns>The device.</returns>
    public static CudaDevice Emulate(EmulationOptions options, bool poolsMemory = false)
    {
        ArgumentNullException.ThrowIfNull(options);
        EmulatedDriver driver = new(options);
        string name = string.Create(CultureInfo.InvariantCulture, $"cuda-emulated:sm_{options.ComputeCapability}");
        return new CudaDevice(driver, new EmulatedCublas(driver), 0, name, poolsMemory);
    }

    /// <summary>
    /// A device on which everything is planned and nothing is done: memory is counted as this one would take it, what operations work in and the pool's
    /// rounding included, and kernels are launched nowhere. What the driver itself takes, for its context, modules and graphs, is not counted.
    /// </summary>
    /// <returns>A device of this one's sizes and limits that multiplies as this one does at present, to be disposed before this one.</returns>
    /// <exception cref="CudaException">The driver does not say what the device's limits are.</exception>
    public CudaDevice NewPlan()
    {
        CudaDevice plan = new(new IdleDriver(this), Cublas is null ? null : new IdleCublas(), _ordinal, _name, Pool.Reuses) { _isPlan = true };
        plan.MatMulEngine = MatMulEngine;
        plan.MatMulPrecision = MatMulPrecision;
        return plan;
    }

    private static string? FindReason()
    {
        if (CudaBinding.Current.DriverError is { } error)
        {
            return error;
        }

        ICudaDriver driver = CudaBinding.Current.Driver;
        CuResult result = driver.Init();
        if (result != CuResult.Success)
        {
            return string.Create(CultureInfo.InvariantCulture, $"the driver's cuInit failed with {result} ({(int)result}).");
        }

        if (driver.DriverGetVersion(out int version) == CuResult.Success && version < MinDriverVersion)
        {
            return string.Create(
                CultureInfo.InvariantCulture, $"{DriverIsTooOld} {version / 1000}.{version % 1000 / 10} at most; the kernels need 11.0, driver 450 or later.");
        }

        return driver.DeviceGetCount(out int count) == CuResult.Success && count > 0 ? null : "the driver finds no device.";
    }
}
