using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// The mean, first or last token of each packed sequence (Reimers, Gurevych 2019); zero for an empty one. In double the reference; in
/// float the naive twin.
/// </summary>
public static class PoolingReference
{
    public static T[] Forward<T>(string kind, T[] input, int[] cuSeqlens, int c)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[(cuSeqlens.Length - 1) * c];
        for (int s = 0; s < cuSeqlens.Length - 1; s++)
        {
            (int start, int end) = (cuSeqlens[s], cuSeqlens[s + 1]);
            for (int i = 0; i < c && end > start; i++)
            {
                T sum = T.Zero;
                for (int n = start; n < end; n++)
                {
                    sum += input[(n * c) + i];
                }

                output[(s * c) + i] = kind switch
                {
                    "Mean" => sum / T.CreateChecked(end - start),
                    "Cls" => input[(start * c) + i],
                    "Eos" => input[((end - 1) * c) + i],
                    _ => throw new ArgumentOutOfRangeException(nameof(kind)),
                };
            }
        }

        return output;
    }

    public static T[] Backward<T>(string kind, T[] dOutput, int[] cuSeqlens, int c)
        where T : IFloatingPointIeee754<T>
    {
        T[] dInput = new T[cuSeqlens[^1] * c];
        for (int s = 0; s < cuSeqlens.Length - 1; s++)
        {
            (int start, int end) = (cuSeqlens[s], cuSeqlens[s + 1]);
            for (int n = start; n < end; n++)
            {
                for (int i = 0; i < c; i++)
                {
                    T g = dOutput[(s * c) + i];
                    bool chosen = kind == "Cls" ? n == start : n == end - 1;
                    dInput[(n * c) + i] = kind == "Mean" ? g / T.CreateChecked(end - start) : chosen ? g : T.Zero;
                }
            }
        }

        return dInput;
    }
}
