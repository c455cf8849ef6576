using System.Globalization;
using System.Text.Json;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>Optimiser steps of both towers, heads and scale against the published framework's: fixtures/two-towers.</summary>
public sealed class TwoTowerTrainingTests : IDisposable
{
    private const int B = 6;
    private const int Pad = 1;
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Theory]
    [InlineData("paper")]
    [InlineData("corrected")]
    [InlineData("corrected-partly-clipped")]
    [InlineData("corrected-clamped")]
    public void TenStepsAreThePublishedOnes(string run)
    {
        using JsonDocument meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("two-towers", "meta.json")));
        JsonElement golden = meta.RootElement.GetProperty("runs").GetProperty(run);
        bool paper = run == "paper";
        string scaleName = golden.GetProperty("scalar").GetString()!;
        using TwoTowerModel model = NewModel(scaleName, golden.GetProperty("scalarInitial").GetSingle());
        Dictionary<string, float[]> initial = model.Parameters.Parameters.ToDictionary(p => p.Name, p => p.Value.ToArray<float>());
        using AdamWParameters optimised = Optimised(model, paper ? [] : Names(meta.RootElement.GetProperty("decayedParametersCorrected")));

        using SafetensorsFile data = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
        using TensorArena arena = new(_device, 1 << 20);
        using SimilarityCrossEntropyWorkspace workspace = new(_device, new SimilarityCrossEntropyOptions
        {
            Direction = paper ? SimilarityCrossEntropyDirection.CaptionToImage : SimilarityCrossEntropyDirection.Symmetric,
            Normalize = !paper,
            Scale = paper ? SimilarityCrossEntropyScale.Multiplier : SimilarityCrossEntropyScale.Logarithm,

            // The published training clamps the parameter after the step, not the multiplier in the loss.
            MaxScale = 1e6f,
        }, B, B, model.Options.ProjectionWidth);

        double clip = golden.TryGetProperty("clipNorm", out JsonElement norm) ? norm.GetDouble() : paper ? double.PositiveInfinity : 1;
        double[] losses = Numbers(golden, "loss_f64");
        for (int step = 1; step <= losses.Length; step++)
        {
            double loss = GradientsOf(model, data, step - 1, workspace, arena);
            Assert.InRange(loss / losses[step - 1], 1 - golden.GetProperty("lossTolerance").GetDouble(), 1 + golden.GetProperty("lossTolerance").GetDouble());
            if (step == 1 && golden.TryGetProperty("gradientNormPerTensorStep1_f64", out JsonElement perTensor))
            {
                AssertNorms(model, perTensor, Names(golden.GetProperty("zero_gradient_parameters")));
            }

            Tensor result = arena.Take(DType.Float32, new Shape(GradientNorm.ResultLength));
            GradientNorm.Run(optimised, clip, result);
            if (golden.TryGetProperty("gradientNorm_f64", out JsonElement norms))
            {
                double tolerance = golden.GetProperty("gradientNormTolerance").GetDouble();
                Assert.InRange(result.ToArray<float>()[0] / norms[step - 1].GetDouble(), 1 - tolerance, 1 + tolerance);
            }

            AdamW.Step(optimised, new AdamWSettings(Numbers(golden, "learningRate")[step - 1], step), result);
            float scale = model.Scale.Value.ToArray<float>()[0];
            if (!paper)
            {
                scale = MathF.Min(scale, MathF.Log(100));
                model.Scale.Value.CopyFrom<float>([scale]);
            }

            Assert.Equal(Numbers(golden, "scalarAfterStep_f64")[step - 1], scale, 2e-6);
        }

        if (golden.TryGetProperty("finalParameterUpdates", out JsonElement updates))
        {
            AssertUpdates(run, model, initial, updates, Names(golden.GetProperty("zero_gradient_parameters")));
            AssertMoments(run, model, optimised, golden.GetProperty("moments"));
            AssertUntouchedRowsKeepTheirBits(model, initial, data);
        }
    }

    [Fact]
    public void TheSameStepTwiceGivesTheSameBitsForAnyNumberOfThreads()
    {
        using CpuDevice one = new(1);
        Assert.Equal(Gradients(_device), Gradients(one));

        static float[] Gradients(CpuDevice device)
        {
            using TwoTowerModel model = NewModel(device, "logit_scale", 2.66f);
            model.Parameters.AllocateGradients();
            using SafetensorsFile data = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
            using TensorArena arena = new(device, 1 << 20);
            using SimilarityCrossEntropyWorkspace workspace = new(device, new SimilarityCrossEntropyOptions(), B, B, 32);
            GradientsOf(model, data, 0, workspace, arena, TowerPass.Training with { Dropout = true, DropoutKey = 77 });
            return [.. model.Parameters.Trainable.SelectMany(p => p.Gradient.ToArray<float>())];
        }
    }

    [Fact]
    public void AStepAllocatesNothingOnTheManagedHeap()
    {
        using CpuDevice device = new(1);
        using TwoTowerModel model = NewModel(device, "logit_scale", 2.66f);
        using AdamWParameters optimised = Optimised(model, []);
        using SafetensorsFile data = SafetensorsFile.Open(Fixtures.PathOf("two-towers", "data.safetensors"));
        using TensorArena arena = new(device, 1 << 20);
        using SimilarityCrossEntropyWorkspace workspace = new(device, new SimilarityCrossEntropyOptions(), B, B, 32);
        TokenBatch batch = Captions(model, data, 0);
        float[] pixels = Pixels(data, 0);
        Tensor result = device.NewTensor(DType.Float32, new Shape(GradientNorm.ResultLength));
        TowerPass pass = TowerPass.Training with { Dropout = true, DropoutKey = 3 };
        Step(1);
        Step(2);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Step(3);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        result.Memory.Dispose();

        void Step(int step)
        {
            arena.Reset();
            RunStep(model, batch, pixels, workspace, arena, pass);
            GradientNorm.Run(optimised, 1, result);
            AdamW.Step(optimised, new AdamWSettings(1e-3, step), result);
        }
    }

    private static double GradientsOf(
        TwoTowerModel model, SafetensorsFile data, int step, SimilarityCrossEntropyWorkspace workspace, TensorArena arena, TowerPass? pass = null)
    {
        arena.Reset();
        return RunStep(model, Captions(model, data, step), Pixels(data, step), workspace, arena, pass ?? TowerPass.Training).ToArray<float>()[0];
    }

    private static Tensor RunStep(
        TwoTowerModel model, TokenBatch captions, float[] pixels, SimilarityCrossEntropyWorkspace workspace, TensorArena arena, in TowerPass pass)
    {
        model.Parameters.ZeroGradients();
        Tensor texts = model.ForwardText(captions, arena, pass);
        Tensor uploaded = arena.Take(DType.Float32, new Shape(B, 3, 24, 24));
        uploaded.CopyFrom<float>(pixels);
        Tensor images = model.ForwardImages(uploaded, arena, pass);
        Tensor loss = arena.Take(DType.Float32, new Shape(1));
        Tensor dTexts = arena.Take(DType.Float32, texts.Shape);
        Tensor dImages = arena.Take(DType.Float32, images.Shape);
        SimilarityCrossEntropy.ForwardBackward(
            workspace,
            new SimilarityCrossEntropyInputs { Captions = texts, Images = images, Scale = model.Scale.Value },
            new SimilarityCrossEntropyOutputs { Loss = loss },
            new SimilarityCrossEntropyGradients { DCaptions = dTexts, DImages = dImages, DScale = model.Scale.Gradient });
        model.BackwardText(dTexts, arena);
        model.BackwardImages(dImages, arena);
        return loss;
    }

    private static TokenBatch Captions(TwoTowerModel model, SafetensorsFile data, int step)
    {
        int[] ids = data.ReadInt32s("input_ids");
        TokenBatch batch = new(model.Text!.Packing);
        foreach (int caption in data.ReadInt32s("captionIndex").AsSpan(step * B, B))
        {
            ReadOnlySpan<int> padded = ids.AsSpan(caption * 12, 12);
            int length = padded.IndexOf(Pad);
            batch.Add(length < 0 ? padded : padded[..length], caption);
        }

        return batch;
    }

    private static float[] Pixels(SafetensorsFile data, int step)
    {
        const int Picture = 3 * 24 * 24;
        float[] all = data.ReadSingles("images");
        return [.. data.ReadInt32s("imageIndex").Skip(step * B).Take(B).SelectMany(i => all.AsSpan(i * Picture, Picture).ToArray())];
    }

    private TwoTowerModel NewModel(string scaleName, float scale) => NewModel(_device, scaleName, scale);

    private static TwoTowerModel NewModel(Device device, string scaleName, float scale)
    {
        TextEncoderConfig text = EncoderConfigReader.ReadText(EncoderConfigReader.ReadFile(Fixtures.PathOf("two-towers", "text_encoder.config.json")), "text");
        ImageEncoderConfig image = EncoderConfigReader.ReadImage(EncoderConfigReader.ReadFile(Fixtures.PathOf("two-towers", "image_encoder.config.json")), "image");
        TwoTowerModel model = new(device, text, image, new TwoTowerOptions { ProjectionWidth = 32, ProjectionBias = true, ScaleName = scaleName });
        using CheckpointTensors tensors = CheckpointTensors.OpenFile(Fixtures.PathOf("two-towers", "initial.safetensors"));
        CheckpointLoader.Load(tensors, [.. model.Parameters.Parameters.Where(p => p.Kind != ParameterKind.Scale)], p => p.Name, "both towers");
        model.Scale.Value.CopyFrom<float>([scale]);
        return model;
    }

    private static AdamWParameters Optimised(TwoTowerModel model, string[] decayed)
    {
        model.Parameters.AllocateGradients();
        AdamWParameter[] optimised =
        [
            .. model.Parameters.Trainable.Select(p => new AdamWParameter(
                p.Value, p.Gradient, model.Device.NewTensor(DType.Float32, p.Shape), model.Device.NewTensor(DType.Float32, p.Shape))
            {
                WeightDecay = decayed.Contains(p.Name) ? 0.1 : 0,
            }),
        ];

        // The fixture's list is the rule "weights of linear maps".
        if (decayed.Length > 0)
        {
            Assert.Equal(decayed.Order(StringComparer.Ordinal), model.Parameters.Trainable.Where(p => p.Kind.IsLinearMap()).Select(p => p.Name).Order(StringComparer.Ordinal));
        }

        return new AdamWParameters(model.Device, optimised);
    }

    private static void AssertNorms(TwoTowerModel model, JsonElement perTensor, string[] zero)
    {
        int compared = 0;
        foreach (JsonProperty golden in perTensor.EnumerateObject().Where(g => !zero.Contains(g.Name)))
        {
            double norm = Math.Sqrt(model.Parameters[golden.Name].Gradient.ToArray<float>().Sum(v => (double)v * v));
            Assert.True(Math.Abs((norm / golden.Value.GetDouble()) - 1) < 1e-5, golden.Name);
            compared++;
        }

        Assert.InRange(compared, 70, 80);
    }

    private static void AssertUpdates(string run, TwoTowerModel model, Dictionary<string, float[]> initial, JsonElement updates, string[] zero)
    {
        using SafetensorsFile final = SafetensorsFile.Open(Fixtures.PathOf("two-towers", $"final-{run}.safetensors"));
        int compared = 0;
        foreach (JsonProperty update in updates.EnumerateObject().Where(u => !zero.Contains(u.Name)))
        {
            float[] mine = model.Parameters[update.Name].Value.ToArray<float>();
            float[] golden = final.ReadSingles(update.Name);
            double error = 0;
            double size = 0;
            for (int i = 0; i < mine.Length; i++)
            {
                error += Math.Pow((double)mine[i] - golden[i], 2);
                size += Math.Pow((double)golden[i] - initial[update.Name][i], 2);
            }

            double tolerance = update.Value.GetProperty("tolerance").GetDouble();
            Assert.True(
                Math.Sqrt(error / size) <= tolerance,
                string.Create(CultureInfo.InvariantCulture, $"update of {update.Name}: error {Math.Sqrt(error / size):G3}, tolerance {tolerance:G3}"));
            compared++;
        }

        Assert.InRange(compared, 70, 80);
    }

    private static void AssertMoments(string run, TwoTowerModel model, AdamWParameters optimised, JsonElement tolerances)
    {
        using SafetensorsFile moments = SafetensorsFile.Open(Fixtures.PathOf("two-towers", $"moments-{run}.safetensors"));
        Parameter[] trained = [.. model.Parameters.Trainable];
        foreach (SafetensorsEntry entry in moments.Entries)
        {
            string name = entry.Name[..entry.Name.LastIndexOf('.')];
            AdamWParameter state = optimised[Array.FindIndex(trained, p => p.Name == name)];
            Tensor moment = entry.Name.EndsWith(".exp_avg", StringComparison.Ordinal) ? state.FirstMoment : state.SecondMoment;
            Assert.True(Golden.RelativeError(moments.ReadDoubles(entry.Name), moment.ToArray<float>()) <= tolerances.GetProperty(entry.Name).GetDouble(), entry.Name);
        }
    }

    private static void AssertUntouchedRowsKeepTheirBits(TwoTowerModel model, Dictionary<string, float[]> initial, SafetensorsFile data)
    {
        const string Words = "text_encoder.embeddings.word_embeddings.weight";
        int[] ids = data.ReadInt32s("input_ids");
        HashSet<int> touched = [.. data.ReadInt32s("captionIndex").SelectMany(c => ids.AsSpan(c * 12, 12).ToArray()).Where(id => id != Pad)];
        float[] values = model.Parameters[Words].Value.ToArray<float>();
        int c = model.Text!.Config.Width;
        int[] untouched = [.. Enumerable.Range(0, 120).Where(row => !touched.Contains(row))];
        Assert.Contains(Pad, untouched);
        foreach (int row in untouched)
        {
            Assert.Equal(initial[Words].AsSpan(row * c, c), values.AsSpan(row * c, c));
        }
    }

    private static string[] Names(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetString()!)];

    private static double[] Numbers(JsonElement run, string name) => [.. run.GetProperty(name).EnumerateArray().Select(e => e.GetDouble())];
}
