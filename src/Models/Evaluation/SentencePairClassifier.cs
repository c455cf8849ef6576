using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// Tells how two sentences relate from their frozen vectors: features [p; h; |p - h|; p * h], three hidden layers with ReLU, mean
/// cross-entropy, Adam. Labels: entailment 0, neutral 1, contradiction 2.
/// </summary>
/// <remarks>Deterministic. Parameters are named <c>layers.0.weight</c> (out, in) to <c>layers.3.bias</c>, as PyTorch has them.</remarks>
public sealed class SentencePairClassifier : IDisposable
{
    private const int LayerCount = 4;

    private readonly CpuDevice _device;
    private readonly SentencePairOptions _options;
    private readonly int[] _widths;
    private readonly Tensor[] _weights = new Tensor[LayerCount];
    private readonly Tensor[] _biases = new Tensor[LayerCount];
    private readonly Tensor[] _weightGradients = new Tensor[LayerCount];
    private readonly Tensor[] _biasGradients = new Tensor[LayerCount];
    private readonly AdamMoments[] _moments = new AdamMoments[2 * LayerCount];

    // activations[0] holds the features, activations[i] the output of layer i - 1 after its ReLU, the last one the logits.
    private readonly Tensor[] _activations = new Tensor[LayerCount + 1];
    private readonly Tensor[] _activationGradients = new Tensor[LayerCount + 1];
    private int _capacity = -1;
    private int _step;

