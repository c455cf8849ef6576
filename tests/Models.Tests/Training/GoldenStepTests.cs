using System.Globalization;
using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Training;

/// <summary>
/// The trainer's own step and optimiser against the published framework's ten steps (fixtures/two-towers), in each of the ways in
/// which a step can be taken: they must all be the same step.
/// </summary>
public sealed class GoldenStepTests : IDisposable
{
    private const int B = 6;
    private const int Pad = 1;
    private const int Side = 24;
    private const int TextLength = 12;
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Theory]
    [InlineData("paper", "whole")]
    [InlineData("paper", "row-sparse words")]
    [InlineData("paper", "exact")]
    [InlineData("corrected", "whole")]
    [InlineData("corrected", "row-sparse words")]
    [InlineData("corrected", "recompute")]
    [InlineData("corrected", "exact")]
    [InlineData("corrected-partly-clipped", "row-sparse words")]
    [InlineData("corrected-partly-clipped", "exact")]
    public void TenStepsAreThePublishedOnes(string run, string way)
    {
        using JsonDocument meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("two-towers", "meta.json")));
        JsonElement golden = meta.RootElement.GetProperty("runs").GetProperty(run);
        RunConfig config = Config(run, way, golden);
        using TwoTowerModel model = NewModel(config, golden);
        Dictionary<string, float[]> initial = model.Parameters.Parameters.ToDictionary(p => p.Name, p => p.Value.ToArray<float>());
        if (way == "row-sparse words")
        {
            model.Parameters.AllocateSparseGradient(model.Text!.WordEmbeddings, B * TextLength);
        }

        model.Parameters.AllocateGradients();
        int micro = config.MicroBatchSize ?? B;
        using ContrastiveStep step = new(model, config, micro);
        using Optimizer optimizer = new(model, config, step.LossCount);
        using StepRunner runner = new(model, config, step, optimizer);
        using SafetensorsFile data = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
        TrainingBatch batch = NewBatch(model, micro);
        double[] losses = Numbers(golden, "loss_f64");
        double lossTolerance = golden.GetProperty("lossTolerance").GetDouble();
        for (int n = 1; n <= losses.Length; n++)
        {
            Fill(batch, data, n - 1);
            runner.Run(batch, new StepNumbers(n, Numbers(golden, "learningRate")[n - 1], 0));
            (double loss, double norm, double scale) = runner.Read();
            Assert.InRange(loss / losses[n - 1], 1 - lossTolerance, 1 + lossTolerance);
            if (golden.TryGetProperty("gradientNorm_f64", out JsonElement norms))
            {
                double tolerance = golden.GetProperty("gradientNormTolerance").GetDouble();
                Assert.InRange(norm / norms[n - 1].GetDouble(), 1 - tolerance, 1 + tolerance);
            }

            Assert.Equal(Numbers(golden, "scalarAfterStep_f64")[n - 1], scale, 2e-6);
        }

        if (golden.TryGetProperty("finalParameterUpdates", out JsonElement updates))
        {
            AssertUpdates(run, model, initial, updates, golden);
        }
    }

    [Fact]
    public void ATableOfWordsMovesByTheSameBitsHoweverItsGradientIsKept()
    {
        // The norm is added up in another order, so nothing is clipped here; moments of rows that a batch leaves alone decay in both.
        Assert.Equal(Words(sparse: false), Words(sparse: true));

        float[] Words(bool sparse)
        {
            using JsonDocument meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("two-towers", "meta.json")));
            JsonElement golden = meta.RootElement.GetProperty("runs").GetProperty("corrected");
            RunConfig config = Config("corrected", "whole", golden);
            config = config with { Optimizer = config.Optimizer with { Clip = null, DecayEmbeddings = true } };
            using TwoTowerModel model = NewModel(config, golden);
            if (sparse)
            {
                model.Parameters.AllocateSparseGradient(model.Text!.WordEmbeddings, B * TextLength);
            }

            model.Parameters.AllocateGradients();
            using ContrastiveStep step = new(model, config, B);
            using Optimizer optimizer = new(model, config, step.LossCount);
            using SafetensorsFile data = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
            TrainingBatch batch = NewBatch(model, B);
            for (int n = 1; n <= 5; n++)
            {
                Fill(batch, data, n - 1);
                model.Parameters.ZeroGradients();
                step.Run(batch, 0);
                optimizer.Step(n, 1e-3);
            }

            return model.Text!.WordEmbeddings.Value.ToArray<float>();
        }
    }

    private static RunConfig Config(string run, string way, JsonElement golden)
    {
        bool paper = run == "paper";
        RunConfig recipe = RunConfigReader.From(paper ? "paper" : "corrected", "multilingual", "shapes").Build();
        return recipe with
        {
            BatchSize = B,
            Projection = new ProjectionConfig { Width = 32, Bias = true },
            ImageTower = recipe.ImageTower with { ImageSize = Side },
            Loss = recipe.Loss with { ScaleInit = paper ? 1 : 1 / 0.07 },
            Optimizer = recipe.Optimizer with
            {
                LearningRate = 1e-3,
                ScaleLearningRate = null,
                Clip = golden.TryGetProperty("clipNorm", out JsonElement norm) ? norm.GetDouble() : paper ? null : 1,
            },
            RecomputeActivations = way == "recompute",
            Accumulate = way == "exact" ? Accumulation.Exact : Accumulation.None,
            MicroBatchSize = way == "exact" ? 4 : null,
        };
    }

    private TwoTowerModel NewModel(RunConfig config, JsonElement golden)
    {
        TextEncoderConfig text = EncoderConfigReader.ReadText(EncoderConfigReader.ReadFile(Fixtures.PathOf("two-towers", "text_encoder.config.json")), "text");
        ImageEncoderConfig image = EncoderConfigReader.ReadImage(EncoderConfigReader.ReadFile(Fixtures.PathOf("two-towers", "image_encoder.config.json")), "image");

        // The golden steps were taken without the configurations' dropout.
        TwoTowerModel model = new(
            _device, text with { HiddenDropout = 0, AttentionDropout = 0 }, image with { HiddenDropout = 0, AttentionDropout = 0 }, TowerFactory.Options(config));
        using CheckpointTensors tensors = CheckpointTensors.OpenFile(Fixtures.PathOf("two-towers", "initial.safetensors"));
        CheckpointLoader.Load(tensors, [.. model.Parameters.Parameters.Where(p => p.Kind != ParameterKind.Scale)], p => p.Name, "both towers");
        model.Scale.Value.CopyFrom<float>([golden.GetProperty("scalarInitial").GetSingle()]);
        return model;
    }

    private static TrainingBatch NewBatch(TwoTowerModel model, int micro)
    {
        List<MicroBatch> parts = [];
        for (int first = 0; first < B; first += micro)
        {
            parts.Add(new MicroBatch(model.Text!.Packing, first, Math.Min(micro, B - first), 3 * Side * Side));
        }

        return new TrainingBatch(B, 1, parts);
    }

    private static void Fill(TrainingBatch batch, SafetensorsFile data, int step)
    {
        const int Picture = 3 * Side * Side;
        int[] ids = data.ReadInt32s("input_ids");
        float[] images = data.ReadSingles("images");
        int[] captionIndex = data.ReadInt32s("captionIndex");
        int[] imageIndex = data.ReadInt32s("imageIndex");
        foreach (MicroBatch part in batch.MicroBatches)
        {
            part.Captions.Clear();
            for (int i = 0; i < part.Count; i++)
            {
                int row = (step * B) + part.First + i;
                ReadOnlySpan<int> padded = ids.AsSpan(captionIndex[row] * TextLength, TextLength);
                int length = padded.IndexOf(Pad);
                part.Captions.Add(length < 0 ? padded : padded[..length], captionIndex[row]);
                images.AsSpan(imageIndex[row] * Picture, Picture).CopyTo(part.Pixels.AsSpan(i * Picture));
            }
        }
    }

    private static void AssertUpdates(string run, TwoTowerModel model, Dictionary<string, float[]> initial, JsonElement updates, JsonElement golden)
    {
        string[] zero = [.. golden.GetProperty("zero_gradient_parameters").EnumerateArray().Select(e => e.GetString()!)];
        using SafetensorsFile final = SafetensorsFile.Open(Fixtures.PathOf("two-towers", $"final-{run}.safetensors"));
        int compared = 0;
        foreach (JsonProperty update in updates.EnumerateObject().Where(u => !zero.Contains(u.Name)))
        {
            double[] mine = Difference(model.Parameters[update.Name].Value.ToArray<float>(), initial[update.Name]);
            double[] expected = Difference(final.ReadSingles(update.Name), initial[update.Name]);
            double error = Golden.RelativeError(expected, [.. mine.Select(v => (float)v)]);
            double tolerance = update.Value.GetProperty("tolerance").GetDouble();
            Assert.True(error <= tolerance, string.Create(CultureInfo.InvariantCulture, $"update of {update.Name}: error {error:G3}, tolerance {tolerance:G3}"));
            compared++;
        }

        Assert.InRange(compared, 70, 80);
    }

    private static double[] Difference(float[] a, float[] b) => [.. a.Select((v, i) => (double)v - b[i])];

    private static double[] Numbers(JsonElement run, string name) => [.. run.GetProperty(name).EnumerateArray().Select(e => e.GetDouble())];
}
