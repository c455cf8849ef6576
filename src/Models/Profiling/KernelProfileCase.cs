using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>An operation at one shape, whose kernels are counted.</summary>
/// <param name="Operation">The operation's name.</param>
/// <param name="Shape">The shape as tables show it.</param>
/// <param name="DType">The activations' storage.</param>
/// <param name="Run">Runs it, forward and backward, on a device; what it needs it takes from there.</param>
public sealed record KernelProfileCase(string Operation, string Shape, DType DType, Action<Device> Run);