    /// <summary>Makes a classifier with initial weights drawn as PyTorch's linear layers draw them: uniform in +-1/sqrt(in).</summary>
    /// <param name="device">The processor; it must outlive the classifier.</param>
    /// <param name="embeddingWidth">E, the width of a sentence's vector.</param>
    /// <param name="options">Settings; the defaults where null.</param>
    /// <exception cref="ArgumentOutOfRangeException">A width or count is below 1.</exception>
    public SentencePairClassifier(CpuDevice device, int embeddingWidth, SentencePairOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(embeddingWidth, 1);
        _device = device;
        _options = options ?? new SentencePairOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.HiddenWidth, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.Classes, 2, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.BatchSize, 1, nameof(options));
        EmbeddingWidth = embeddingWidth;
        int hidden = _options.HiddenWidth;
        _widths = [4 * embeddingWidth, hidden, hidden, hidden, _options.Classes];
        for (int layer = 0; layer < LayerCount; layer++)
        {
            (int outputs, int inputs) = (_widths[layer + 1], _widths[layer]);
            _weights[layer] = device.NewTensor(DType.Float32, new Shape(outputs, inputs));
            _biases[layer] = device.NewTensor(DType.Float32, new Shape(outputs));
            _weightGradients[layer] = device.NewTensor(DType.Float32, new Shape(outputs, inputs));
            _biasGradients[layer] = device.NewTensor(DType.Float32, new Shape(outputs));
            _moments[2 * layer] = new AdamMoments(outputs * inputs);
            _moments[(2 * layer) + 1] = new AdamMoments(outputs);

            // "SPC": a stream of its own; one item a layer.
            CounterRandom random = new(_options.Seed, 0x535043, (uint)layer);
            float bound = 1 / MathF.Sqrt(inputs);
            Draw(_weights[layer], ref random, bound);
            Draw(_biases[layer], ref random, bound);
        }
    }

    /// <summary>E, the width of a sentence's vector.</summary>
    public int EmbeddingWidth { get; }

    /// <summary>Trains on pairs in random order and keeps the weights that did best on the validation pairs, if there are any.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <param name="labels">n labels.</param>
    /// <param name="validation">Pairs that choose the epoch; null keeps the last one.</param>
    /// <param name="cancellationToken">Stops the work between steps.</param>
    /// <returns>The mean loss of the last epoch's steps.</returns>
    /// <exception cref="ArgumentException">Sizes or labels do not fit.</exception>
    public double Fit(
        EmbeddingMatrix premises,
        EmbeddingMatrix hypotheses,
        IReadOnlyList<int> labels,
        (EmbeddingMatrix Premises, EmbeddingMatrix Hypotheses, IReadOnlyList<int> Labels)? validation = null,
        CancellationToken cancellationToken = default)
    {
        CheckPairs(premises, hypotheses);
        ArgumentNullException.ThrowIfNull(labels);
        double best = -1;
        float[][]? kept = null;
        double loss = double.NaN;
        for (int epoch = 0; epoch < _options.Epochs; epoch++)
        {
            int[] order = SeededSample.Permutation(premises.Rows, _options.Seed + ((ulong)(epoch + 1) << 32));
            double sum = 0;
            foreach (int[] batch in order.Chunk(_options.BatchSize))
            {
                cancellationToken.ThrowIfCancellationRequested();
                int[] batchLabels = [.. batch.Select(i => labels[i])];
                sum += Step(premises.Select(batch), hypotheses.Select(batch), batchLabels) * batch.Length;
            }

            loss = sum / premises.Rows;
            if (validation is { } pairs)
            {
                double accuracy = Accuracy(pairs.Premises, pairs.Hypotheses, pairs.Labels);
                if (accuracy > best)
                {
                    best = accuracy;
                    kept = [.. _weights.Concat(_biases).Select(p => p.ToArray<float>())];
                }
            }
        }

        for (int layer = 0; kept is not null && layer < LayerCount; layer++)
        {
            _weights[layer].CopyFrom<float>(kept[layer]);
            _biases[layer].CopyFrom<float>(kept[LayerCount + layer]);
        }

        return loss;
    }

    /// <summary>One step of Adam on one batch.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <param name="labels">n labels.</param>
    /// <returns>The mean loss before the step.</returns>
    /// <exception cref="ArgumentException">Sizes or labels do not fit.</exception>
    public double Step(EmbeddingMatrix premises, EmbeddingMatrix hypotheses, IReadOnlyList<int> labels)
    {
        double loss = Gradients(premises, hypotheses, labels);
        _step++;
        for (int layer = 0; layer < LayerCount; layer++)
        {
            _moments[2 * layer].Apply(_weights[layer].AsSpan<float>(), _weightGradients[layer].AsSpan<float>(), _options.LearningRate, _step);
            _moments[(2 * layer) + 1].Apply(_biases[layer].AsSpan<float>(), _biasGradients[layer].AsSpan<float>(), _options.LearningRate, _step);
        }

        return loss;
    }

    /// <summary>The most probable label of each pair.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <returns>n labels.</returns>
    /// <exception cref="ArgumentException">Sizes do not fit.</exception>
    public int[] Predict(EmbeddingMatrix premises, EmbeddingMatrix hypotheses)
    {
        float[] logits = Logits(premises, hypotheses);
        int[] labels = new int[premises.Rows];
        for (int i = 0; i < labels.Length; i++)
        {
            ReadOnlySpan<float> row = logits.AsSpan(i * _options.Classes, _options.Classes);
            for (int c = 1; c < row.Length; c++)
            {
                labels[i] = row[c] > row[labels[i]] ? c : labels[i];
            }
        }

        return labels;
    }

    /// <summary>The share of pairs that are labelled rightly.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <param name="labels">The right labels.</param>
    /// <returns>A fraction of 1; NaN for no pairs.</returns>
    /// <exception cref="ArgumentException">Sizes do not fit.</exception>
    public double Accuracy(EmbeddingMatrix premises, EmbeddingMatrix hypotheses, IReadOnlyList<int> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        int[] predicted = Predict(premises, hypotheses);
        return predicted.Length == labels.Count
            ? (double)predicted.Where((p, i) => p == labels[i]).Count() / predicted.Length
            : throw new ArgumentException($"{labels.Count} labels for {predicted.Length} pairs.", nameof(labels));
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        IEnumerable<Tensor> all = _weights.Concat(_biases).Concat(_weightGradients).Concat(_biasGradients)
            .Concat(_activations).Concat(_activationGradients);
        foreach (Tensor tensor in all.Where(t => t.IsPresent))
        {
            tensor.Memory.Dispose();
        }
    }

    /// <summary>A parameter by its name.</summary>
    /// <param name="name"><c>layers.0.weight</c>, say.</param>
    /// <returns>The tensor itself.</returns>
    internal Tensor Parameter(string name) => ByName(name, _weights, _biases);

    /// <summary>The gradient of a parameter after <see cref="Gradients"/>.</summary>
    /// <param name="name"><c>layers.0.weight</c>, say.</param>
    /// <returns>The tensor itself.</returns>
    internal Tensor Gradient(string name) => ByName(name, _weightGradients, _biasGradients);

    /// <summary>Adam's moments of a parameter.</summary>
    /// <param name="name"><c>layers.0.weight</c>, say.</param>
    /// <returns>The moments themselves.</returns>
    internal AdamMoments Moments(string name)
    {
        int layer = name["layers.".Length] - '0';
        return _moments[(2 * layer) + (name.EndsWith("weight", StringComparison.Ordinal) ? 0 : 1)];
    }

    /// <summary>The logits of pairs.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <returns>(n, classes) values.</returns>
    internal float[] Logits(EmbeddingMatrix premises, EmbeddingMatrix hypotheses)
    {
        Forward(premises, hypotheses);
        return _activations[LayerCount].Rows(0, premises.Rows).ToArray<float>();
    }

    /// <summary>The loss of a batch and its gradients, which replace the former ones.</summary>
    /// <param name="premises">(n, E) vectors.</param>
    /// <param name="hypotheses">(n, E) vectors.</param>
    /// <param name="labels">n labels.</param>
    /// <returns>The mean loss.</returns>
    internal double Gradients(EmbeddingMatrix premises, EmbeddingMatrix hypotheses, IReadOnlyList<int> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.Count != premises.Rows || labels.Any(l => l < 0 || l >= _options.Classes))
        {
            throw new ArgumentException($"Every one of {premises.Rows} pairs needs a label from 0 to {_options.Classes - 1}.", nameof(labels));
        }

        Forward(premises, hypotheses);
        int n = premises.Rows;
        double loss = SoftmaxLoss.Compute(
            _activations[LayerCount].Rows(0, n).AsSpan<float>(),
            labels,
            _options.Classes,
            _options.DoubleSoftmax,
            _activationGradients[LayerCount].Rows(0, n).AsSpan<float>());
        for (int layer = LayerCount - 1; layer >= 0; layer--)
        {
            _device.Zero(_weightGradients[layer]);
            _device.Zero(_biasGradients[layer]);
            Tensor dOutput = _activationGradients[layer + 1].Rows(0, n);
            if (layer < LayerCount - 1)
            {
                MaskRelu(_activations[layer + 1].Rows(0, n).AsSpan<float>(), dOutput.AsSpan<float>());
            }

            Linear.Backward(
                dOutput, _activations[layer].Rows(0, n), _weights[layer], _activationGradients[layer].Rows(0, n),
                _weightGradients[layer], _biasGradients[layer]);
        }

        return loss;
    }

    /// <summary>The features that a pair is judged by, of the last batch.</summary>
    /// <param name="count">The number of pairs.</param>
    /// <returns>(n, 4E) values.</returns>
    internal float[] Features(int count) => _activations[0].Rows(0, count).ToArray<float>();

    /// <summary>The gradients of the sentences' vectors after <see cref="Gradients"/>.</summary>
    /// <param name="premises">(n, E) vectors of that batch.</param>
    /// <param name="hypotheses">(n, E) vectors of that batch.</param>
    /// <returns>(n, E) values each; the derivative of |0| is 0.</returns>
    internal (float[] DPremises, float[] DHypotheses) InputGradients(EmbeddingMatrix premises, EmbeddingMatrix hypotheses)
    {
        int e = EmbeddingWidth;
        ReadOnlySpan<float> dFeatures = _activationGradients[0].Rows(0, premises.Rows).AsSpan<float>();
        float[] dPremises = new float[premises.Values.Length];
        float[] dHypotheses = new float[premises.Values.Length];
        for (int i = 0; i < dPremises.Length; i++)
        {
            (int row, int d) = Math.DivRem(i, e);
            ReadOnlySpan<float> gradient = dFeatures.Slice(row * 4 * e, 4 * e);
            float p = premises.Values[i];
            float h = hypotheses.Values[i];
            float viaDifference = MathF.Sign(p - h) * gradient[(2 * e) + d];
            dPremises[i] = gradient[d] + viaDifference + (h * gradient[(3 * e) + d]);
            dHypotheses[i] = gradient[e + d] - viaDifference + (p * gradient[(3 * e) + d]);
        }

        return (dPremises, dHypotheses);
    }

    private static Tensor ByName(string name, Tensor[] weights, Tensor[] biases)
    {
        int layer = name["layers.".Length] - '0';
        return name.EndsWith("weight", StringComparison.Ordinal) ? weights[layer] : biases[layer];
    }

    private static void Draw(in Tensor tensor, ref CounterRandom random, float bound)
    {
        foreach (ref float value in tensor.AsSpan<float>())
        {
            value = random.NextSingle(-bound, bound);
        }
    }

    private static void MaskRelu(ReadOnlySpan<float> output, Span<float> gradient)
    {
        for (int i = 0; i < gradient.Length; i++)
        {
            gradient[i] = output[i] > 0 ? gradient[i] : 0;
        }
    }

    private void Forward(EmbeddingMatrix premises, EmbeddingMatrix hypotheses)
    {
        CheckPairs(premises, hypotheses);
        int n = premises.Rows;
        Reserve(n);
        int e = EmbeddingWidth;
        Span<float> features = _activations[0].AsSpan<float>();
        for (int i = 0; i < premises.Values.Length; i++)
        {
            (int row, int d) = Math.DivRem(i, e);
            float p = premises.Values[i];
            float h = hypotheses.Values[i];
            Span<float> feature = features.Slice(row * 4 * e, 4 * e);
            feature[d] = p;
            feature[e + d] = h;
            feature[(2 * e) + d] = MathF.Abs(p - h);
            feature[(3 * e) + d] = p * h;
        }

        for (int layer = 0; layer < LayerCount; layer++)
        {
            Tensor output = _activations[layer + 1].Rows(0, n);
            Linear.Forward(_activations[layer].Rows(0, n), _weights[layer], _biases[layer], output);
            if (layer < LayerCount - 1)
            {
                foreach (ref float value in output.AsSpan<float>())
                {
                    // Not Math.Max: a NaN must stay one and show in the loss.
                    value = value <= 0 ? 0 : value;
                }
            }
        }
    }

    private void Reserve(int rows)
    {
        if (rows <= _capacity)
        {
            return;
        }

        for (int i = 0; i <= LayerCount; i++)
        {
            if (_activations[i].IsPresent)
            {
                _activations[i].Memory.Dispose();
                _activationGradients[i].Memory.Dispose();
            }

            _activations[i] = _device.NewTensor(DType.Float32, new Shape(rows, _widths[i]));
            _activationGradients[i] = _device.NewTensor(DType.Float32, new Shape(rows, _widths[i]));
        }

        _capacity = rows;
    }

    private void CheckPairs(EmbeddingMatrix premises, EmbeddingMatrix hypotheses)
    {
        ArgumentNullException.ThrowIfNull(premises);
        ArgumentNullException.ThrowIfNull(hypotheses);
        if (premises.Rows != hypotheses.Rows || premises.Columns != EmbeddingWidth || hypotheses.Columns != EmbeddingWidth)
        {
            throw new ArgumentException(
                $"{premises.Rows} x {premises.Columns} and {hypotheses.Rows} x {hypotheses.Columns} are not pairs of vectors of {EmbeddingWidth}.",
                nameof(hypotheses));
        }
    }
}
