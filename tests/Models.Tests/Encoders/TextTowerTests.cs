using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Reference;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Models.Tests.Encoders;

public abstract class TextTowerTests : IDisposable
{
    private readonly Device _device;
    private readonly TensorArena _arena;

    protected TextTowerTests(Device device)
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
    [InlineData("text-tower-xlm-roberta", 3)]
    [InlineData("text-tower-bert", 2)]
    public void HiddenStatesPooledRowsAndGradientsAreThePublishedOnes(string folder, int layers)
    {
        using Golden golden = new(folder);
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, folder, "hf");
        store.AllocateGradients();
        TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask");
        Tensor pooled = tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Training);
        for (int i = 0; i <= layers; i++)
        {
            golden.AssertPackedOutput($"batch.hidden.{i}", "batch.attention_mask", tower.HiddenState(i));
        }

        golden.AssertOutput("batch.pooled", pooled.ToArray<float>());
        Tensor dPooled = Upstream(golden, pooled);
        tower.Backward(dPooled, _arena);
        if (folder == "text-tower-bert")
        {
            // The framework drops the gradient of the row that the configuration calls padding, which is <s> here.
            const string Word = "embeddings.word_embeddings.weight";
            int c = tower.Config.Width;
            double[] words = golden.ExpectedGradient(Word);
            golden.Expected("gradient_row0.true").CopyTo(words, 0);
            golden.AssertWithin(Word, words, store[Word].Gradient.ToArray<float>(), 1e-5);
            golden.AssertWithin("row 0", golden.Expected("gradient_row0.true"), store[Word].Gradient.ToArray<float>().AsSpan(0, c), 1e-5);
            golden.AssertGradients(store, Word);
        }
        else
        {
            golden.AssertGradients(store);
        }
    }

    // Behind the last LayerNorm, y = w x + b, stands nothing but the pooling: dw = sum of dy x over the tokens, db = sum of dy.
    [Theory]
    [InlineData(PoolingKind.Mean)]
    [InlineData(PoolingKind.Cls)]
    [InlineData(PoolingKind.Eos)]
    [InlineData(PoolingKind.Max)]
    [InlineData(PoolingKind.MeanSqrtLength)]
    [InlineData(PoolingKind.WeightedMean)]
    public void EachPoolingAndItsGradientReachTheTower(PoolingKind kind)
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
        store.AllocateGradients();
        TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask");
        Tensor pooled = tower.Forward(batch, kind, _arena, TowerPass.Training);
        int c = tower.Config.Width;
        double[] hidden = [.. tower.LastHidden.ToArray<float>().Select(v => (double)v)];
        int[] ends = batch.CuSeqlens.ToArray();
        double[] expected = PoolingReference.Forward(kind.ToString(), hidden, ends, c);
        golden.AssertWithin("pooled", expected, pooled.ToArray<float>(), 1e-6);

        float[] r = golden.Cases.ReadSingles("batch.R");
        tower.Backward(Upstream(golden, pooled), _arena);
        double[] dHidden = PoolingReference.Backward(kind.ToString(), [.. r.Select(v => (double)v)], ends, c, hidden);
        const string Norm = "encoder.layer.2.output.LayerNorm.";
        float[] weight = store[Norm + "weight"].Value.ToArray<float>();
        float[] bias = store[Norm + "bias"].Value.ToArray<float>();
        double[] dWeight = new double[c];
        double[] dBias = new double[c];
        for (int at = 0; at < hidden.Length; at++)
        {
            dWeight[at % c] += dHidden[at] * (hidden[at] - bias[at % c]) / weight[at % c];
            dBias[at % c] += dHidden[at];
        }

        golden.AssertWithin("weight", dWeight, store[Norm + "weight"].Gradient.ToArray<float>(), 1e-5);
        golden.AssertWithin("bias", dBias, store[Norm + "bias"].Gradient.ToArray<float>(), 1e-5);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta")]
    [InlineData("text-tower-bert")]
    public void EmbeddingKeepsNothingAndGivesTheSameBits(string folder)
    {
        using Golden golden = new(folder);
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, folder, "hf");
        TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask");
        float[] trained = tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Training).ToArray<float>();
        float[] embedded = tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Inference).ToArray<float>();
        Assert.Equal(trained, embedded);
        Assert.False(tower.HiddenState(0).IsPresent);
        Assert.Throws<InvalidOperationException>(() => tower.Backward(_arena.Take(DType.Float32, new Shape(batch.Count, tower.Config.Width)), _arena));

        golden.AssertOutput("batch.cls", tower.Forward(batch, PoolingKind.Cls, _arena, TowerPass.Inference).ToArray<float>());
    }

    [Fact]
    public void TheLongestTextThatThePositionsAllow()
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
        Assert.Equal(64, tower.Packing.MaxTokens);
        TokenBatch batch = Batch(golden, tower, "full.input_ids", "full.attention_mask");
        Assert.Equal(0, batch.TruncatedCount);
        golden.AssertOutput("full.pooled", tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Training).ToArray<float>());
        golden.AssertPackedOutput("full.hidden.3", "full.attention_mask", tower.HiddenState(3));
    }

    [Fact]
    public void ALongerTextIsCutAndCounted()
    {
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
        int[] ids = new int[100];
        Array.Fill(ids, 17);
        ids[0] = 0;
        ids[^1] = 2;
        TokenBatch batch = new(tower.Packing);
        batch.Add(ids);
        batch.Add([0, 5, 2]);
        Assert.Equal((1, 67), (batch.TruncatedCount, batch.TokenCount));
        Assert.Equal(2, batch.Ids[63]);
        Assert.Equal(65, batch.Positions[63]);
    }

    [Fact]
    public void ThePublishedCodesMaskAndPaddingCanBeReproduced()
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
        TokenBatch batch = new(tower.Packing with { MaskTokenZero = true, PadTo = 32 });
        foreach (int[] ids in Sentences(golden, "batch.input_ids", "batch.attention_mask"))
        {
            batch.Add(ids);
        }

        Assert.Equal(5 * 31, batch.TokenCount);
        golden.AssertOutput("paper.pooled", tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Inference).ToArray<float>());

        // Already padded ids, as the published code feeds them, give the same rows.
        TokenBatch padded = new(batch.Packing);
        foreach (int[] ids in golden.Cases.ReadInt32s("paper.input_ids").Chunk(32))
        {
            padded.Add(ids);
        }

        Assert.Equal(batch.Ids.ToArray(), padded.Ids.ToArray());
        Assert.Equal(batch.Positions.ToArray(), padded.Positions.ToArray());
    }

    [Fact]
    public void TokenTypesAreAdded()
    {
        using Golden golden = new("text-tower-bert");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-bert", "hf");
        TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask", "types.token_type_ids");
        golden.AssertOutput("types.pooled", tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Training).ToArray<float>());
        golden.AssertPackedOutput("types.last_hidden", "batch.attention_mask", tower.LastHidden);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta")]
    [InlineData("text-tower-bert")]
    public void ASentencesVectorDoesNotDependOnItsBatch(string folder)
    {
        using Golden golden = new(folder);
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, folder, "hf");
        List<int[]> sentences = Sentences(golden, "batch.input_ids", "batch.attention_mask");
        int[] longest = new int[tower.Packing.MaxTokens];
        Array.Fill(longest, 33);
        float[] alone = [];

        // More rows than a tile of a product has; the emulated device takes its time.
        int crowd = _device.Kind == DeviceKind.Cpu ? 64 : 12;
        for (int i = 0; i < sentences.Count; i++)
        {
            float[] single = Embed(tower, [sentences[i]]);
            alone = [.. alone, .. single];
            Assert.Equal(single, Embed(tower, [longest, sentences[i]]).AsSpan(tower.Config.Width).ToArray());
            List<int[]> many = [.. Enumerable.Range(0, crowd).Select(k => sentences[(i + k) % sentences.Count])];
            Assert.Equal(single, Embed(tower, many).AsSpan(0, tower.Config.Width).ToArray());
        }

        golden.AssertOutput("single.pooled", alone);
    }

    [Theory]
    [InlineData("hf-sharded", "", 0)]
    [InlineData("hf-bfloat16", "bfloat16", 0)]
    [InlineData("hf-float16", "float16", 0)]
    [InlineData("hf-masked-lm", "float16", 6)]
    public void OtherFormsOfTheSameCheckpoint(string form, string name, int ignored)
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", form, out CheckpointReport report);
        Assert.Equal(ignored, report.Ignored.Count);
        Assert.Equal(store.Parameters.Count, report.Loaded.Count);
        TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask");
        float[] pooled = tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Training).ToArray<float>();
        golden.AssertOutput(name.Length == 0 ? "batch.pooled" : name + ".pooled", pooled);
        golden.AssertPackedOutput(name.Length == 0 ? "batch.hidden.3" : name + ".last_hidden", "batch.attention_mask", tower.LastHidden);
    }

    [Fact]
    public void RecomputationGivesTheSameBits()
    {
        using Golden golden = new("text-tower-xlm-roberta");
        Assert.Equal(Gradients(TowerPass.Training), Gradients(TowerPass.Training with { Recompute = true }));

        float[] Gradients(TowerPass pass)
        {
            using ParameterStore store = new(_device);
            TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
            store.AllocateGradients();
            TokenBatch batch = Batch(golden, tower, "batch.input_ids", "batch.attention_mask");
            Tensor pooled = tower.Forward(batch, PoolingKind.Mean, _arena, pass);
            tower.Backward(Upstream(golden, pooled), _arena);
            return [.. store.Trainable.SelectMany(p => p.Gradient.ToArray<float>())];
        }
    }

    [Fact]
    public void TheRowSparseWordGradientHasTheDenseOnesBits()
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore denseStore = new(_device);
        using ParameterStore sparseStore = new(_device);
        TextTower dense = Load(denseStore, "text-tower-xlm-roberta", "hf");
        TextTower sparse = Load(sparseStore, "text-tower-xlm-roberta", "hf");
        sparseStore.AllocateSparseGradient(sparse.WordEmbeddings, 100);
        foreach (TextTower tower in new[] { dense, sparse })
        {
            tower.Parameters.AllocateGradients();
            Tensor pooled = tower.Forward(Batch(golden, tower, "batch.input_ids", "batch.attention_mask"), PoolingKind.Mean, _arena, TowerPass.Training);
            tower.Backward(Upstream(golden, pooled), _arena);
        }

        Assert.False(sparse.WordEmbeddings.Gradient.IsPresent);
        Assert.Throws<ArgumentException>(() => denseStore.AllocateSparseGradient(dense.WordEmbeddings, 100));
        int c = dense.Config.Width;
        float[] table = new float[dense.WordEmbeddings.Count];
        int rows = sparse.WordEmbeddings.SparseGradient.RowCount.ToArray<int>()[0];
        int[] rowIds = sparse.WordEmbeddings.SparseGradient.RowIds.ToArray<int>();
        float[] values = sparse.WordEmbeddings.SparseGradient.Values.ToArray<float>();
        for (int i = 0; i < rows; i++)
        {
            values.AsSpan(i * c, c).CopyTo(table.AsSpan(rowIds[i] * c));
        }

        Assert.Equal(dense.WordEmbeddings.Gradient.ToArray<float>(), table);
    }

    [Theory]
    [InlineData("none", 48)]
    [InlineData("lowest:1", 32)]
    [InlineData("lowest:2", 16)]
    [InlineData("all", 0)]
    public void FrozenPartsGetNoGradient(string freeze, int trainedBlockTensors)
    {
        using Golden golden = new("text-tower-xlm-roberta");
        using ParameterStore store = new(_device);
        TextTower tower = Load(store, "text-tower-xlm-roberta", "hf");
        tower.Freeze = TowerFreeze.Parse(freeze);
        Assert.Equal(trainedBlockTensors, store.Trainable.Count(p => p.PublishedName.StartsWith("encoder.", StringComparison.Ordinal)));
        Assert.Equal(freeze == "none" ? 5 : 0, store.Trainable.Count(p => p.PublishedName.StartsWith("embeddings.", StringComparison.Ordinal)));
        store.AllocateGradients();
        Tensor pooled = tower.Forward(Batch(golden, tower, "batch.input_ids", "batch.attention_mask"), PoolingKind.Mean, _arena, TowerPass.Training);
        golden.AssertOutput("batch.pooled", pooled.ToArray<float>());
        tower.Backward(Upstream(golden, pooled), _arena);
        foreach (Parameter parameter in store.Parameters)
        {
            Assert.Equal(!parameter.IsFrozen, parameter.Gradient.IsPresent);
            if (!parameter.IsFrozen && parameter.Kind is ParameterKind.LinearWeight)
            {
                golden.AssertWithin(parameter.Name, golden.ExpectedGradient(parameter.Name), parameter.Gradient.ToArray<float>(), 1.4e-5);
            }
        }
    }

    [Fact]
    public void EveryMissingUnexpectedAndMisshapedTensorIsNamed()
    {
        using TemporaryFolder folder = new();
        string source = Fixtures.PathOf("text-tower-bert", "hf");
        SafetensorsWriter writer = new();
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors")))
        {
            foreach (SafetensorsEntry entry in file.Entries.Where(e => e.Name is not "embeddings.LayerNorm.bias"))
            {
                long[] shape = [.. entry.Shape];
                byte[] bytes = file.ReadBytes(entry.Name);
                if (entry.Name == "encoder.layer.1.output.dense.weight")
                {
                    (shape[0], shape[1]) = (shape[1], shape[0]);
                }

                writer.AddRaw(entry.Name, entry.DType, shape, bytes);
            }
        }

        writer.AddRaw("encoder.layer.2.output.dense.bias", SafetensorsDType.F32, [1], new byte[4]);
        writer.Save(folder.File("model.safetensors"));
        using ParameterStore store = new(_device);
        TextTower tower = new(EncoderConfigReader.ReadText(EncoderConfigReader.ReadFile(Path.Combine(source, "config.json")), "config.json"), store);
        using CheckpointTensors tensors = CheckpointTensors.Open(folder.Path);
        UserErrorException e = Assert.Throws<UserErrorException>(() => CheckpointLoader.Load(tensors, tower));
        Assert.Equal(
            [
                "mis-shaped: encoder.layer.1.output.dense.weight is [112, 48], must be [48, 112]",
                "missing: embeddings.LayerNorm.bias [48]",
                "unexpected: encoder.layer.2.output.dense.bias",
            ],
            e.Details.Order(StringComparer.Ordinal));
        Assert.All(store.Parameters, p => Assert.All(p.Value.ToArray<float>(), v => Assert.Equal(0, v)));
    }

    private static List<int[]> Sentences(Golden golden, string ids, string mask)
    {
        int sentences = (int)golden.Cases.Entry(ids).Shape[0];
        int length = (int)golden.Cases.Entry(ids).Shape[1];
        int[] allIds = golden.Cases.ReadInt32s(ids);
        int[] allMasks = golden.Cases.ReadInt32s(mask);
        return [.. Enumerable.Range(0, sentences).Select(s => allIds.AsSpan(s * length, length)[..allMasks.AsSpan(s * length, length).Count(1)].ToArray())];
    }

    private static TokenBatch Batch(Golden golden, TextTower tower, string ids, string mask, string? types = null)
    {
        int length = (int)golden.Cases.Entry(ids).Shape[1];
        int[] allIds = golden.Cases.ReadInt32s(ids);
        int[] allMasks = golden.Cases.ReadInt32s(mask);
        int[] allTypes = types is null ? [] : golden.Cases.ReadInt32s(types);
        TokenBatch batch = new(tower.Packing);
        for (int i = 0; i < allIds.Length; i += length)
        {
            batch.Add(allIds.AsSpan(i, length), i / length, allMasks.AsSpan(i, length), types is null ? default : allTypes.AsSpan(i, length));
        }

        return batch;
    }

    private float[] Embed(TextTower tower, List<int[]> sentences)
    {
        TokenBatch batch = new(tower.Packing);
        sentences.ForEach(s => batch.Add(s));
        float[] pooled = tower.Forward(batch, PoolingKind.Mean, _arena, TowerPass.Inference).ToArray<float>();
        _arena.Reset();
        return pooled;
    }

    // batch.loss = sum(pooled * R), for BERT sum(normalised * R).
    private Tensor Upstream(Golden golden, in Tensor pooled)
    {
        Tensor r = _arena.Take(DType.Float32, pooled.Shape);
        r.CopyFrom<float>(golden.Cases.ReadSingles("batch.R"));
        if (golden.Folder != "text-tower-bert")
        {
            return r;
        }

        Tensor normalized = _arena.Take(DType.Float32, pooled.Shape);
        Tensor norm = _arena.Take(DType.Float32, new Shape(pooled.Shape[0]));
        Tensor dPooled = _arena.Take(DType.Float32, pooled.Shape);
        L2Norm.Forward(pooled, normalized, norm);
        golden.AssertOutput("batch.normalized", normalized.ToArray<float>());
        L2Norm.Backward(r, normalized, norm, dPooled);
        return dPooled;
    }

    private static TextTower Load(ParameterStore store, string folder, string form) => Load(store, folder, form, out _);

    private static TextTower Load(ParameterStore store, string folder, string form, out CheckpointReport report)
    {
        string path = Fixtures.PathOf(folder, form);
        TextTower tower = new(EncoderConfigReader.ReadText(EncoderConfigReader.ReadFile(Path.Combine(path, "config.json")), "config.json"), store);
        using CheckpointTensors tensors = CheckpointTensors.Open(path);
        report = CheckpointLoader.Load(tensors, tower);
        return tower;
    }
}

public sealed class CpuTextTowerTests() : TextTowerTests(new CpuDevice(2));

public sealed class EmulatedCudaTextTowerTests() : TextTowerTests(CudaDevice.Emulate(EmulationOptions.ForSeed(2)));
