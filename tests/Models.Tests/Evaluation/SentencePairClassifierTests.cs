using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class SentencePairClassifierTests : IDisposable
{
    private const int Batch = 32;
    private const int Width = 16;

    private static readonly Golden s_case = Golden.Open("classifier/case.safetensors");
    private static readonly string[] s_parameters =
        [.. Enumerable.Range(0, 4).SelectMany(i => (string[])[$"layers.{i}.weight", $"layers.{i}.bias"])];

    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void FeaturesLogitsAndGradientsAreThoseOfTheReference()
    {
        using SentencePairClassifier classifier = Loaded(doubleSoftmax: false);
        (EmbeddingMatrix premises, EmbeddingMatrix hypotheses, int[] labels) = Step(0);
        double loss = classifier.Gradients(premises, hypotheses, labels);
        Golden.Close(s_case.Floats("losses")[0], loss, 1e-5, "loss");
        Golden.Close(s_case.Doubles("losses_f64")[0], loss, 1e-6, "loss in double");
        AssertNear(s_case.Floats("features"), classifier.Features(Batch), "features");
        AssertNear(s_case.Floats("logits"), classifier.Logits(premises, hypotheses), "logits");

        classifier.Gradients(premises, hypotheses, labels);
        foreach (string name in s_parameters)
        {
            AssertNear(s_case.Floats("grad." + name), classifier.Gradient(name).ToArray<float>(), name);
        }

        (float[] dPremises, float[] dHypotheses) = classifier.InputGradients(premises, hypotheses);
        AssertNear(s_case.Floats("grad.premise"), dPremises, "premises");
        AssertNear(s_case.Floats("grad.hypothesis"), dHypotheses, "hypotheses");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void FiveStepsEndAtTheReferencesParameters(bool doubleSoftmax)
    {
        string prefix = doubleSoftmax ? "double_softmax." : string.Empty;
        using SentencePairClassifier classifier = Loaded(doubleSoftmax);
        float[] losses = s_case.Floats(prefix + "losses");
        for (int step = 0; step < 5; step++)
        {
            (EmbeddingMatrix premises, EmbeddingMatrix hypotheses, int[] labels) = Step(step);
            if (doubleSoftmax && step == 0)
            {
                classifier.Gradients(premises, hypotheses, labels);
                AssertNear(s_case.Floats(prefix + "grad.layers.0.weight"), classifier.Gradient("layers.0.weight").ToArray<float>(), "weight");
                AssertNear(s_case.Floats(prefix + "grad.layers.0.bias"), classifier.Gradient("layers.0.bias").ToArray<float>(), "bias");
            }

            Golden.Close(losses[step], classifier.Step(premises, hypotheses, labels), 1e-5, $"loss of step {step}");
        }

        foreach (string name in s_parameters.Where(n => s_case.Names.Contains(prefix + "final." + n)))
        {
            float[] expected = s_case.Floats(prefix + "final." + name);
            float[] actual = classifier.Parameter(name).ToArray<float>();
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.Equal(expected[i], actual[i], 1e-5);
            }
        }

        if (!doubleSoftmax)
        {
            AdamMoments moments = classifier.Moments("layers.1.weight");
            AssertNear(s_case.Floats("adam.exp_avg.layers.1.weight"), moments.First, "first moments");
            AssertNear(s_case.Floats("adam.exp_avg_sq.layers.1.weight"), moments.Second, "second moments");
        }
    }

    [Fact]
    public void UnitsThatNeverFireDoNotMove()
    {
        using SentencePairClassifier classifier = Loaded(doubleSoftmax: false);
        (EmbeddingMatrix premises, EmbeddingMatrix hypotheses, int[] labels) = Step(0);
        float[] before = s_case.Floats("init.layers.2.weight");
        float[] gradient = s_case.Floats("grad.layers.2.weight");
        classifier.Step(premises, hypotheses, labels);
        float[] after = classifier.Parameter("layers.2.weight").ToArray<float>();
        int still = 0;
        for (int i = 0; i < gradient.Length; i++)
        {
            Assert.Equal(gradient[i] == 0, before[i] == after[i]);
            still += gradient[i] == 0 ? 1 : 0;
        }

        Assert.Equal(199, still);
    }

    [Fact]
    public void ItLearnsARuleAndKeepsTheBestEpoch()
    {
        // Label 0: the same vector twice; label 1: another one; label 2: the opposite one.
        const int Count = 300;
        CounterRandom random = new(4, 4, 0);
        float[] premises = new float[Count * 8];
        float[] hypotheses = new float[Count * 8];
        int[] labels = new int[Count];
        for (int i = 0; i < Count; i++)
        {
            labels[i] = i % 3;
            for (int d = 0; d < 8; d++)
            {
                float p = random.NextNormal();
                premises[(i * 8) + d] = p;
                hypotheses[(i * 8) + d] = labels[i] switch { 0 => p, 1 => random.NextNormal(), _ => -p };
            }
        }

        EmbeddingMatrix x = new(premises, Count, 8);
        EmbeddingMatrix y = new(hypotheses, Count, 8);
        int[] train = [.. Enumerable.Range(0, 240)];
        int[] test = [.. Enumerable.Range(240, 60)];
        int[] testLabels = [.. test.Select(i => labels[i])];
        SentencePairOptions options = new() { HiddenWidth = 32, Epochs = 12, BatchSize = 16, Seed = 2 };
        using SentencePairClassifier classifier = new(_device, 8, options);
        (EmbeddingMatrix, EmbeddingMatrix, IReadOnlyList<int>) validation = (x.Select(test), y.Select(test), testLabels);
        double loss = classifier.Fit(
            x.Select(train), y.Select(train), labels[..240], validation, TestContext.Current.CancellationToken);
        Assert.True(loss < 0.3, $"loss {loss}");
        Assert.True(classifier.Accuracy(x.Select(test), y.Select(test), testLabels) > 0.9);

        using SentencePairClassifier again = new(_device, 8, options);
        again.Fit(x.Select(train), y.Select(train), labels[..240], validation, TestContext.Current.CancellationToken);
        Assert.Equal(classifier.Parameter("layers.0.weight").ToArray<float>(), again.Parameter("layers.0.weight").ToArray<float>());
    }

    [Fact]
    public void WrongSizesAndLabelsAreErrors()
    {
        using SentencePairClassifier classifier = new(_device, 4, new SentencePairOptions { HiddenWidth = 2 });
        EmbeddingMatrix two = new(new float[8], 2, 4);
        Assert.Throws<ArgumentException>(() => classifier.Step(two, new EmbeddingMatrix(new float[4], 1, 4), [0, 1]));
        Assert.Throws<ArgumentException>(() => classifier.Step(two, two, [0, 3]));
        Assert.Throws<ArgumentException>(() => classifier.Step(two, two, [0]));
        Assert.Throws<ArgumentException>(() => classifier.Predict(new EmbeddingMatrix(new float[6], 2, 3), two));
        Assert.Empty(classifier.Predict(new EmbeddingMatrix([], 0, 4), new EmbeddingMatrix([], 0, 4)));
    }

    private static (EmbeddingMatrix Premises, EmbeddingMatrix Hypotheses, int[] Labels) Step(int step)
    {
        const int Count = Batch * Width;
        return (
            new EmbeddingMatrix(s_case.Floats("premise").AsSpan(step * Count, Count), Batch, Width),
            new EmbeddingMatrix(s_case.Floats("hypothesis").AsSpan(step * Count, Count), Batch, Width),
            [.. s_case.Longs("labels").Skip(step * Batch).Take(Batch).Select(l => (int)l)]);
    }

    private static void AssertNear(float[] expected, float[] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double difference = 0;
        double size = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference += Math.Pow((double)actual[i] - expected[i], 2);
            size += Math.Pow(expected[i], 2);
        }

        Assert.True(Math.Sqrt(difference) <= 1e-5 * Math.Sqrt(size), $"{what}: relative norm {Math.Sqrt(difference / size):G3}");
    }

    private SentencePairClassifier Loaded(bool doubleSoftmax)
    {
        SentencePairClassifier classifier = new(_device, Width, new SentencePairOptions { HiddenWidth = 32, DoubleSoftmax = doubleSoftmax });
        foreach (string name in s_parameters)
        {
            classifier.Parameter(name).CopyFrom<float>(s_case.Floats("init." + name));
        }

        return classifier;
    }
}
