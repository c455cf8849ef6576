using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// Multi-head self-attention within each packed sequence, <c>softmax(q k^T / sqrt(HS)) v</c> (Vaswani et al. 2017, equation 1), with
/// a factor on each probability for dropout. In double the reference; in float the naive twin.
/// </summary>
public static class AttentionReference
{
    /// <summary>The factor of the probability that a query (row) gives a key (row) in a head; 1 without dropout.</summary>
    public delegate double Factor(int query, int key, int head);

    public static (T[] Output, T[] Lse) Forward<T>(T[] qkv, int[] cuSeqlens, int c, int heads, bool causal, Factor? factor = null)
        where T : IFloatingPointIeee754<T>
    {
        int n = cuSeqlens[^1];
        int size = c / heads;
        T[] output = new T[n * c];
        T[] lse = new T[n * heads];
        for (int s = 0; s < cuSeqlens.Length - 1; s++)
        {
            for (int head = 0; head < heads; head++)
            {
                for (int q = cuSeqlens[s]; q < cuSeqlens[s + 1]; q++)
                {
                    int end = causal ? q + 1 : cuSeqlens[s + 1];
                    T[] p = Probabilities(qkv, q, cuSeqlens[s], end, c, head, size, out lse[(q * heads) + head]);
                    for (int k = cuSeqlens[s]; k < end; k++)
                    {
                        T weight = p[k - cuSeqlens[s]] * T.CreateChecked(factor?.Invoke(q, k, head) ?? 1);
                        for (int d = 0; d < size; d++)
                        {
                            output[(q * c) + (head * size) + d] += weight * qkv[(k * 3 * c) + (2 * c) + (head * size) + d];
                        }
                    }
                }
            }
        }

        return (output, lse);
    }

    public static T[] Backward<T>(T[] dOutput, T[] qkv, int[] cuSeqlens, int c, int heads, bool causal, Factor? factor = null)
        where T : IFloatingPointIeee754<T>
    {
        int size = c / heads;
        T scale = T.One / T.Sqrt(T.CreateChecked(size));
        T[] dQkv = new T[cuSeqlens[^1] * 3 * c];
        for (int s = 0; s < cuSeqlens.Length - 1; s++)
        {
            int start = cuSeqlens[s];
            for (int head = 0; head < heads; head++)
            {
                for (int q = start; q < cuSeqlens[s + 1]; q++)
                {
                    int end = causal ? q + 1 : cuSeqlens[s + 1];
                    T[] p = Probabilities(qkv, q, start, end, c, head, size, out _);
                    T[] dP = new T[p.Length];
                    T sum = T.Zero;
                    for (int k = start; k < end; k++)
                    {
                        T f = T.CreateChecked(factor?.Invoke(q, k, head) ?? 1);
                        for (int d = 0; d < size; d++)
                        {
                            T g = dOutput[(q * c) + (head * size) + d];
                            dP[k - start] += f * g * qkv[(k * 3 * c) + (2 * c) + (head * size) + d];
                            dQkv[(k * 3 * c) + (2 * c) + (head * size) + d] += f * p[k - start] * g;
                        }

                        sum += p[k - start] * dP[k - start];
                    }

                    for (int k = start; k < end; k++)
                    {
                        T dS = scale * p[k - start] * (dP[k - start] - sum);
                        for (int d = 0; d < size; d++)
                        {
                            dQkv[(q * 3 * c) + (head * size) + d] += dS * qkv[(k * 3 * c) + c + (head * size) + d];
                            dQkv[(k * 3 * c) + c + (head * size) + d] += dS * qkv[(q * 3 * c) + (head * size) + d];
                        }
                    }
                }
            }
        }

        return dQkv;
    }

    private static T[] Probabilities<T>(T[] qkv, int q, int start, int end, int c, int head, int size, out T lse)
        where T : IFloatingPointIeee754<T>
    {
        T scale = T.One / T.Sqrt(T.CreateChecked(size));
        T[] p = new T[end - start];
        T maximum = T.NegativeInfinity;
        for (int k = start; k < end; k++)
        {
            T dot = T.Zero;
            for (int d = 0; d < size; d++)
            {
                dot += qkv[(q * 3 * c) + (head * size) + d] * qkv[(k * 3 * c) + c + (head * size) + d];
            }

            p[k - start] = dot * scale;
            maximum = T.Max(maximum, p[k - start]);
        }

        T sum = T.Zero;
        for (int k = 0; k < p.Length; k++)
        {
            p[k] = T.Exp(p[k] - maximum);
            sum += p[k];
        }

        for (int k = 0; k < p.Length; k++)
        {
            p[k] /= sum;
        }

        lse = maximum + T.Log(sum);
        return p;
    }
}
