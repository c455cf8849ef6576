namespace CrossAlign.Models.Diagnostics;

/// <summary>What was measured on a device; null where it was not.</summary>
/// <param name="CopyGBps">GB/s of a copy within the device, bytes read plus bytes written.</param>
/// <param name="ToDeviceGBps">GB/s of a copy from the host's memory; null on the CPU.</param>
/// <param name="MatMulGflops">GFLOP/s of a float32 product (1024, 512) (512, 1024); on a CUDA device (4096, 4096) (4096, 4096).</param>
/// <param name="MatMulTf32Gflops">The same with operands rounded to TF32; null where the device has no TF32.</param>
/// <param name="MatMulBFloat16Gflops">The same of operands stored as bfloat16, summed in float32; null where the device has no unit for it (a processor without AVX512_BF16).</param>
public sealed record RateReport(double? CopyGBps, double? ToDeviceGBps, double? MatMulGflops, double? MatMulTf32Gflops, double? MatMulBFloat16Gflops)
{
    /// <summary>Nothing was measured.</summary>
    public static RateReport None { get; } = new(null, null, null, null, null);
}
