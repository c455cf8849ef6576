using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Encoders;

public abstract class ImageTowerTests : IDisposable
{
    private readonly Device _device;
    private readonly TensorArena _arena;

    protected ImageTowerTests(Device device)
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
    [InlineData("hf")]
    [InlineData("hf-no-pooler")]
    public void VitIsThePublishedOne(string form)
    {
        using Golden golden = new("image-tower-vit");
        using ParameterStore store = new(_device);
        using ImageTower tower = Load(store, "image-tower-vit", form);
        store.AllocateGradients();
        Tensor pixels = Upload(golden, "batch.pixel_values");
        golden.AssertOutput("batch.cls", tower.Forward(pixels, PoolingKind.Cls, _arena, TowerPass.Inference).ToArray<float>());
        Tensor mean = tower.Forward(pixels, PoolingKind.Mean, _arena, TowerPass.Training);
        for (int i = 0; i <= 2; i++)
        {
            golden.AssertOutput($"batch.hidden.{i}", tower.HiddenState(i).ToArray<float>());
        }

        golden.AssertOutput("batch.last_hidden", tower.LastHidden.ToArray<float>());
        golden.AssertOutput("batch.mean", mean.ToArray<float>());
        tower.Backward(Upload(golden, "batch.R"), _arena);
        golden.AssertGradients(store);
    }

    [Theory]
    [InlineData("rect.0")]
    [InlineData("rect.1")]
    public void PositionsAreInterpolatedForOtherSizes(string name)
    {
        using Golden golden = new("image-tower-vit");
        using ParameterStore store = new(_device);
        using ImageTower tower = Load(store, "image-tower-vit", "hf");
        store.AllocateGradients();
        Tensor mean = tower.Forward(Upload(golden, name + ".pixel_values"), PoolingKind.Mean, _arena, TowerPass.Training);
        golden.AssertWithin("positions", golden.Expected(name + ".position_embeddings"), tower.UsedPositions.ToArray<float>(), 1e-6);
        golden.AssertOutput(name + ".last_hidden", tower.LastHidden.ToArray<float>());
        golden.AssertOutput(name + ".mean", mean.ToArray<float>());
        tower.Backward(Upload(golden, name + ".R"), _arena);
        const string Positions = "embeddings.position_embeddings";
        golden.AssertWithin(name + Positions, golden.Expected($"{name}.gradient.{Positions}"), store[Positions].Gradient.ToArray<float>(), 1e-5);
    }

    [Fact]
    public void ARemainderBelowOnePatchIsCutOff()
    {
        using Golden golden = new("image-tower-vit");
        using ParameterStore store = new(_device);
        using ImageTower tower = Load(store, "image-tower-vit", "hf");
        float[] pixels = golden.Cases.ReadSingles("batch.pixel_values");
        Tensor exact = Upload(golden, "batch.pixel_values");
        Tensor larger = _arena.Take(DType.Float32, new Shape(3, 3, 35, 39));
        float[] padded = new float[larger.Count];
        Array.Fill(padded, 1e6f);
        for (int line = 0; line < 9 * 32; line++)
        {
            pixels.AsSpan(line * 32, 32).CopyTo(padded.AsSpan((((line / 32) * 35) + (line % 32)) * 39));
        }

        larger.CopyFrom<float>(padded);
        Assert.Equal(
            tower.Forward(exact, PoolingKind.Mean, _arena, TowerPass.Inference).ToArray<float>(),
            tower.Forward(larger, PoolingKind.Mean, _arena, TowerPass.Inference).ToArray<float>());
        Assert.Throws<ArgumentException>(() => tower.Forward(_arena.Take(DType.Float32, new Shape(1, 3, 7, 32)), PoolingKind.Mean, _arena, TowerPass.Inference));
    }

    [Fact]
    public void ClipsVisionTowerIsThePublishedOne()
    {
        using Golden golden = new("image-tower-clip");
        string path = Fixtures.PathOf("image-tower-clip", "hf");
        ImageEncoderConfig config = EncoderConfigReader.ReadImage(EncoderConfigReader.ReadFile(Path.Combine(path, "config.json")), "config.json");
        using ParameterStore store = new(_device);
        using ImageTower tower = new(config, store);
        Projection head = new(ParameterGroup.ImageHead, "visual_projection", config.Width, config.ProjectionWidth, hasBias: false, store);
        using (CheckpointTensors tensors = CheckpointTensors.Open(path))
        {
            CheckpointLoader.Load(tensors, store.Parameters, p => p.Name, "the tower");
        }

        store.AllocateGradients();
        Tensor pooled = tower.Forward(Upload(golden, "batch.pixel_values"), PoolingKind.Cls, _arena, TowerPass.Training);
        for (int i = 0; i <= 3; i++)
        {
            golden.AssertOutput($"batch.hidden.{i}", tower.HiddenState(i).ToArray<float>());
        }

        golden.AssertOutput("batch.pooler_output", pooled.ToArray<float>());
        golden.AssertOutput("batch.image_embeds", head.Forward(pooled, _arena).ToArray<float>());
        tower.Backward(head.Backward(Upload(golden, "batch.R"), _arena), _arena);
        golden.AssertGradients(store);

        Tensor rectangle = tower.Forward(Upload(golden, "rect.pixel_values"), PoolingKind.Cls, _arena, TowerPass.Inference);
        golden.AssertOutput("rect.image_embeds", head.Forward(rectangle, _arena).ToArray<float>());
    }

    [Fact]
    public void AMisfitHeightIsAnErrorThatNamesTheKey()
    {
        string path = Fixtures.PathOf("image-tower-vit", "hf", "config.json");
        System.Text.Json.Nodes.JsonObject json = EncoderConfigReader.ReadFile(path);
        json["image_size"] = new System.Text.Json.Nodes.JsonArray(32, 48);
        Assert.Contains("image_size", Assert.Throws<UserErrorException>(() => EncoderConfigReader.ReadImage(json, "x")).Message, StringComparison.Ordinal);
        json["image_size"] = new System.Text.Json.Nodes.JsonArray(32, 32);
        Assert.Equal(32, EncoderConfigReader.ReadImage(json, "x").ImageSize);
    }

    private Tensor Upload(Golden golden, string name)
    {
        SafetensorsEntry entry = golden.Cases.Entry(name);
        Tensor tensor = _arena.Take(DType.Float32, Shape.Of([.. entry.Shape.Select(d => (int)d)]));
        golden.Cases.ReadSingles(name, tensor);
        return tensor;
    }

    private static ImageTower Load(ParameterStore store, string folder, string form)
    {
        string path = Fixtures.PathOf(folder, form);
        ImageTower tower = new(EncoderConfigReader.ReadImage(EncoderConfigReader.ReadFile(Path.Combine(path, "config.json")), "config.json"), store);
        using CheckpointTensors tensors = CheckpointTensors.Open(path);
        CheckpointLoader.Load(tensors, tower);
        return tower;
    }
}

public sealed class CpuImageTowerTests() : ImageTowerTests(new CpuDevice(2));

public sealed class EmulatedCudaImageTowerTests() : ImageTowerTests(CudaDevice.Emulate(EmulationOptions.ForSeed(2)));
