using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The first layer of a vision transformer: each picture is cut into L square patches (row by row), every patch is projected to C
/// channels, a learned class token goes in front, and a learned position is added to each of the 1 + L rows. Deterministic.
/// </summary>
/// <remarks>Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, equation 1.</remarks>
public static class PatchEmbedding
{
    /// <summary>Embeds pictures: row b (1 + L) is <c>classToken + position[0]</c>, row b (1 + L) + 1 + l is <c>weight patch + bias + position[1 + l]</c>.</summary>
    /// <param name="pixels">(B, 3, H, W), float32; H and W multiples of <paramref name="patchSize"/>; B may be 0. Where only some of B count (a captured
    /// graph), <paramref name="output"/> must be bound to 1 + L times as many rows.</param>
    /// <param name="weight">(C, 3 P P), float32: the (C, 3, P, P) convolution kernel of published checkpoints, P = <paramref name="patchSize"/>.</param>
    /// <param name="bias">(C), float32; absent for none (CLIP).</param>
    /// <param name="classToken">(C), float32.</param>
    /// <param name="position">(1 + L, C), float32, L = (H / P)(W / P).</param>
    /// <param name="output">(B (1 + L), C), float32 or bfloat16; overwritten.</param>
    /// <param name="patchSize">P, at least 1.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or H or W is no multiple of P.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="patchSize"/> is below 1.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(
        in Tensor pixels, in Tensor weight, in Tensor bias, in Tensor classToken, in Tensor position, in Tensor output, int patchSize)
    {
        (int patches, int c) = CheckPictures(pixels, output, patchSize);
        Device device = pixels.Device;
        Check.Is(weight, WeightShape(c, patchSize), DType.Float32, device);
        Check.IsOrAbsent(bias, new Shape(c), DType.Float32, device);
        Check.Is(classToken, new Shape(c), DType.Float32, device);
        Check.Is(position, new Shape(1 + patches, c), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "PatchEmbedding.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPatchEmbedding.Forward(pixels, weight, bias, classToken, position, output, patchSize);
                break;
            case DeviceKind.Cuda:
                CudaPatchEmbedding.Forward(pixels, weight, bias, classToken, position, output, patchSize);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradients of <see cref="Forward"/> with respect to the parameters; pictures have none.</summary>
    /// <param name="dOutput">(B (1 + L), C), float32 or bfloat16.</param>
    /// <param name="pixels">(B, 3, H, W), float32, of the forward pass.</param>
    /// <param name="dWeight">(C, 3 P P), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="dBias">(C), float32; added to (+=); absent where there is no bias or it is not wanted.</param>
    /// <param name="dClassToken">(C), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="dPosition">(1 + L, C), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="patchSize">P, at least 1.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or H or W is no multiple of P.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="patchSize"/> is below 1.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(
        in Tensor dOutput, in Tensor pixels, in Tensor dWeight, in Tensor dBias, in Tensor dClassToken, in Tensor dPosition, int patchSize)
    {
        (int patches, int c) = CheckPictures(pixels, dOutput, patchSize);
        Device device = pixels.Device;
        Check.IsOrAbsent(dWeight, WeightShape(c, patchSize), DType.Float32, device);
        Check.IsOrAbsent(dBias, new Shape(c), DType.Float32, device);
        Check.IsOrAbsent(dClassToken, new Shape(c), DType.Float32, device);
        Check.IsOrAbsent(dPosition, new Shape(1 + patches, c), DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "PatchEmbedding.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuPatchEmbedding.Backward(dOutput, pixels, dWeight, dBias, dClassToken, dPosition, patchSize);
                break;
            case DeviceKind.Cuda:
                CudaPatchEmbedding.Backward(dOutput, pixels, dWeight, dBias, dClassToken, dPosition, patchSize);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static Shape WeightShape(int c, int patchSize) => new(c, 3 * patchSize * patchSize);

    private static (int Patches, int C) CheckPictures(in Tensor pixels, in Tensor rows, int patchSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(patchSize, 1);
        if (!pixels.IsPresent || pixels.DType != DType.Float32 || pixels.Shape.Rank != 4 || pixels.Shape[1] != 3)
        {
            throw new ArgumentException($"pixels is {pixels}; it must be Float32 (B, 3, H, W).", nameof(pixels));
        }

        int height = pixels.Shape[2];
        int width = pixels.Shape[3];
        if (height % patchSize != 0 || width % patchSize != 0)
        {
            throw new ArgumentException($"pixels is {pixels}; height and width must be multiples of the patch size {patchSize}.", nameof(pixels));
        }

        int patches = height / patchSize * (width / patchSize);
        Check.IsFloating(rows, 2);
        Check.Is(rows, new Shape(checked(pixels.Shape[0] * (1 + patches)), rows.Shape[1]), rows.DType, pixels.Device);
        return (patches, rows.Shape[1]);
    }
}
