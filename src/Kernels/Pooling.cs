using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// One vector for each sequence of a packed batch. Sequence s holds the tokens <c>cuSeqlens[s]</c> to <c>cuSeqlens[s + 1] - 1</c>;
/// there are no pads, so a sequence's vector does not depend on its batch mates. Deterministic on every backend.
/// </summary>
/// <remarks>Source: N. Reimers, I. Gurevych, "Sentence-BERT", 2019, section 3.</remarks>
public static class Pooling
{
    /// <summary>Pools. The vector of an empty sequence is zero.</summary>
    /// <param name="kind">How.</param>
    /// <param name="input">(N, C), float32 or bfloat16.</param>
    /// <param name="cuSeqlens">(S + 1), int32: 0, ascending, N.</param>
    /// <param name="output">(S, C), float32, or the type of <paramref name="input"/>; overwritten. A NaN of a column is its maximum.</param>
    /// <param name="chosen">Of <see cref="PoolingKind.Max"/>, where a backward pass follows: (S, C), int32, overwritten with the row of <paramref name="input"/> that each maximum comes from, -1 where a sequence is empty. Else absent.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; <paramref name="chosen"/> is given and the kind is another; or (on the CPU) <paramref name="cuSeqlens"/> does not ascend from 0 to N.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(PoolingKind kind, in Tensor input, in Tensor cuSeqlens, in Tensor output, in Tensor chosen = default)
    {
        CheckKind(kind);
        Check.IsFloating(input, 2);
        Device device = input.Device;
        int sequences = Check.SequenceCount(cuSeqlens, device);
        CheckPooled(output, sequences, input);
        CheckChosen(kind, chosen, output, isNeeded: false);
        using OperationTimer timer = OperationTimer.Start(device, "Pooling.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPooling.Forward(kind, input, cuSeqlens, output, chosen);
                break;
            case DeviceKind.Cuda:
                CudaPooling.Forward(kind, input, cuSeqlens, output, chosen);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradient of <see cref="Forward"/>.</summary>
    /// <param name="kind">How.</param>
    /// <param name="dOutput">(S, C), float32, or the type of <paramref name="dInput"/>.</param>
    /// <param name="cuSeqlens">(S + 1), int32: 0, ascending, N.</param>
    /// <param name="dInput">(N, C), float32 or bfloat16; overwritten (=), the tokens that were not pooled with zeros.</param>
    /// <param name="chosen">Of <see cref="PoolingKind.Max"/>: what <see cref="Forward"/> wrote; equal numbers share nothing, the first one's token has the whole gradient. Else absent.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or (on the CPU) <paramref name="cuSeqlens"/> does not ascend from 0 to N.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(PoolingKind kind, in Tensor dOutput, in Tensor cuSeqlens, in Tensor dInput, in Tensor chosen = default)
    {
        CheckKind(kind);
        Check.IsFloating(dInput, 2);
        Device device = dInput.Device;
        int sequences = Check.SequenceCount(cuSeqlens, device);
        CheckPooled(dOutput, sequences, dInput);
        CheckChosen(kind, chosen, dOutput, isNeeded: true);
        using OperationTimer timer = OperationTimer.Start(device, "Pooling.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPooling.Backward(kind, dOutput, cuSeqlens, dInput, chosen);
                break;
            case DeviceKind.Cuda:
                CudaPooling.Backward(kind, dOutput, cuSeqlens, dInput, chosen);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static void CheckPooled(
        in Tensor pooled, int sequences, in Tensor tokens, [CallerArgumentExpression(nameof(pooled))] string name = "")
    {
        DType dtype = pooled.IsPresent && pooled.DType == DType.Float32 ? DType.Float32 : tokens.DType;
        Check.Is(pooled, new Shape(sequences, tokens.Shape[1]), dtype, tokens.Device, name);
    }

    private static void CheckChosen(PoolingKind kind, in Tensor chosen, in Tensor pooled, bool isNeeded)
    {
        if (kind != PoolingKind.Max && chosen.IsPresent)
        {
            throw new ArgumentException($"chosen is given; {kind} chooses no rows.", nameof(chosen));
        }

        if (kind == PoolingKind.Max && (isNeeded || chosen.IsPresent))
        {
            Check.Is(chosen, pooled.Shape, DType.Int32, pooled.Device);
        }
    }

    private static void CheckKind(PoolingKind kind)
    {
        if (!Enum.IsDefined(kind))
        {
            throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of pooling.");
        }
    }
}
