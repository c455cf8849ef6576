using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>Seeded inputs. The same name and seed give the same numbers on every machine.</summary>
public static class TestData
{
    /// <summary>Normally distributed values, rounded to the element type so that reference and operation see the same input.</summary>
    public static float[] Normal(DType dtype, long count, uint seed, float scale = 1, float shift = 0)
    {
        CounterRandom random = new(seed, 0x7E57, 0);
        float[] values = new float[count];
        for (int i = 0; i < values.Length; i++)
        {
            float v = shift + (scale * random.NextNormal());
            values[i] = dtype == DType.BFloat16 ? BFloat16.FromSingle(v).ToSingle() : v;
        }

        return values;
    }

    /// <summary>Small whole numbers from -<paramref name="magnitude"/> to <paramref name="magnitude"/>: sums of them are exact, so index bugs show as plain inequality.</summary>
    public static float[] Whole(long count, uint seed, int magnitude = 3)
    {
        CounterRandom random = new(seed, 0x1D7, 0);
        float[] values = new float[count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.Next((2 * magnitude) + 1) - magnitude;
        }

        return values;
    }

    public static double[] ToDouble(float[] values) => Array.ConvertAll(values, v => (double)v);
}
