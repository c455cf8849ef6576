using System.Globalization;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// What bfloat16 storage costs an operation: one rounding, of its result, to nearest even. An error budget has room for a second rounding
/// on the way, or for one that cuts off; this has not.
/// </summary>
public static class ResultRounding
{
    /// <summary>
    /// Fails unless <paramref name="narrow"/>, computed on bfloat16, is <paramref name="wide"/>, computed on the same numbers as float32,
    /// rounded. Sums that are taken in another order may lie on the other side of a half: one element in fifty may be the next number.
    /// </summary>
    public static void AssertOnce(float[] wide, float[] narrow, string what)
    {
        Assert.Equal(wide.Length, narrow.Length);
        int others = 0;
        for (int i = 0; i < wide.Length; i++)
        {
            float expected = BFloat16.FromSingle(wide[i]).ToSingle();
            if (narrow[i] == expected)
            {
                continue;
            }

            others++;
            float next = BFloat16.FromSingle(expected * (Math.Abs(narrow[i]) > Math.Abs(expected) ? 1.0078125f : 0.9921875f)).ToSingle();
            Assert.True(
                narrow[i] == next,
                string.Create(CultureInfo.InvariantCulture, $"{what}: element {i} is {narrow[i]:G9}, {wide[i]:G9} before it is rounded"));
        }

        Assert.True(
            others <= wide.Length / 50,
            string.Create(CultureInfo.InvariantCulture, $"{what}: {others} of {wide.Length} elements are not the nearest bfloat16 number."));
    }
}
