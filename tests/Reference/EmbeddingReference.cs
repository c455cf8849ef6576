using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// <c>output[n] = word[ids[n]] + position[positions[n]] + type[typeIds[n]]</c> (Devlin et al. 2019, figure 2). In double the
/// reference; in float the naive twin.
/// </summary>
public static class EmbeddingReference
{
    public static T[] Forward<T>(int[] ids, int[] positions, int[] typeIds, T[] word, T[] position, T[] type, int c)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[ids.Length * c];
        for (int n = 0; n < ids.Length; n++)
        {
            for (int i = 0; i < c; i++)
            {
                output[(n * c) + i] = word[(ids[n] * c) + i] + position[(positions[n] * c) + i] + type[(typeIds[n] * c) + i];
            }
        }

        return output;
    }

    /// <summary>Adds each row of <paramref name="dOutput"/> to the row of <paramref name="dTable"/> that its number names.</summary>
    public static void Backward<T>(T[] dOutput, int[] numbers, T[] dTable, int c)
        where T : IFloatingPointIeee754<T>
    {
        for (int n = 0; n < numbers.Length; n++)
        {
            for (int i = 0; i < c; i++)
            {
                dTable[(numbers[n] * c) + i] += dOutput[(n * c) + i];
            }
        }
    }
}
