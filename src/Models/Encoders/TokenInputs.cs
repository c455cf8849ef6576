using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// A packed batch of texts on the device. Where the tensors are bound to a number of live rows they are a capacity, and a captured graph
/// serves every batch that fits: copy the batch's <see cref="TokenBatch"/> there, its last sequence's end and the number of rows
/// included, then launch.
/// </summary>
/// <param name="Ids">(N), int32: token ids.</param>
/// <param name="Positions">(N), int32: position ids.</param>
/// <param name="Types">(N), int32: token types; absent where all are 0.</param>
/// <param name="CuSeqlens">(S + 1), int32: where each text begins, and where the last ends.</param>
/// <param name="TokenKeys">(N, 2), int32: example and position of each row; absent without dropout.</param>
/// <param name="Texts">How many of the S texts count; the others are empty. Null where all do.</param>
public readonly record struct TokenInputs(Tensor Ids, Tensor Positions, Tensor Types, Tensor CuSeqlens, Tensor TokenKeys, LiveRows? Texts = null)
{
    /// <summary>What capacities are multiples of: few graphs, and few blocks that find nothing to do.</summary>
    public const int CapacityStep = 512;

    /// <summary>Copies a batch to an arena.</summary>
    /// <param name="batch">At least one text.</param>
    /// <param name="arena">Where the tensors are taken.</param>
    /// <param name="hasTypes">Whether the tower reads token types.</param>
    /// <param name="hasDropout">Whether dropout acts.</param>
    /// <returns>Tensors as large as the batch, valid until the arena is reset.</returns>
    internal static TokenInputs Upload(TokenBatch batch, TensorArena arena, bool hasTypes, bool hasDropout)
    {
        int tokens = batch.TokenCount;
        return new TokenInputs(
            Upload(batch.Ids, new Shape(tokens), arena),
            Upload(batch.Positions, new Shape(tokens), arena),
            batch.Types.IsEmpty || !hasTypes ? default : Upload(batch.Types, new Shape(tokens), arena),
            Upload(batch.CuSeqlens, new Shape(batch.Count + 1), arena),
            hasDropout ? Upload(batch.TokenKeys, new Shape(tokens, 2), arena) : default);
    }

    private static Tensor Upload(ReadOnlySpan<int> values, Shape shape, TensorArena arena)
    {
        Tensor tensor = arena.Take(DType.Int32, shape);
        tensor.CopyFrom(values);
        return tensor;
    }
}
