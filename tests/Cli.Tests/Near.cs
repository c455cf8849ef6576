using System.Globalization;

namespace CrossAlign.Cli.Tests;

/// <summary>Comparison with golden tensors: the Euclidean norm of the difference, relative to that of the golden values.</summary>
internal static class Near
{
    public static void Assert(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance, double floor = 0)
    {
        Xunit.Assert.Equal(expected.Length, actual.Length);
        double error = 0;
        double norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            Xunit.Assert.True(float.IsFinite(actual[i]), "not finite");
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            norm += expected[i] * expected[i];
        }

        Xunit.Assert.True(
            Math.Sqrt(error) <= (tolerance * Math.Sqrt(norm)) + floor,
            string.Create(CultureInfo.InvariantCulture, $"error {Math.Sqrt(error):G3} of {Math.Sqrt(norm):G3}, tolerance {tolerance:G3}"));
    }
}
