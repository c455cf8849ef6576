using System.Text.Json;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>A real pretrained tower, in the folder that CROSSALIGN_E5 names: multilingual-e5-small in full precision.</summary>
public sealed class PublishedTowerTests
{
    private const double Tolerance = 2e-6;

    [Fact]
    public void MultilingualE5GivesItsPublishedVectors()
    {
        string? folder = Environment.GetEnvironmentVariable("CROSSALIGN_E5");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "CROSSALIGN_E5 does not name the folder of multilingual-e5-small");
        using CpuDevice device = new();
        using TwoTowerModel model = ModelFolder.Load(device, folder!, out IReadOnlyList<CheckpointReport> reports);
        Assert.Empty(CheckpointReport.NewlyInitialized(model.Parameters, reports));
        Assert.Empty(reports.Single().Ignored);
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder!);
        Assert.Equal((PoolingKind.Mean, true), (settings.Pooling!.Only, settings.Normalize));

        int[][] texts =
        [
            .. File.ReadLines(Fixtures.PathOf("multilingual-e5-small", "golden.jsonl"))
                .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("ids").EnumerateArray().Select(e => e.GetInt32()).ToArray()),
        ];
        using SafetensorsFile golden = SafetensorsFile.Open(Fixtures.PathOf("multilingual-e5-small", "golden.safetensors"));
        float[] expected = golden.ReadSingles("embeddings");
        int c = model.EmbeddingWidth();
        Assert.Equal(texts.Length * c, expected.Length);

        // In batches by length, as a user would; the vector does not depend on it.
        int[] order = [.. Enumerable.Range(0, texts.Length).OrderBy(i => texts[i].Length)];
        float worst = 0;
        foreach (int[] chunk in order.Chunk(32))
        {
            TokenBatch batch = new(model.Text!.Packing);
            foreach (int i in chunk)
            {
                batch.Add(texts[i]);
            }

            float[] rows = new float[chunk.Length * c];
            model.EmbedText(batch, rows);
            for (int k = 0; k < chunk.Length; k++)
            {
                for (int j = 0; j < c; j++)
                {
                    worst = Math.Max(worst, Math.Abs(rows[(k * c) + j] - expected[(chunk[k] * c) + j]));
                }
            }
        }

        Assert.True(worst <= Tolerance, FormattableString.Invariant($"largest difference {worst:G3}, tolerance {Tolerance:G3}"));
    }
}
