using System.Text.Json;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

public sealed class ComputeCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("tf32", 2, "error: --precision tf32 cannot be had on cpu")]
    [InlineData("bf61", 2, "error: --precision: there is no precision 'bf61' (the nearest is 'bf16')")]
    public async Task APrecisionOfTheLossThatCannotBeHadIsRefused(string precision, int code, string message)
    {
        SaveLoss();
        Invocation run = await Invocation.RunAsync(
            "compute", "loss", "--device", "cpu", "--precision", precision, "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"));
        Assert.Equal(code, run.ExitCode);
        Assert.StartsWith(message, run.ErrorLines[0], StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("out.safetensors")));
    }

    [Theory]
    [InlineData("f32", false)]
    [InlineData("bf16", true)]
    public async Task TheLossHasThePrecisionAskedFor(string precision, bool isRounded)
    {
        // One pair, whose raw product is exact in float32; rounded to bfloat16 the factors are 1.
        SaveLoss();
        Invocation run = await Invocation.RunAsync(
            "compute", "loss", "--device", "cpu", "--precision", precision, "--set", "variant=captionToImage", "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"));
        Assert.True(run.ExitCode == 0, run.Error);
        using SafetensorsFile output = SafetensorsFile.Open(_folder.File("out.safetensors"));
        double difference = isRounded ? 0 : (1.001953125 * 1.001953125) - 1;
        Assert.Equal(Math.Log(1 + Math.Exp(-difference)), output.ReadSingles("loss")[0], 1e-6);
    }

    [Fact]
    public async Task ATensorOfTheLossThatIsNotReadIsSaid()
    {
        SafetensorsWriter writer = new();
        writer.Add("captions", [2, 1], new float[] { 1, -1 });
        writer.Add("images", [2, 1], new float[] { 1, -1 });
        writer.Add("scale", [1], new float[] { 1 });
        writer.Add("target", [2], new[] { 1, 0 });
        writer.Save(_folder.File("in.safetensors"));
        Invocation run = await Invocation.RunAsync(
            "compute", "loss", "--device", "cpu", "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"));
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Contains("not read: 'target' (the nearest name that is: 'targets')", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("captionToImage", "B33_E8.captionToImage", "none")]
    [InlineData("imageToCaption", "B33_E8.imageToCaption", "none")]
    [InlineData("symmetricNormalized", "B33_E8.symmetricNormalized", "none")]
    [InlineData("sigmoidNormalized", "B33_E8.sigmoidNormalized", "none")]
    [InlineData("captionToImage", "B33_E8.rectangular", "none")]
    [InlineData("symmetric", "B33_E8.groupShared", "shared")]
    [InlineData("symmetric", "B33_E8.groupMasked", "masked")]
    [InlineData("captionToImage", "B33_E8.rowWeights", "none")]
    [InlineData("captionToImage", "B33_E8.ignoredRows", "none")]
    public async Task TheLossIsTheGoldenOne(string variant, string id, string groups)
    {
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("losses", "index.json")));
        JsonElement golden = index.RootElement.GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("id").GetString() == id);
        using SafetensorsFile inputs = SafetensorsFile.Open(Fixtures.PathOf("losses", "inputs.safetensors"));
        SafetensorsWriter writer = new();
        foreach (string name in (string[])["captions", "images", "rowWeights"])
        {
            if (golden.TryGetProperty(name, out JsonElement tensor))
            {
                writer.Add(name, [.. inputs.Entry(tensor.GetString()!).Shape], inputs.ReadSingles(tensor.GetString()!));
            }
        }

        foreach (string name in (string[])["targets", "groups"])
        {
            if (golden.TryGetProperty(name, out JsonElement tensor))
            {
                writer.Add(name, [.. inputs.Entry(tensor.GetString()!).Shape], inputs.ReadInt64s(tensor.GetString()!));
            }
        }

        writer.Add("scale", [1], new[] { (float)golden.GetProperty("scale").GetDouble() });
        if (golden.TryGetProperty("bias", out JsonElement bias))
        {
            writer.Add("bias", [1], new[] { (float)bias.GetDouble() });
        }

        writer.Save(_folder.File("in.safetensors"));
        Invocation run = await Invocation.RunAsync(
            "compute", "loss", "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"), "--set", $"variant={variant}", "--set", $"groups={groups}");
        Assert.True(run.ExitCode == 0, run.Error);
        using SafetensorsFile output = SafetensorsFile.Open(_folder.File("out.safetensors"));
        foreach (string name in (string[])["loss", "dScale", "dLogScale", "dBias"])
        {
            if (golden.TryGetProperty(name + "_f64", out JsonElement expected))
            {
                Assert.Equal(expected.GetDouble(), output.ReadSingles(name)[0], golden.GetProperty("scalarAbsoluteTolerance").GetProperty(name).GetDouble());
            }
        }

        Assert.Equal(bias.ValueKind != JsonValueKind.Undefined, output.Contains("dBias"));
        using SafetensorsFile gradients = SafetensorsFile.Open(Fixtures.PathOf("losses", golden.GetProperty("gradientFile").GetString() + ".safetensors"));
        foreach (string name in (string[])["dCaptions", "dImages"])
        {
            Near.Assert(
                gradients.ReadDoubles($"{id}.{name}_f64"), output.ReadSingles(name), golden.GetProperty(name + "Tolerance").GetDouble(), golden.GetProperty("absoluteFloor").GetDouble());
        }
    }

    [Fact]
    public async Task TheLossTakesPrefixesALogarithmABoundALockedTowerAndABudget()
    {
        const int B = 9;
        const int E = 6;
        float[] captions = [.. Enumerable.Range(0, B * E).Select(i => MathF.Sin((i * 1.7f) + 1))];
        float[] images = [.. Enumerable.Range(0, B * E).Select(i => MathF.Cos(i * 0.9f))];

        // Each prefix by itself is the loss of cut rows.
        float[] whole = await LossOf(captions, images, E, 10, []);
        float[] half = await LossOf(Cut(captions), Cut(images), E / 2, 10, []);
        float[] both = await LossOf(captions, images, E, 10, ["prefixes=6:0.5,3"]);
        float[] bounded = await LossOf(captions, images, E, 4, []);
        Assert.Equal((0.5 * whole[0]) + half[0], both[0], 1e-5);

        // A logarithm below its bound is the multiplier; above it, the bound, and its gradient is zero.
        SafetensorsWriter writer = Write(captions, images, E);
        writer.Add("logScale", [1], new[] { MathF.Log(10) });
        writer.Save(_folder.File("log.safetensors"));
        using (SafetensorsFile output = await Compute("log.safetensors", ["locked=images", "memoryBudgetMiB=20"]))
        {
            Assert.Equal(whole[0], output.ReadSingles("loss")[0], 1e-5);
            Assert.True(output.Contains("dCaptions"));
            Assert.False(output.Contains("dImages"));
            Assert.False(output.Contains("dScale"));
            Assert.NotEqual(0, output.ReadSingles("dLogScale")[0]);
        }

        using (SafetensorsFile output = await Compute("log.safetensors", ["maxScale=4"]))
        {
            Assert.Equal(bounded[0], output.ReadSingles("loss")[0], 1e-5);
            Assert.Equal(0, output.ReadSingles("dLogScale")[0]);
        }

        // Nothing of it is passed over.
        Assert.Contains("give MiB", (await Invoke("log.safetensors", ["memoryBudgetMiB=-1"])).Error, StringComparison.Ordinal);
        Assert.Contains("MemoryBudgetBytes", (await Invoke("log.safetensors", ["memoryBudgetMiB=1"])).Error, StringComparison.Ordinal);
        Assert.Contains("wider than the embeddings", (await Invoke("log.safetensors", ["prefixes=7"])).Error, StringComparison.Ordinal);
        Assert.Contains("logScale", (await Invoke("in.safetensors", ["maxScale=4"])).Error, StringComparison.Ordinal);
        writer.Add("scale", [1], new[] { 10f });
        writer.Save(_folder.File("two.safetensors"));
        Assert.Contains("both", (await Invoke("two.safetensors", [])).Error, StringComparison.Ordinal);

        static float[] Cut(float[] rows) => [.. rows.Where((_, i) => i % E < E / 2)];

        static SafetensorsWriter Write(float[] captions, float[] images, int width)
        {
            SafetensorsWriter writer = new();
            writer.Add("captions", [B, width], captions);
            writer.Add("images", [B, width], images);
            return writer;
        }

        async Task<float[]> LossOf(float[] captions, float[] images, int width, float scale, string[] settings)
        {
            SafetensorsWriter writer = Write(captions, images, width);
            writer.Add("scale", [1], new[] { scale });
            writer.Save(_folder.File("in.safetensors"));
            using SafetensorsFile output = await Compute("in.safetensors", settings);
            return output.ReadSingles("loss");
        }

        async Task<SafetensorsFile> Compute(string input, string[] settings)
        {
            Invocation run = await Invoke(input, settings);
            Assert.True(run.ExitCode == 0, run.Error);
            return SafetensorsFile.Open(_folder.File("out.safetensors"));
        }

        Task<Invocation> Invoke(string input, string[] settings) => Invocation.RunAsync(
            ["compute", "loss", "--in", _folder.File(input), "--out", _folder.File("out.safetensors"), .. settings.SelectMany(s => (string[])["--set", s])]);
    }

    [Theory]
    [InlineData("text-tower-xlm-roberta", "input_ids attention_mask", "pooling=mean", "pooled")]
    [InlineData("text-tower-bert", "input_ids attention_mask", "normalize=true", "normalized")]
    [InlineData("image-tower-vit", "pixel_values", "pooling=mean", "mean")]
    public async Task ATowersHiddenStatesVectorsAndGradientsAreTheGoldenOnes(string tower, string tensors, string setting, string vectors)
    {
        using SafetensorsFile cases = SafetensorsFile.Open(Fixtures.PathOf(tower, "cases.safetensors"));
        SafetensorsWriter writer = new();
        foreach (string name in tensors.Split(' '))
        {
            string source = "batch." + name;
            if (name == "pixel_values")
            {
                writer.Add(name, [.. cases.Entry(source).Shape], cases.ReadSingles(source));
            }
            else
            {
                writer.Add(name, [.. cases.Entry(source).Shape], cases.ReadInt64s(source));
            }
        }

        writer.Add("R", [.. cases.Entry("batch.R").Shape], cases.ReadSingles("batch.R"));
        writer.Save(_folder.File("in.safetensors"));
        Invocation run = await Invocation.RunAsync(
            "compute", "tower", "--model", Fixtures.PathOf(tower, "hf"), "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"), "--set", setting);
        Assert.True(run.ExitCode == 0, run.Error);
        using SafetensorsFile output = SafetensorsFile.Open(_folder.File("out.safetensors"));
        using JsonDocument meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf(tower, "meta.json")));
        JsonElement outputs = meta.RootElement.GetProperty("outputs");
        Near.Assert(cases.ReadDoubles($"batch.{vectors}_f64"), output.ReadSingles("pooled"), outputs.GetProperty("batch." + vectors).GetProperty("tolerance").GetDouble());
        int[]? mask = cases.Contains("batch.attention_mask") ? cases.ReadInt32s("batch.attention_mask") : null;
        int states = 0;
        for (; cases.Contains($"batch.hidden.{states}"); states++)
        {
            string name = $"hidden.{states}";
            Assert.Equal(cases.Entry("batch." + name).Shape, output.Entry(name).Shape);
            double[] expected = cases.ReadDoubles("batch." + name);
            int width = (int)output.Entry(name).Shape[2];

            // At padding the framework leaves by-products; here they are zeros.
            for (int i = 0; mask is not null && i < expected.Length; i++)
            {
                expected[i] *= mask[i / width];
            }

            Near.Assert(expected, output.ReadSingles(name), outputs.GetProperty("batch." + name).GetProperty("tolerance").GetDouble());
        }

        Assert.True(states > 1);
        Assert.False(output.Contains($"hidden.{states}"));
        JsonElement about = meta.RootElement.GetProperty("gradients");
        string[] zero = [.. about.GetProperty("zero_gradient_parameters").EnumerateArray().Select(e => e.GetString()!)];
        using SafetensorsFile gradients = SafetensorsFile.Open(Fixtures.PathOf(tower, "gradients.safetensors"));
        string[] names = [.. output.Entries.Where(e => e.Name.StartsWith("gradient.", StringComparison.Ordinal)).Select(e => e.Name["gradient.".Length..])];
        Assert.Equal(gradients.Entries.Select(e => e.Name).Order(StringComparer.Ordinal), names.Order(StringComparer.Ordinal));
        foreach (string name in names)
        {
            float[] actual = output.ReadSingles("gradient." + name);
            Assert.Equal(gradients.Entry(name).Shape, output.Entry("gradient." + name).Shape);
            double[] expected = gradients.ReadDoubles(name);
            if (zero.Contains(name))
            {
                double tolerance = about.GetProperty("zeroGradientAbsoluteTolerance").GetDouble();
                Assert.All(actual, v => Assert.InRange(v, -tolerance, tolerance));
                continue;
            }

            // The framework drops this row's gradient; the fixture has the true one beside (tests/fixtures: BERT's word row 0).
            if (tower == "text-tower-bert" && name == "embeddings.word_embeddings.weight")
            {
                actual.AsSpan(0, (int)gradients.Entry(name).Shape[1]).Clear();
            }

            Near.Assert(expected, actual, about.GetProperty("tolerancePerTensor").GetProperty(name).GetDouble());
        }
    }

    [Fact]
    public async Task TheMetricsAreTheGoldenOnes()
    {
        using SafetensorsFile inputs = SafetensorsFile.Open(Fixtures.PathOf("metrics", "inputs.safetensors"));
        SafetensorsWriter writer = new();
        writer.Add("a", [200, 64], inputs.ReadSingles("x.a"));
        writer.Add("b", [200, 64], inputs.ReadSingles("x.b"));
        writer.Save(_folder.File("in.safetensors"));
        Invocation run = await Invocation.RunAsync("compute", "metrics", "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"));
        Assert.True(run.ExitCode == 0, run.Error);
        using SafetensorsFile output = SafetensorsFile.Open(_folder.File("out.safetensors"));
        JsonElement golden = JsonElement.Parse(File.ReadAllText(Fixtures.PathOf("metrics", "expected.json")));
        foreach (string direction in (string[])["a-b", "b-a"])
        {
            foreach (string score in (string[])["cosine", "csls", "margin"])
            {
                JsonElement expected = golden.GetProperty("retrieval").GetProperty($"{direction.Replace("-", "->", StringComparison.Ordinal)}.{score}");
                Same(expected, "R@1", $"{direction}.{score}.r1");
                Same(expected, "R@5", $"{direction}.{score}.r5");
                Same(expected, "R@10", $"{direction}.{score}.r10");
                Same(expected, "MRR", $"{direction}.{score}.mrr");
                Same(expected, "median_rank", $"{direction}.{score}.medianRank");
            }

            Same(golden.GetProperty("retrieval").GetProperty($"{direction.Replace("-", "->", StringComparison.Ordinal)}.hubness_k10"), "skewness", direction + ".hubness");
        }

        foreach (string side in (string[])["a", "b"])
        {
            JsonElement expected = golden.GetProperty("geometry").GetProperty(side);
            Same(expected, "effective_rank_energy", side + ".effectiveRank");
            Same(expected, "effective_rank_roy_vetterli", side + ".effectiveRankRoyVetterli");
            Same(expected, "isoscore", side + ".isoScore");
            Same(expected, "mean_pairwise_cosine", side + ".meanPairwiseCosine");
            Same(expected, "uniformity", side + ".uniformity");
            Same(expected, "entropy", side + ".entropy");
            Same(expected, "poz", side + ".nearZero");
        }

        JsonElement pair = golden.GetProperty("pairs").GetProperty("ab");
        Same(pair, "alignment", "alignment");
        Same(pair, "modality_gap", "modalityGap");
        Same(pair, "centroid_cosine", "centroidCosine");
        Same(pair, "gram_correlation", "gramCorrelation");
        Same(pair, "neighbour_overlap_k10", "neighbourOverlap");

        void Same(JsonElement expected, string key, string name)
        {
            double value = expected.GetProperty(key).GetDouble();
            double actual = output.ReadDoubles(name)[0];
            Assert.True(Math.Abs(actual - value) <= 1e-5 * Math.Max(1, Math.Abs(value)), $"{name} is {actual}, expected {value}");
        }
    }

    [Theory]
    [InlineData("metrics --in IN --out x.safetensors", 1, "'a'")]
    [InlineData("metrics --in IN --out x.safetensors --set neighbours=0.5", 2, "neighbours")]
    [InlineData("loss --in no-such.safetensors --out x.safetensors", 2, "no-such.safetensors")]
    [InlineData("loss --in IN --out x.safetensors --set variant=clip", 2, "symmetric")]
    [InlineData("loss --in IN --out x.safetensors --set smothing=0.1", 2, "smoothing")]
    [InlineData("loss --in IN --out x.safetensors --set smoothing", 2, "key=value")]
    [InlineData("loss --in IN --out x.safetensors --set smoothing=a", 2, "no number")]
    [InlineData("loss --in IN --out x.safetensors --set variant=sigmoid --set smoothing=0.1", 2, "LabelSmoothing")]
    [InlineData("loss --in IN --out x.safetensors --set prefixes=8:a", 2, "WIDTH:WEIGHT")]
    [InlineData("loss --in IN --out x.safetensors --set prefixes=0:1", 2, "prefix of width 0")]
    [InlineData("loss --in IN --out x.safetensors --set locked=both", 2, "captions, images")]
    [InlineData("loss --in IN --out x.safetensors --set memoryBudgetMiB=0", 2, "memoryBudgetMiB")]
    [InlineData("loss --in IN --out x.safetensors --set maxScale=-1", 2, "MaxScale")]
    [InlineData("loss --in IN --out x.safetensors", 1, "'captions'")]
    [InlineData("tower --in IN --out x.safetensors", 2, "--model")]
    [InlineData("tower --model no-such --in IN --out x.safetensors", 2, "no-such")]
    [InlineData("tower --model BERT --in IN --out x.safetensors", 1, "pixel_values")]
    public async Task WhatIsWrongIsNamedInOneLine(string line, int exitCode, string named)
    {
        SafetensorsWriter writer = new();
        writer.Add("nothing", [1], new[] { 1f });
        writer.Save(_folder.File("in.safetensors"));
        string[] words = [.. line.Split(' ').Select(w => w switch { "IN" => _folder.File("in.safetensors"), "BERT" => Fixtures.PathOf("text-tower-bert", "hf"), _ => w })];
        Invocation run = await Invocation.RunAsync(["compute", .. words]);
        Assert.Equal(exitCode, run.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(named, run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists("x.safetensors"));
    }

    // Similarities 1.00195^2 and 1.
    private void SaveLoss()
    {
        SafetensorsWriter writer = new();
        writer.Add("captions", [1, 1], new[] { 1.001953125f });
        writer.Add("images", [2, 1], new[] { 1.001953125f, 1 / 1.001953125f });
        writer.Add("scale", [1], new[] { 1f });
        writer.Save(_folder.File("in.safetensors"));
    }
}
