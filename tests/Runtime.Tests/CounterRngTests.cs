namespace CrossAlign.Runtime.Tests;

public sealed class CounterRngTests
{
    /// <summary>The known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10).</summary>
    [Theory]
    [InlineData(0u, 0u, 0u, 0u, 0ul, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(~0u, ~0u, ~0u, ~0u, ~0ul, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0x299f31d0a4093822ul, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void BlockGivesTheKnownAnswers(uint c0, uint c1, uint c2, uint c3, ulong key, uint x, uint y, uint z, uint w) =>
        Assert.Equal((x, y, z, w), CounterRng.Block(key, c0, c1, c2, c3));

    [Fact]
    public void EveryNumberBelowTheBoundIsDrawnAboutEquallyOften()
    {
        int[] counts = new int[7];
        CounterRandom random = new(1, 2, 3);
        for (int i = 0; i < 70_000; i++)
        {
            counts[random.Next(7)]++;
        }

        // Five standard deviations of a binomial count.
        Assert.All(counts, count => Assert.InRange(count, 10_000 - 463, 10_000 + 463));
    }

    [Fact]
    public void NormalDrawsHaveMeanZeroAndDeviationOne()
    {
        CounterRandom random = new(1, 2, 4);
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < 100_000; i++)
        {
            double x = random.NextNormal();
            sum += x;
            squares += x * x;
        }

        Assert.InRange(sum / 100_000, -0.016, 0.016);
        Assert.InRange(squares / 100_000, 0.978, 1.022);
    }
}
