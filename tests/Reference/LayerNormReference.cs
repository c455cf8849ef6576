using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// Layer normalisation, <c>y = (x - mean) rstd w + b</c>, <c>rstd = 1 / sqrt(var + eps)</c> with the population variance
/// (Ba, Kiros, Hinton 2016, equation 4). In double the reference; in float the naive twin whose error sets the budget.
/// </summary>
public static class LayerNormReference
{
    public static (T[] Output, T[] Mean, T[] Rstd) Forward<T>(T[] input, T[] weight, T[] bias, int n, int c, T epsilon)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[n * c];
        T[] mean = new T[n];
        T[] rstd = new T[n];
        T count = T.CreateChecked(c);
        for (int row = 0; row < n; row++)
        {
            T sum = T.Zero;
            for (int i = 0; i < c; i++)
            {
                sum += input[(row * c) + i];
            }

            mean[row] = sum / count;
            T squares = T.Zero;
            for (int i = 0; i < c; i++)
            {
                T d = input[(row * c) + i] - mean[row];
                squares += d * d;
            }

            rstd[row] = T.One / T.Sqrt((squares / count) + epsilon);
            for (int i = 0; i < c; i++)
            {
                output[(row * c) + i] = ((input[(row * c) + i] - mean[row]) * rstd[row] * weight[i]) + bias[i];
            }
        }

        return (output, mean, rstd);
    }

    public static (T[] DInput, T[] DWeight, T[] DBias) Backward<T>(T[] dOutput, T[] input, T[] weight, int n, int c, T epsilon)
        where T : IFloatingPointIeee754<T>
    {
        (_, T[] mean, T[] rstd) = Forward(input, weight, new T[c], n, c, epsilon);
        T[] dInput = new T[n * c];
        T[] dWeight = new T[c];
        T[] dBias = new T[c];
        T count = T.CreateChecked(c);
        for (int row = 0; row < n; row++)
        {
            T sumG = T.Zero;
            T sumGx = T.Zero;
            for (int i = 0; i < c; i++)
            {
                T x = (input[(row * c) + i] - mean[row]) * rstd[row];
                T dy = dOutput[(row * c) + i];
                sumG += dy * weight[i];
                sumGx += dy * weight[i] * x;
                dWeight[i] += dy * x;
                dBias[i] += dy;
            }

            for (int i = 0; i < c; i++)
            {
                T x = (input[(row * c) + i] - mean[row]) * rstd[row];
                dInput[(row * c) + i] = rstd[row] * ((dOutput[(row * c) + i] * weight[i]) - (sumG / count) - (x * sumGx / count));
            }
        }

        return (dInput, dWeight, dBias);
    }
}
