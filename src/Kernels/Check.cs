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

    /// <summary>Refuses a tensor that is absent, or not stored as float32 or bfloat16.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <exception cref="ArgumentException">The tensor is not as it must be; the message names it.</exception>
    public static void IsFloating(in Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (!tensor.IsPresent || tensor.DType is not (DType.Float32 or DType.BFloat16))
        {
            throw new ArgumentException($"{name} is {tensor}; it must be a float32 or bfloat16 tensor.", name);
        }
    }

    /// <summary>Refuses a <c>cuSeqlens</c> that is absent, of another type or rank, or empty.</summary>
    /// <param name="cuSeqlens">(S + 1), int32; its content is checked by <see cref="SequencesEndAt"/>, on the CPU.</param>
    /// <param name="device">The device that it must lie on.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <returns>S, the number of sequences.</returns>
    /// <exception cref="ArgumentException">The tensor is not as it must be; the message names it.</exception>
    public static int SequenceCount(in Tensor cuSeqlens, Device device, [CallerArgumentExpression(nameof(cuSeqlens))] string name = "")
    {
        if (!cuSeqlens.IsPresent || cuSeqlens.Shape.Rank != 1 || cuSeqlens.Shape[0] == 0)
        {
            throw new ArgumentException($"{name} is {cuSeqlens}; it must be Int32 (S + 1) for S sequences.", name);
        }

        Is(cuSeqlens, new Shape(cuSeqlens.Shape[0]), DType.Int32, device, name);
        return cuSeqlens.Shape[0] - 1;
    }

    /// <summary>Refuses a <c>cuSeqlens</c> on the CPU that does not ascend from 0 to the number of tokens.</summary>
    /// <param name="cuSeqlens">(S + 1), int32.</param>
    /// <param name="tokens">N.</param>
    /// <param name="name">Filled in by the compiler.</param>
    /// <exception cref="ArgumentException">A number is not as it must be; the message says which.</exception>
    public static unsafe void SequencesEndAt(in Tensor cuSeqlens, int tokens, [CallerArgumentExpression(nameof(cuSeqlens))] string name = "")
    {
        int* ends = cuSeqlens.Pointer<int>();
        int count = cuSeqlens.Shape[0];
        if (ends[0] != 0 || ends[count - 1] != tokens)
        {
            throw new ArgumentException($"{name} goes from {ends[0]} to {ends[count - 1]}; it must go from 0 to {tokens}.", name);
        }

        for (int i = 1; i < count; i++)
        {
            if (ends[i] < ends[i - 1])
            {
                throw new ArgumentException($"{name}[{i}] is {ends[i]}, less than the {ends[i - 1]} before it.", name);
            }
        }
    }

    /// <summary>The error for an operation that a device's backend does not have.</summary>
    /// <param name="device">The device.</param>
    /// <param name="operation">Filled in by the compiler.</param>
    /// <returns>The exception, to be thrown.</returns>
    public static NotSupportedException NoBackend(Device device, [CallerFilePath] string operation = "") =>
        new($"{Path.GetFileNameWithoutExtension(operation)} has no {device.Kind} backend.");
}
