using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// <c>output = alpha op(a) op(b) [+ before]</c> by plain loops. In double the reference; in float the naive twin whose error sets
/// the budget.
/// </summary>
public static class MatMulReference
{
    /// <summary>a (M, K), or (K, M) if transposed; b (K, N), or (N, K) if transposed; before (M, N), what is added to, empty for nothing.</summary>
    public static T[] Run<T>(T[] a, T[] b, T[] before, int m, int n, int k, bool transposeA, bool transposeB, T alpha)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[m * n];
        for (int row = 0; row < m; row++)
        {
            for (int column = 0; column < n; column++)
            {
                T sum = T.Zero;
                for (int i = 0; i < k; i++)
                {
                    sum += a[transposeA ? (i * m) + row : (row * k) + i] * b[transposeB ? (column * k) + i : (i * n) + column];
                }

                output[(row * n) + column] = alpha * sum;
                if (before.Length > 0)
                {
                    output[(row * n) + column] += before[(row * n) + column];
                }
            }
        }

        return output;
    }
}
