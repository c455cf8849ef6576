using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>Rows of length one, <c>y = x / ||x||</c> and <c>dx = (dy - y (y . dy)) / ||x||</c>; a row of zeros gives zeros both ways.
/// In double the reference; in float the naive twin.</summary>
public static class L2NormReference
{
    public static (T[] Output, T[] Norm) Forward<T>(T[] input, int b, int e)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[b * e];
        T[] norm = new T[b];
        for (int row = 0; row < b; row++)
        {
            T squares = T.Zero;
            for (int i = 0; i < e; i++)
            {
                squares += input[(row * e) + i] * input[(row * e) + i];
            }

            norm[row] = T.Sqrt(squares);
            for (int i = 0; i < e; i++)
            {
                output[(row * e) + i] = norm[row] == T.Zero ? T.Zero : input[(row * e) + i] / norm[row];
            }
        }

        return (output, norm);
    }

    public static T[] Backward<T>(T[] dOutput, T[] input, int b, int e)
        where T : IFloatingPointIeee754<T>
    {
        (T[] output, T[] norm) = Forward(input, b, e);
        T[] dInput = new T[b * e];
        for (int row = 0; row < b; row++)
        {
            T dot = T.Zero;
            for (int i = 0; i < e; i++)
            {
                dot += dOutput[(row * e) + i] * output[(row * e) + i];
            }

            for (int i = 0; i < e; i++)
            {
                T d = dOutput[(row * e) + i] - (output[(row * e) + i] * dot);
                dInput[(row * e) + i] = norm[row] == T.Zero ? T.Zero : d / norm[row];
            }
        }

        return dInput;
    }
}
