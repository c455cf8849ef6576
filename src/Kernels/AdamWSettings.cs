namespace CrossAlign.Kernels;

/// <summary>The numbers of one optimiser step.</summary>
/// <param name="LearningRate">Of this step, before each tensor's own factor.</param>
/// <param name="Step">The step's number, from 1: the bias correction depends on it.</param>
/// <param name="Beta1">Decay of the first moment.</param>
/// <param name="Beta2">Decay of the second moment.</param>
/// <param name="Epsilon">Added to the root of the corrected second moment.</param>
public readonly record struct AdamWSettings(double LearningRate, int Step, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8);
