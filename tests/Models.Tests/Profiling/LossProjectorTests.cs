using CrossAlign.Models.Profiling;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Profiling;

public sealed class LossProjectorTests
{
    private const int E = 64;

    // Room for super-tiles of 128 to 256 lines at these sizes.
    private const long SmallBudget = 512 << 10;

    [Theory]
    [InlineData(MatMulPrecision.BFloat16)]
    [InlineData(MatMulPrecision.Tf32)]
    public void ALargerCallCostsWhatThreeSmallOnesSay(MatMulPrecision precision)
    {
        const int Extent = 640;
        IReadOnlyDictionary<string, KernelCounters>[] small = [.. new[] { 128, 256, 384 }.Select(s => LossProjector.CountLoss(precision, s, E, LossProjector.OneSuperTile(s, E)))];
        IReadOnlyDictionary<string, KernelCounters> large = LossProjector.CountLoss(precision, Extent, E, LossProjector.OneSuperTile(Extent, E));
        foreach ((string kernel, KernelCounters counted) in large.Where(k => LossProjector.IsPerSuperTile(k.Key)))
        {
            AssertSame(LossProjector.AtExtent(small, kernel, Extent), counted, kernel);
        }

        foreach ((string kernel, KernelCounters counted) in large.Where(k => k.Key is "similarity_norms" or "similarity_columns" or "similarity_softmax_lines" or "similarity_finish"))
        {
            AssertSame(LossProjector.AtRows(small, kernel, Extent), counted, kernel);
        }
    }

    [Fact]
    public void KernelsOfASuperTileAreLaunchedForEachOfThemAndOthersAreNot()
    {
        IReadOnlyDictionary<string, KernelCounters> one = LossProjector.CountLoss(MatMulPrecision.BFloat16, 256, E, LossProjector.OneSuperTile(256, E));
        IReadOnlyDictionary<string, KernelCounters> many = LossProjector.CountLoss(MatMulPrecision.BFloat16, 640, E, SmallBudget);
        long superTiles = many["similarity_stats_bf16"].LaunchCount;
        Assert.True(superTiles > 1, "The budget leaves one super-tile.");

        // A piece of the columns is done with after the super-tile of the last rows.
        long pieces = (long)Math.Sqrt(superTiles);
        Assert.Equal(superTiles, pieces * pieces);
        Assert.All(many, k =>
            Assert.Equal(one[k.Key].LaunchCount * (LossProjector.IsPerSuperTile(k.Key) ? superTiles : k.Key == "similarity_columns" ? pieces : 1), k.Value.LaunchCount));
    }

    [Fact]
    public void PartsAddUpToTheCall()
    {
        const int B = 2048;
        const int WholeTiles = 128;
        LossProjection loss = LossProjector.Run(MatMulPrecision.BFloat16, B, WholeTiles);
        Assert.Equal(8.0 * B * B * WholeTiles / 1e12, loss.Parts.Sum(p => p.TensorTflop), 1e-6);
        foreach ((PortTimes total, int i) in loss.Total.Select((t, i) => (t, i)))
        {
            Assert.Equal(loss.Parts.Sum(p => p.Gpus[i].LeastMilliseconds), total.LeastMilliseconds, 1e-9);
            Assert.All(total.Milliseconds, port => Assert.InRange(port.Value, 0, total.LeastMilliseconds));
        }
    }

    [Fact]
    public void SizesThatAreNoWholeTilesAreRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => LossProjector.Run(MatMulPrecision.BFloat16, 1000, 64));
        Assert.Throws<ArgumentOutOfRangeException>(() => LossProjector.Run(MatMulPrecision.BFloat16, 1024, 60));
    }

    private static void AssertSame(KernelCounters projected, KernelCounters counted, string kernel)
    {
        Assert.Equal(counted.MmaOperationCount, projected.MmaOperationCount);
        Near(counted.InstructionCount, projected.InstructionCount, "instructions");
        Near(counted.Instructions[(int)InstructionClass.Special], projected.Instructions[(int)InstructionClass.Special], "special functions");
        Near(counted.Instructions[(int)InstructionClass.Float], projected.Instructions[(int)InstructionClass.Float], "float");
        Near(counted.SharedWavefrontCount, projected.SharedWavefrontCount, "wavefronts");
        Near(counted.GlobalSectorCount, projected.GlobalSectorCount, "sectors");
        Near(counted.FootprintSectorCount, projected.FootprintSectorCount, "footprint");

        void Near(long expected, long actual, string what) =>
            Assert.True(Math.Abs(actual - expected) <= 0.05 * expected, $"{kernel}: {what} are {expected}, projected {actual}");
    }
}
