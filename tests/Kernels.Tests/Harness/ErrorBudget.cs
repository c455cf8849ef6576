using System.Globalization;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// The tolerance of an operation: each element's error against the double reference may be at most <c>factor</c> times the largest
/// error of a naive same-precision twin, plus four units in the last place of the tensor's largest magnitude. Patterns of NaN and
/// infinity are compared first.
/// </summary>
public static class ErrorBudget
{
    public const double ForwardFactor = 2;
    public const double BackwardFactor = 3;

    public static void AssertForward(double[] expected, float[] twin, float[] actual, DType dtype, string what) =>
        Assert.Null(Explain(expected, twin, actual, dtype, ForwardFactor, what));

    public static void AssertBackward(double[] expected, float[] twin, float[] actual, DType dtype, string what) =>
        Assert.Null(Explain(expected, twin, actual, dtype, BackwardFactor, what));

    /// <summary>What is wrong with <paramref name="actual"/>, or null.</summary>
    public static string? Explain(double[] expected, float[] twin, float[] actual, DType dtype, double factor, string what)
    {
        if (expected.Length != actual.Length || expected.Length != twin.Length)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{what}: {actual.Length} values, expected {expected.Length} (twin {twin.Length}).");
        }

        double largest = 0;
        double twinError = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (double.IsFinite(expected[i]))
            {
                largest = Math.Max(largest, Math.Abs(expected[i]));
                double error = Math.Abs(Round(twin[i], dtype) - expected[i]);

                // A twin that overflows where the reference does not sets no budget.
                if (double.IsFinite(error))
                {
                    twinError = Math.Max(twinError, error);
                }
            }
        }

        double tolerance = (factor * twinError) + (4 * UnitInTheLastPlace(largest, dtype));
        for (int i = 0; i < expected.Length; i++)
        {
            bool same = double.IsNaN(expected[i]) ? float.IsNaN(actual[i])
                : double.IsInfinity(expected[i]) ? actual[i] == expected[i]
                : Math.Abs(actual[i] - expected[i]) <= tolerance;
            if (!same)
            {
                double ratio = Math.Abs(actual[i] - expected[i]) / tolerance;
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{what}: element {i} is {actual[i]:G9}, expected {expected[i]:G9}; error / tolerance = {ratio:G3} (tolerance {tolerance:G3}).");
            }
        }

        return null;
    }

    private static double Round(float value, DType dtype) => dtype == DType.BFloat16 ? BFloat16.FromSingle(value).ToSingle() : value;

    private static double UnitInTheLastPlace(double magnitude, DType dtype)
    {
        int fractionBits = dtype == DType.BFloat16 ? 7 : 23;
        return magnitude == 0 ? Math.ScaleB(1, -126 - fractionBits) : Math.ScaleB(1, Math.Max(Math.ILogB(magnitude), -126) - fractionBits);
    }
}
