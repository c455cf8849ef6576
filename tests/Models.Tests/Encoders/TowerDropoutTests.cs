using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>Dropout inside of whole towers: numbers belong to examples, and the backward pass drops what the forward pass dropped.</summary>
public abstract class TowerDropoutTests : IDisposable
{
    private static readonly TowerPass s_pass = TowerPass.Training with { Dropout = true, DropoutKey = 42 };
    private readonly Device _device;
    private readonly TensorArena _arena;

    protected TowerDropoutTests(Device device)
    {
        _device = device;
        _arena = new TensorArena(_device, 1 << 20);
    }

    public void Dispose()
    {
        _arena.Dispose();
        _device.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("xlm-roberta")]
    [InlineData("roberta-prelayernorm")]
    public void AnExampleDropsTheSameNumbersWhereverItStands(string modelType)
    {
        using TwoTowerModel model = NewModel(modelType);
        TokenBatch alone = new(model.Text!.Packing);
        alone.Add([0, 5, 6, 7, 2], example: 31);
        TokenBatch together = new(model.Text.Packing);
        together.Add([0, 9, 2], example: 4);
        together.Add([0, 5, 6, 7, 2], example: 31);
        together.Add([0, 5, 6, 7, 2], example: 32);
        float[] first = model.ForwardText(alone, _arena, s_pass).ToArray<float>();
        float[] rows = model.ForwardText(together, _arena, s_pass).ToArray<float>();
        int e = model.EmbeddingWidth();
        Assert.Equal(first, rows.AsSpan(e, e).ToArray());
        Assert.NotEqual(first, rows.AsSpan(2 * e, e).ToArray());
        Assert.NotEqual(first, model.ForwardText(alone, _arena, s_pass with { DropoutKey = 43 }).ToArray<float>());
        Assert.NotEqual(first, model.ForwardText(alone, _arena, TowerPass.Training).ToArray<float>());
    }

    [Theory]
    [InlineData("xlm-roberta", false)]
    [InlineData("xlm-roberta", true)]
    [InlineData("roberta-prelayernorm", false)]
    [InlineData("roberta-prelayernorm", true)]
    public void TheGradientIsTheSlopeOfTheLoss(string modelType, bool dropout)
    {
        // Along its own gradient g the loss sum(output * R) rises by |g|^2 a unit: a pass back that drops other numbers than the
        // pass forward, or skips a path, misses that by far more than float32's noise.
        using TwoTowerModel model = NewModel(modelType);
        model.Parameters.AllocateGradients();
        TowerPass pass = s_pass with { Dropout = dropout };
        Loss(model, pass, backward: true);
        float[][] values = [.. model.Parameters.Trainable.Select(p => p.Value.ToArray<float>())];
        float[][] gradients = [.. model.Parameters.Trainable.Select(p => p.Gradient.ToArray<float>())];
        double square = gradients.Sum(g => g.Sum(v => (double)v * v));
        double h = 2e-3 / Math.Sqrt(square);
        double slope = (Moved(h) - Moved(-h)) / (2 * h);
        Assert.InRange(slope / square, 0.99, 1.01);

        double Moved(double by)
        {
            int index = 0;
            foreach (Parameter parameter in model.Parameters.Trainable)
            {
                parameter.Value.CopyFrom<float>(values[index].Zip(gradients[index], (v, g) => (float)(v + (by * g))).ToArray());
                index++;
            }

            return Loss(model, pass, backward: false);
        }
    }

    [Theory]
    [InlineData("xlm-roberta")]
    [InlineData("roberta-prelayernorm")]
    public void RecomputationDropsTheSameNumbers(string modelType)
    {
        Assert.Equal(Gradients(s_pass), Gradients(s_pass with { Recompute = true }));

        float[] Gradients(TowerPass pass)
        {
            using TwoTowerModel model = NewModel(modelType);
            model.Parameters.AllocateGradients();
            Loss(model, pass, backward: true);
            return [.. model.Parameters.Trainable.SelectMany(p => p.Gradient.ToArray<float>())];
        }
    }

    private double Loss(TwoTowerModel model, TowerPass pass, bool backward)
    {
        _arena.Reset();
        TokenBatch batch = new(model.Text!.Packing);
        batch.Add([0, 5, 6, 7, 2], example: 1);
        batch.Add([0, 8, 2], example: 2);
        Tensor pixels = _arena.Take(DType.Float32, new Shape(2, 3, 16, 16));
        pixels.CopyFrom<float>(Normal(pixels.Count, 3));
        Tensor texts = model.ForwardText(batch, _arena, pass);
        Tensor images = model.ForwardImages(pixels, _arena, pass, [1, 2]);
        float[] r = Normal(2 * texts.Count, 4);
        double loss = texts.ToArray<float>().Concat(images.ToArray<float>()).Select((v, i) => (double)v * r[i]).Sum();
        if (backward)
        {
            Tensor dTexts = _arena.Take(DType.Float32, texts.Shape);
            Tensor dImages = _arena.Take(DType.Float32, images.Shape);
            dTexts.CopyFrom<float>(r.AsSpan(0, (int)texts.Count));
            dImages.CopyFrom<float>(r.AsSpan((int)texts.Count));
            model.BackwardText(dTexts, _arena);
            model.BackwardImages(dImages, _arena);
        }

        return loss;
    }

    private static float[] Normal(long count, uint item)
    {
        CounterRandom random = new(1, 0xD0, item);
        float[] values = new float[count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.NextNormal();
        }

        return values;
    }

    private TwoTowerModel NewModel(string modelType)
    {
        TwoTowerModel model = new(
            _device,
            TextEncoderConfig.Create(modelType, 20, 8, 16, 2, 4, 24, dropout: 0.2f),
            ImageEncoderConfig.Create("vit", 16, 8, 16, 2, 4, 24, dropout: 0.2f),
            new TwoTowerOptions { ProjectionWidth = 12, ProjectionBias = true, ScaleName = null });
        model.Initialize(11);
        return model;
    }
}

public sealed class CpuTowerDropoutTests() : TowerDropoutTests(new CpuDevice(1));

public sealed class EmulatedCudaTowerDropoutTests() : TowerDropoutTests(CudaDevice.Emulate(EmulationOptions.ForSeed(2)));
