using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>A batch of pictures on the device. A captured graph serves every batch of as many pictures: copy the batch there, then launch.</summary>
/// <param name="Pixels">(B, 3, H, W), float32, normalised; kept by reference for the backward pass.</param>
/// <param name="CuSeqlens">(B + 1), int32: multiples of a picture's rows (<see cref="ImageTower.RowsOf"/>).</param>
/// <param name="TokenKeys">(B * rows, 2), int32: example and position of each row; absent without dropout.</param>
public readonly record struct PictureInputs(Tensor Pixels, Tensor CuSeqlens, Tensor TokenKeys);
