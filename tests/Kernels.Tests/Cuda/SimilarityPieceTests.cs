using CrossAlign.Kernels.Cuda;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>The numbers of lines of a large batch's pieces, of which a call small enough to be emulated has too few to fill a block.</summary>
public sealed class SimilarityPieceTests
{
    private const int Counts = 4;

    [Theory]
    [InlineData(0, 70_000, 66_000, 1000, 70_000, 66_000, 1000)]
    [InlineData(1, 70_000, 66_000, 1000, 40_001, 129, 0)]
    [InlineData(2, 100, 90_001, 0, 100, 90_001, 0)]
    public void EveryPieceHasItsLines(ulong seed, int rows, int images, int extras, int liveRows, int liveImages, int liveExtras)
    {
        const int Length = CudaSimilarityPlan.BlockTile;
        using EmulatedCuda backend = new(seed);
        CudaDevice device = (CudaDevice)backend.Device;
        int[] lines = [rows, images, extras];
        int[] live = [liveRows, liveImages, liveExtras];
        int[] pieces = [.. lines.Select(n => (n + Length - 1) / Length)];
        Tensor counts = backend.Upload(new Shape(Counts + pieces.Sum()), [.. Enumerable.Repeat(-1, Counts + pieces.Sum())]);
        Tensor there = backend.Upload(new Shape(3), live);
        KernelArguments arguments = default;
        arguments.Add(counts);
        for (int side = 0; side < 3; side++)
        {
            arguments.Add(there.Rows(side, 1));
        }

        arguments.Add(rows);
        arguments.Add(images);
        arguments.Add(extras);
        arguments.Add(images + extras);
        for (int side = 0; side < 3; side++)
        {
            arguments.Add(Length);
        }

        foreach (int count in pieces)
        {
            arguments.Add(count);
        }

        device.Launch(CudaKernels.Get(device, "similarity_cross_entropy_lines", "similarity_counts"), new Dim3(1), 256, ref arguments);
        int[] expected = [.. live, images + extras, .. Enumerable.Range(0, 3).SelectMany(side => Enumerable.Range(0, pieces[side]).Select(i => Math.Clamp(live[side] - (i * Length), 0, Length)))];
        Assert.Equal(expected, counts.ToArray<int>());
        Assert.True(pieces.Sum() > 2 * 256);
    }

    private sealed class EmulatedCuda(ulong seed) : EmulatedCudaBackend(seed);
}
