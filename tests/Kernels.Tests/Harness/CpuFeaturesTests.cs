using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>The tier itself: part of every child process of <see cref="SimdTierTests"/>.</summary>
public sealed class CpuFeaturesTests
{
    [Fact]
    public void TheTierIsTheOneThatWasAskedFor()
    {
        string? expected = Environment.GetEnvironmentVariable(SimdTierTests.ExpectedTierVariable);
        Assert.True(expected is null || expected == CpuFeatures.Tier.ToString(), $"The tier is {CpuFeatures.Tier}, not {expected}.");
    }
}
