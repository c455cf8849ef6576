using CrossAlign.Kernels.Cpu.Similarity;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>The phases over four quadrants of the matrix, each with its global offsets, as several devices would go through them.</summary>
public sealed unsafe class CpuSimilarityPhasesTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void QuadrantsGiveTheWhole(int counted)
    {
        using CpuBackend backend = new();
        SimilarityCrossEntropyOptions options = new() { Normalize = false, Scale = SimilarityCrossEntropyScale.Multiplier, MemoryBudgetBytes = (16 << 20) + (300 << 10) };
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyCase.Seeded(options, 61, 75, 10, 6) with
        {
            Targets = [.. Enumerable.Range(0, 61).Select(i => i % 9 == 4 ? SimilarityCrossEntropy.IgnoreIndex : i * 5 % 68)],
            RowWeights = [.. Enumerable.Range(0, 61).Select(i => 0.5f + (i % 4))],
        };
        SimilarityCrossEntropyResult<double> expected = SimilarityCrossEntropyReference.Run(x.ToDouble());
        using SimilarityCrossEntropyWorkspace workspace = new(backend.Device, options, 600, 600, x.E);
        CpuDevice device = (CpuDevice)backend.Device;
        SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
        Tensor dCaptions = backend.Upload(DType.Float32, new Shape(x.B, x.E), new float[x.B * x.E]);
        Tensor dImages = backend.Upload(DType.Float32, new Shape(x.K, x.E), new float[x.K * x.E]);

        CpuSimilarityState state = CpuSimilarityCrossEntropy.Open(workspace, inputs);
        state.WantsGradients = true;
        state.Width = x.E;
        state.PrefixWeight = 1;

        // Positives of so many columns are counted at a time: a batch of a quarter of a million has several such pieces.
        state.CountCapacity = counted > 0 ? counted : state.CountCapacity;
        CpuSimilarityBlock[] blocks = new CpuSimilarityBlock[4];
        for (int i = 0; i < 4; i++)
        {
            int row = i / 2 * 40;
            int column = i % 2 * 33;
            int rows = i / 2 == 0 ? 40 : x.B - 40;
            int columns = i % 2 == 0 ? 33 : x.K - 33;
            blocks[i] = new CpuSimilarityBlock
            {
                Captions = (void*)inputs.Captions.Rows(row, rows).Address,
                RowCount = rows,
                RowOffset = row,
                DCaptions = dCaptions.Rows(row, rows).Pointer<float>(),
                Images = (void*)inputs.Images.Rows(column, columns).Address,
                ColumnCount = columns,
                ColumnOffset = column,
                DImages = dImages.Rows(column, columns).Pointer<float>(),
            };
        }

        CpuSimilarityPreparation.CountPositives(&state);
        CpuSimilarityMerge.Reset(&state);
        foreach (CpuSimilarityBlock block in blocks)
        {
            CpuSimilarityCrossEntropy.Stats(&state, workspace.Plan, block, device);
        }

        double loss = CpuSimilarityMerge.Softmax(&state, null, null);
        foreach (CpuSimilarityBlock block in blocks)
        {
            CpuSimilarityCrossEntropy.Gradients(&state, workspace.Plan, block, device);
        }

        Assert.Equal(expected.Loss, loss, 1e-6);
        float[] ofCaptions = backend.Download(dCaptions);
        float[] ofImages = backend.Download(dImages);
        for (int i = 0; i < ofCaptions.Length; i++)
        {
            Assert.Equal(expected.DCaptions[i], ofCaptions[i] * x.Scale, 1e-7);
        }

        for (int i = 0; i < ofImages.Length; i++)
        {
            Assert.Equal(expected.DImages[i], ofImages[i] * x.Scale, 1e-7);
        }

        backend.CheckGuards();
    }
}
