using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// The mean, first or last token of each packed sequence, the largest number of each column, the sum over the root of the length
/// (Reimers, Gurevych 2019), or the mean with weights 1, 2, 3, ... (Muennighoff 2022); zero for an empty one. In double the reference; in
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
                T weighted = T.Zero;
                for (int n = start; n < end; n++)
                {
                    sum += input[(n * c) + i];
                    weighted += T.CreateChecked(n - start + 1) * input[(n * c) + i];
                }

                output[(s * c) + i] = kind switch
                {
                    "Mean" => sum / T.CreateChecked(end - start),
                    "Cls" => input[(start * c) + i],
                    "Eos" => input[((end - 1) * c) + i],
                    "Max" => input[(FirstLargest(input, start, end, c, i) * c) + i],
                    "MeanSqrtLength" => sum / T.Sqrt(T.CreateChecked(end - start)),
                    "WeightedMean" => weighted / Weights<T>(end - start),
                    _ => throw new ArgumentOutOfRangeException(nameof(kind)),
                };
            }
        }

        return output;
    }

    public static T[] Backward<T>(string kind, T[] dOutput, int[] cuSeqlens, int c, T[] input)
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
                    dInput[(n * c) + i] = kind switch
                    {
                        "Mean" => g / T.CreateChecked(end - start),
                        "Cls" => n == start ? g : T.Zero,
                        "Eos" => n == end - 1 ? g : T.Zero,
                        "Max" => n == FirstLargest(input, start, end, c, i) ? g : T.Zero,
                        "MeanSqrtLength" => g / T.Sqrt(T.CreateChecked(end - start)),
                        "WeightedMean" => g * T.CreateChecked(n - start + 1) / Weights<T>(end - start),
                        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
                    };
                }
            }
        }

        return dInput;
    }

    /// <summary>The row of a column's largest number: of equal ones the first, and the first NaN before them all, as torch.max says.</summary>
    public static int FirstLargest<T>(T[] input, int start, int end, int c, int column)
        where T : IFloatingPointIeee754<T>
    {
        int best = start;
        for (int n = start + 1; n < end && !T.IsNaN(input[(best * c) + column]); n++)
        {
            T x = input[(n * c) + column];
            best = T.IsNaN(x) || x > input[(best * c) + column] ? n : best;
        }

        return best;
    }

    private static T Weights<T>(int length)
        where T : IFloatingPointIeee754<T>
    {
        T sum = T.Zero;
        for (int n = 1; n <= length; n++)
        {
            sum += T.CreateChecked(n);
        }

        return sum;
    }
}
