using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>Dense layers of sentence-transformers folders, as LaBSE has one.</summary>
public sealed class DenseModuleTests : IDisposable
{
    private const int Width = 64;
    private const int Out = 10;

    private readonly TemporaryFolder _folder = new();
    private readonly float[] _weight = new float[Out * Width];
    private readonly float[] _bias = new float[Out];

    public DenseModuleTests()
    {
        string tower = Fixtures.PathOf("text-tower-xlm-roberta", "hf");
        foreach (string name in (string[])["config.json", "model.safetensors"])
        {
            File.Copy(Path.Combine(tower, name), _folder.File(name));
        }

        CounterRandom random = new(3, 1, 0, 0);
        for (int i = 0; i < _weight.Length; i++)
        {
            _weight[i] = random.NextSingle(-0.3f, 0.3f);
        }

        for (int i = 0; i < Out; i++)
        {
            _bias[i] = random.NextSingle(-1, 1);
        }

        Directory.CreateDirectory(_folder.File("1_Pooling"));
        Directory.CreateDirectory(_folder.File("2_Dense"));
        File.WriteAllText(_folder.File("1_Pooling/config.json"), """{"pooling_mode_cls_token": true}""");
        File.WriteAllText(_folder.File("modules.json"), """
            [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
             {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
             {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
             {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}]
            """);
        WriteDense("torch.nn.modules.activation.Tanh", _weight, _bias);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("torch.nn.modules.activation.Tanh", true)]
    [InlineData("torch.nn.modules.activation.Tanh", false)]
    [InlineData("torch.nn.modules.linear.Identity", true)]
    public void TheLayerStandsBetweenPoolingAndNorm(string activation, bool normalize)
    {
        WriteDense(activation, _weight, _bias);
        using CpuDevice device = new(2);
        using TwoTowerModel model = TwoTowerModel.Load(device, _folder.Path);
        Assert.Equal((Out, Width), (model.EmbeddingWidth(), model.EmbeddingWidth(project: false)));
        TokenBatch batch = new(model.Text!.Packing);
        batch.Add([0, 7, 8, 9, 2], 0);
        batch.Add([0, 11, 2], 1);
        float[] pooled = new float[2 * Width];
        model.EmbedText(batch, pooled, project: false, normalize: false);
        float[] vectors = new float[2 * Out];
        model.EmbedText(batch, vectors, normalize: normalize);
        for (int row = 0; row < 2; row++)
        {
            double[] expected = new double[Out];
            for (int unit = 0; unit < Out; unit++)
            {
                double sum = _bias[unit];
                for (int i = 0; i < Width; i++)
                {
                    sum += (double)pooled[(row * Width) + i] * _weight[(unit * Width) + i];
                }

                expected[unit] = activation.EndsWith("Tanh", StringComparison.Ordinal) ? Math.Tanh(sum) : sum;
            }

            double norm = normalize ? Math.Sqrt(expected.Sum(v => v * v)) : 1;
            for (int unit = 0; unit < Out; unit++)
            {
                Assert.Equal(expected[unit] / norm, vectors[(row * Out) + unit], 2e-6);
            }
        }
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        using CpuDevice device = new(1);
        WriteDense("torch.nn.modules.activation.ReLU", _weight, _bias);
        Assert.Contains("ReLU", Refused(), StringComparison.Ordinal);
        WriteDense("torch.nn.modules.activation.Tanh", _weight.AsMemory(0, Width), _bias, rows: 1);
        Assert.Contains("'linear.weight' as [1, 64]", Refused(), StringComparison.Ordinal);
        WriteDense("torch.nn.modules.activation.Tanh", _weight, null);
        Assert.Contains("no tensor 'linear.bias'", Refused(), StringComparison.Ordinal);
        WriteDense("torch.nn.modules.activation.Tanh", new float[Out * 3], _bias, columns: 3);
        Assert.Contains("takes rows of 3 numbers", Refused(), StringComparison.Ordinal);
        File.Delete(_folder.File("2_Dense/model.safetensors"));
        File.WriteAllText(_folder.File("2_Dense/pytorch_model.bin"), "");
        Assert.Contains("pytorch_model.bin", Refused(), StringComparison.Ordinal);

        string Refused() => Assert.Throws<UserErrorException>(() => TwoTowerModel.Load(device, _folder.Path)).What;
    }

    private void WriteDense(string activation, ReadOnlyMemory<float> weight, float[]? bias, int rows = Out, int columns = Width)
    {
        File.WriteAllText(_folder.File("2_Dense/config.json"), new JsonObject
        {
            ["in_features"] = columns,
            ["out_features"] = Out,
            ["bias"] = true,
            ["activation_function"] = activation,
        }.ToJsonString());
        SafetensorsWriter writer = new();
        writer.Add("linear.weight", [rows, columns], weight);
        if (bias is not null)
        {
            writer.Add("linear.bias", [Out], bias);
        }

        writer.Save(_folder.File("2_Dense/model.safetensors"));
    }
}
