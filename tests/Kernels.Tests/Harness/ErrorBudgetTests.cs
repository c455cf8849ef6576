using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

public sealed class ErrorBudgetTests
{
    private static readonly double[] s_expected = [1, -2, 3];
    private static readonly float[] s_twin = [1, -2, 3];

    [Fact]
    public void AcceptsEqualValues() => Assert.Null(Explain([1, -2, 3]));

    [Fact]
    public void AcceptsFourUnitsInTheLastPlaceOfTheLargestMagnitude() => Assert.Null(Explain([1 + 9.5e-7f, -2, 3]));

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(1.00001f)]
    public void RefusesAWrongElement(float wrong) => Assert.NotNull(Explain([wrong, -2, 3]));

    [Fact]
    public void RefusesANumberWhereNaNIsExpected() =>
        Assert.NotNull(ErrorBudget.Explain([double.NaN], [float.NaN], [1], DType.Float32, 2, "x"));

    [Fact]
    public void RefusesAnotherLength() => Assert.NotNull(Explain([1, -2]));

    private static string? Explain(float[] actual) => ErrorBudget.Explain(s_expected, s_twin, actual, DType.Float32, ErrorBudget.ForwardFactor, "x");
}
