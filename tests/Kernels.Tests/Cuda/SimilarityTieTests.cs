using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>
/// The false-negative mask where products round: negatives that equal their positive exactly, but whose similarities come out a little
/// above or below it, by the order in which a tensor core adds. Whatever is decided, statistics and gradients must decide alike.
/// </summary>
public sealed class SimilarityTieTests
{
    private const int B = 150;
    private const int Groups = 8;

    // A large number and its opposite among small ones: what is added between them is rounded to eighths, up or down, or cut off.
    private static readonly float[] s_tail = [1 << 20, 19f / 256, -(1 << 20), 10f / 256, -18f / 256, 0.25f, 1.5f];

    public static TheoryData<MatMulPrecision, ulong, bool, bool> Cases()
    {
        TheoryData<MatMulPrecision, ulong, bool, bool> data = [];
        foreach (MatMulPrecision precision in Enum.GetValues<MatMulPrecision>())
        {
            for (ulong seed = 0; seed < 2; seed++)
            {
                data.Add(precision, seed, seed % 2 == 0, true);
                data.Add(precision, seed, seed % 2 == 0, false);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void StatisticsAndGradientsDropTheSamePairs(MatMulPrecision precision, ulong seed, bool keeps, bool byRows)
    {
        // The first coordinate is 1, then come the group's mark and the tail, permuted in each image and weighed by ones: all images of a group
        // have exactly the similarity of the caption's own one.
        int e = 1 + Groups + s_tail.Length;
        float[] captions = new float[B * e];
        float[] images = new float[B * e];
        for (int i = 0; i < B; i++)
        {
            captions[i * e] = images[i * e] = 1;
            captions[(i * e) + 1 + (i % Groups)] = 1;
            images[(i * e) + 1 + (i % Groups)] = 16;
            for (int t = 0; t < s_tail.Length; t++)
            {
                captions[(i * e) + 1 + Groups + t] = 1;
                images[(i * e) + 1 + Groups + t] = s_tail[((i / Groups % 2 == 0 ? t : s_tail.Length - 1 - t) + i) % s_tail.Length];
            }
        }

        SimilarityCrossEntropyOptions options = new()
        {
            Normalize = false,
            Scale = SimilarityCrossEntropyScale.Multiplier,
            FalseNegativeMargin = 0,
            Direction = byRows ? SimilarityCrossEntropyDirection.CaptionToImage : SimilarityCrossEntropyDirection.ImageToCaption,
        };
        SimilarityCrossEntropyCase x = new(options, B, B, e, captions, images, 1);
        using EmulatedCuda backend = new(seed);
        backend.Device.MatMulPrecision = precision;
        using SimilarityCrossEntropyWorkspace workspace = keeps
            ? new(backend.Device, options, B, B, e)
            : new(backend.Device, options with { MemoryBudgetBytes = 300 << 10 }, 600, 600, e);
        Assert.Equal(keeps, workspace.KeepsSimilarities);
        SimilarityCrossEntropyResult<float> actual = x.Run(backend, workspace, out _);

        // A line's gradients add up to nothing, if those are dropped that its sum lacks: one pair that is decided otherwise is a twentieth of a
        // line. Rounded to bfloat16, each gradient is half of a 256th off at most, rounded to TF32 an eighth of that.
        float[] gradients = byRows ? actual.DCaptions : actual.DImages;
        double tolerance = precision switch
        {
            MatMulPrecision.BFloat16 => 1.0 / 128,
            MatMulPrecision.Tf32 => 1.0 / 1024,
            _ => 1e-4,
        };
        for (int i = 0; i < B; i++)
        {
            Assert.InRange(B * (double)gradients[i * e], -tolerance, tolerance);
        }

        // Ties do go either way: lines have lost some of their group, and not all of it.
        float[] losses = byRows ? actual.RowLoss : actual.ColumnLoss;
        double[] kept = [.. losses.Select(l => Math.Exp(l))];
        Assert.Contains(kept, k => k < 0.8 * (B / Groups));
        Assert.Contains(kept, k => k > 2);
    }

    private sealed class EmulatedCuda(ulong seed) : EmulatedCudaBackend(seed);
}
