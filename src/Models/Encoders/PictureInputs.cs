using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A batch of pictures on the device. Where the tensors are bound to numbers of live rows they are a capacity, and a captured graph serves
/// every batch that fits: copy the batch there, the rows' starts and the numbers included, then launch.
/// </summary>
/// <param name="Pixels">(B, 3, H, W), float32, normalised; kept by reference for the backward pass.</param>
/// <param name="CuSeqlens">(B + 1), int32: multiples of a picture's rows (<see cref="ImageTower.RowsOf"/>); behind the last picture that counts all the same.</param>
/// <param name="TokenKeys">(B * rows, 2), int32: example and position of each row; absent without dropout.</param>
/// <param name="Rows">How many of the B * rows count, where <paramref name="Pixels"/> are bound to a number of pictures; else null.</param>
public readonly record struct PictureInputs(Tensor Pixels, Tensor CuSeqlens, Tensor TokenKeys, LiveRows? Rows = null);
