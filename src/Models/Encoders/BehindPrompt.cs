using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>Poolings of texts' rows on their way to the host; those that leave the first tokens of each text out, where a folder declares that a prompt does not count.</summary>
internal static class BehindPrompt
{
    /// <summary>Whether leaving tokens out changes what a pooling gives: the first and the last token stay what they are.</summary>
    /// <param name="kind">The pooling.</param>
    public static bool Matters(PoolingKind kind) => kind is not (PoolingKind.Cls or PoolingKind.Eos);

    /// <summary>Pools.</summary>
    /// <param name="kind">How.</param>
    /// <param name="rows">(N, C): the texts' rows.</param>
    /// <param name="batch">The texts.</param>
    /// <param name="unpooledTokens">How many of each text's first tokens are left out; 0 for none.</param>
    /// <param name="arena">Where working tensors are taken.</param>
    /// <returns>(S, C), row-major. A weighted mean's weights count from the text's first token, left out or not.</returns>
    public static float[] Pool(PoolingKind kind, in Tensor rows, TokenBatch batch, int unpooledTokens, TensorArena arena)
    {
        if (unpooledTokens == 0 || !Matters(kind))
        {
            return Run(kind, rows, batch.CuSeqlens, arena);
        }

        // Each text as two sequences, what is left out and what is pooled, of which the second one's vector counts.
        int width = rows.Shape[1];
        int[] cuts = new int[(2 * batch.Count) + 1];
        for (int text = 0; text < batch.Count; text++)
        {
            cuts[2 * text] = batch.CuSeqlens[text];
            cuts[(2 * text) + 1] = Math.Min(batch.CuSeqlens[text] + unpooledTokens, batch.CuSeqlens[text + 1]);
        }

        cuts[^1] = batch.TokenCount;
        float[] both = Run(kind, rows, cuts, arena);
        float[] means = kind == PoolingKind.WeightedMean ? Run(PoolingKind.Mean, rows, cuts, arena) : [];
        float[] kept = new float[batch.Count * width];
        for (int text = 0; text < batch.Count; text++)
        {
            Span<float> vector = kept.AsSpan(text * width, width);
            both.AsSpan(((2 * text) + 1) * width, width).CopyTo(vector);
            if (kind == PoolingKind.WeightedMean)
            {
                int start = cuts[(2 * text) + 1];
                AddFirstWeight(vector, means.AsSpan(((2 * text) + 1) * width, width), start - cuts[2 * text], cuts[(2 * text) + 2] - start);
            }
        }

        return kept;
    }

    // From the weights 1, 2, 3, ... to p + 1, p + 2, p + 3, ...: p times the plain sum comes on top.
    private static void AddFirstWeight(Span<float> vector, ReadOnlySpan<float> mean, int leftOut, int length)
    {
        double weights = length * (length + 1.0) / 2;
        double more = (double)leftOut * length;
        for (int i = 0; length > 0 && i < vector.Length; i++)
        {
            vector[i] = (float)(((weights * vector[i]) + (more * mean[i])) / (weights + more));
        }
    }

    private static float[] Run(PoolingKind kind, in Tensor rows, ReadOnlySpan<int> cuts, TensorArena arena)
    {
        Tensor starts = arena.Take(DType.Int32, new Shape(cuts.Length));
        starts.CopyFrom(cuts);
        Tensor pooled = arena.Take(DType.Float32, new Shape(cuts.Length - 1, rows.Shape[1]));
        Pooling.Forward(kind, rows, starts, pooled);
        return pooled.ToArray<float>();
    }
}
