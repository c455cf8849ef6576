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
    /// <param name="output">(S, C), float32, or the type of <paramref name="input"/>; overwritten.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or (on the CPU) <paramref name="cuSeqlens"/> does not ascend from 0 to N.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(PoolingKind kind, in Tensor input, in Tensor cuSeqlens, in Tensor output)
    {
        CheckKind(kind);
        Check.IsFloating(input, 2);
        Device device = input.Device;
        int sequences = Check.SequenceCount(cuSeqlens, device);
        CheckPooled(output, sequences, input);
        using OperationTimer timer = OperationTimer.Start(device, "Pooling.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPooling.Forward(kind, input, cuSeqlens, output);
                break;
            case DeviceKind.Cuda:
                CudaPooling.Forward(kind, input, cuSeqlens, output);
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
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or (on the CPU) <paramref name="cuSeqlens"/> does not ascend from 0 to N.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="kind"/> is not one of the enumeration's values.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(PoolingKind kind, in Tensor dOutput, in Tensor cuSeqlens, in Tensor dInput)
    {
        CheckKind(kind);
        Check.IsFloating(dInput, 2);
        Device device = dInput.Device;
        int sequences = Check.SequenceCount(cuSeqlens, device);
        CheckPooled(dOutput, sequences, dInput);
        using OperationTimer timer = OperationTimer.Start(device, "Pooling.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPooling.Backward(kind, dOutput, cuSeqlens, dInput);
                break;
            case DeviceKind.Cuda:
                CudaPooling.Backward(kind, dOutput, cuSeqlens, dInput);
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

    private static void CheckKind(PoolingKind kind)
    {
        if (kind is not (PoolingKind.Mean or PoolingKind.Cls or PoolingKind.Eos))
        {
            throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of pooling.");
        }
    }
}
