namespace CrossAlign.Kernels;

/// <summary>The numbers of one parameter, in the precision in which both backends use them.</summary>
/// <param name="RateFactor">What the learning rate is multiplied by.</param>
/// <param name="Decay">The decay, times that factor.</param>
/// <param name="Maximum">The bound that a step's result is cut to.</param>
internal readonly record struct AdamWScales(float RateFactor, float Decay, float Maximum);
