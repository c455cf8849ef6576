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

    // Torch 1.13 in float64 on the fixture's pooled rows: Linear(64, 10), Tanh, Linear(10, 6), Identity; normalised the second time.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TwoLayersInARowGiveTorchsNumbers(bool normalize)
    {
        double[][] expected = normalize
            ?
            [
                [-0.305816868, -0.490551514, -0.231107904, 0.277969353, 0.595149425, 0.425387579],
                [-0.274434883, -0.566742881, -0.392016927, 0.099451737, 0.486701533, 0.450601487],
                [-0.278671539, -0.563051185, -0.382446811, 0.110192199, 0.493650807, 0.450795444],
                [-0.296333185, -0.553591705, -0.359786331, 0.129142746, 0.502692452, 0.454861642],
                [-0.286244724, -0.552632205, -0.356709969, 0.140612126, 0.513809059, 0.449052428],
            ]
            :
            [
                [-0.159232519, -0.255420029, -0.120333106, 0.144732893, 0.309881998, 0.221490515],
                [-0.152142607, -0.314193803, -0.217328339, 0.055134560, 0.269820072, 0.249806745],
                [-0.154733434, -0.312636316, -0.212355049, 0.061184638, 0.274101492, 0.250305888],
                [-0.172712031, -0.322650154, -0.209694463, 0.075268337, 0.292984515, 0.265107258],
                [-0.157190522, -0.303476492, -0.195886322, 0.077216771, 0.282156866, 0.246595935],
            ];
        const int Last = 6;
        File.WriteAllText(_folder.File("1_Pooling/config.json"), """{"word_embedding_dimension": 64, "pooling_mode_mean_tokens": true}""");
        string norm = normalize ? """, {"path": "4_Normalize", "type": "sentence_transformers.models.Normalize"}""" : "";
        File.WriteAllText(_folder.File("modules.json"), """
            [{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
             {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}
            """ + norm + "]");
        Directory.CreateDirectory(_folder.File("3_Dense"));
        WriteDense("torch.nn.modules.activation.Tanh", Weights(Out, Width, 1), Biases(Out, 1));
        WriteDense("torch.nn.modules.linear.Identity", Weights(Last, Out, 2), Biases(Last, 2), Last, Out, "3_Dense");

        using CpuDevice device = new(2);
        using TwoTowerModel model = TwoTowerModel.Load(device, _folder.Path);
        using SafetensorsFile cases = SafetensorsFile.Open(Fixtures.PathOf("text-tower-xlm-roberta", "cases.safetensors"));
        int[] ids = cases.ReadInt32s("batch.input_ids");
        int[] mask = cases.ReadInt32s("batch.attention_mask");
        int length = ids.Length / expected.Length;
        TokenBatch batch = new(model.Text!.Packing);
        for (int row = 0; row < expected.Length; row++)
        {
            batch.Add(ids.AsSpan(row * length, length), row, mask.AsSpan(row * length, length));
        }

        Assert.Equal(Last, model.EmbeddingWidth());
        float[] vectors = new float[expected.Length * Last];
        model.EmbedText(batch, vectors, normalize: normalize);
        for (int i = 0; i < vectors.Length; i++)
        {
            Assert.Equal(expected[i / Last][i % Last], vectors[i], 2e-6);
        }

        static float[] Weights(int outputs, int inputs, int start) =>
            [.. Enumerable.Range(0, outputs * inputs).Select(i => (float)(Math.Sin(start + (0.7 * (i / inputs)) + (0.13 * (i % inputs))) / 8))];

        static float[] Biases(int outputs, int start) => [.. Enumerable.Range(0, outputs).Select(i => (float)(Math.Cos(start + i) / 4))];
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

    private void WriteDense(string activation, ReadOnlyMemory<float> weight, float[]? bias, int rows = Out, int columns = Width, string folder = "2_Dense")
    {
        File.WriteAllText(_folder.File(folder + "/config.json"), new JsonObject
        {
            ["in_features"] = columns,
            ["out_features"] = bias?.Length ?? Out,
            ["bias"] = true,
            ["activation_function"] = activation,
        }.ToJsonString());
        SafetensorsWriter writer = new();
        writer.Add("linear.weight", [rows, columns], weight);
        if (bias is not null)
        {
            writer.Add("linear.bias", [bias.Length], bias);
        }

        writer.Save(_folder.File(folder + "/model.safetensors"));
    }
}
