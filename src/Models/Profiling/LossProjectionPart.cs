namespace CrossAlign.Models.Profiling;

/// <summary>A kernel of the fused loss in one call on a large batch, computed from what the emulated device counts of small ones.</summary>
/// <param name="Kernel">The kernel's name in the PTX; for the kernels of a line each, <see cref="LossProjector.Lines"/>.</param>
/// <param name="Launches">Launches of the call.</param>
/// <param name="TensorTflop">10^12 multiplications and additions on the tensor cores.</param>
/// <param name="Gigabytes">10^9 bytes of the different sectors that each launch reads, and of those that it writes.</param>
/// <param name="Gpus">What GPUs could make of it.</param>
public sealed record LossProjectionPart(string Kernel, long Launches, double TensorTflop, double Gigabytes, IReadOnlyList<PortTimes> Gpus);
