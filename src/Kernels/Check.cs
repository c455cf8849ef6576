using System.Runtime.CompilerServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>The checks that every public operation makes before it picks a backend: presence, device, dtype and shape, by name.</summary>
internal static class Check
{
    /// <summary>Refuses a tensor that is absent, of another shape or type, or on another device.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <param name="dtype">The type that it must have.</param>
    /// <param name="device">The device that it must lie on.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <exception cref="ArgumentException">The tensor is not as it must be; the message names it.</exception>
    public static void Is(in Tensor tensor, Shape shape, DType dtype, Device device, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (!tensor.IsPresent)
        {
            throw new ArgumentException($"{name} is absent; it must be {dtype} {shape}.", name);
        }

        if (tensor.Shape != shape || tensor.DType != dtype)
        {
            throw new ArgumentException($"{name} is {tensor}; it must be {dtype} {shape}.", name);
        }

        if (!ReferenceEquals(tensor.Device, device))
        {
            throw new ArgumentException($"{name} lies on {tensor.Device.Name}; the operation runs on {device.Name}.", name);
        }
    }

    /// <summary>Like <see cref="Is"/>, but the tensor may be absent.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="shape">The shape that it must have where it is present.</param>
    /// <param name="dtype">The type that it must have where it is present.</param>
    /// <param name="device">The device that it must lie on where it is present.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <exception cref="ArgumentException">The tensor is present and not as it must be; the message names it.</exception>
    public static void IsOrAbsent(in Tensor tensor, Shape shape, DType dtype, Device device, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsPresent)
        {
            Is(tensor, shape, dtype, device, name);
        }
    }

    /// <summary>Refuses a tensor that is absent, of another rank, or not stored as float32 or bfloat16.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="rank">The rank that it must have.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <exception cref="ArgumentException">The tensor is not as it must be; the message names it.</exception>
    public static void IsFloating(in Tensor tensor, int rank, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (!tensor.IsPresent || tensor.Shape.Rank != rank || tensor.DType is not (DType.Float32 or DType.BFloat16))
        {
            throw new ArgumentException($"{name} is {tensor}; it must be a float32 or bfloat16 tensor of {rank} dimensions.", name);
        }
    }

    /// <summary>The error for an operation that a device's backend does not have.</summary>
    /// <param name="device">The device.</param>
    /// <param name="operation">Filled in by the compiler.</param>
    /// <returns>The exception, to be thrown.</returns>
    public static NotSupportedException NoBackend(Device device, [CallerFilePath] string operation = "") =>
        new($"{Path.GetFileNameWithoutExtension(operation)} has no {device.Kind} backend.");
}
