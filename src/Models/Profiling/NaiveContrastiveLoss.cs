using System.Numerics;
using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// The contrastive loss as it is usually written, to compare with: the whole matrix of logits and the whole matrix of their gradients lie in
/// memory, and five sweeps go over them. Its products are the same as everywhere, and it uses all threads and vectors: what differs is the
/// algorithm. Softmax over rows, columns or both, or sigmoid; no groups, smoothing, masks or prefixes.
/// </summary>
internal sealed class NaiveContrastiveLoss : IDisposable
{
    // Columns that one thread sweeps down at a time: their statistics stay in the first-level cache.
    private const int ColumnBlock = 512;

    private readonly Device _device;
    private readonly SimilarityCrossEntropyOptions _options;
    private readonly int _threads;
    private readonly int _rows;
    private readonly Tensor _unitCaptions;
    private readonly Tensor _unitImages;
    private readonly Tensor _captionNorms;
    private readonly Tensor _imageNorms;
    private readonly Tensor _logits;
    private readonly Tensor _gradients;
    private readonly float[] _rowMax;
    private readonly float[] _rowSum;
    private readonly float[] _columnMax;
    private readonly float[] _columnSum;

    /// <summary>Takes the memory.</summary>
    /// <param name="device">A CPU device.</param>
    /// <param name="options">Which loss.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">E.</param>
    /// <param name="threads">Threads that sweep.</param>
    public NaiveContrastiveLoss(Device device, SimilarityCrossEntropyOptions options, int rows, int width, int threads)
    {
        _device = device;
        _options = options;
        _threads = threads;
        _rows = rows;
        Shape matrix = new(rows, rows);
        _logits = device.NewTensor(DType.Float32, matrix);
        _gradients = device.NewTensor(DType.Float32, matrix);
        if (options.Normalize)
        {
            _unitCaptions = device.NewTensor(DType.Float32, new Shape(rows, width));
            _unitImages = device.NewTensor(DType.Float32, new Shape(rows, width));
            _captionNorms = device.NewTensor(DType.Float32, new Shape(rows));
            _imageNorms = device.NewTensor(DType.Float32, new Shape(rows));
        }

        _rowMax = new float[rows];
        _rowSum = new float[rows];
        _columnMax = new float[rows];
        _columnSum = new float[rows];
    }

    /// <summary>Bytes that it takes beside embeddings and gradients.</summary>
    /// <param name="options">Which loss.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">E.</param>
    /// <returns>Bytes.</returns>
    public static long PredictByteCount(SimilarityCrossEntropyOptions options, int rows, int width) =>
        sizeof(float) * ((2L * rows * rows) + (options.Normalize ? 2L * rows * (width + 1) : 0) + (4L * rows));

    /// <summary>Loss and gradients.</summary>
    /// <param name="inputs">Captions, images, scale and bias.</param>
    /// <param name="gradients">The captions', the images' (=) and the scale's (+=).</param>
    /// <returns>The loss.</returns>
    public double Run(in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyGradients gradients)
    {
        Tensor captions = inputs.Captions;
        Tensor images = inputs.Images;
        if (_options.Normalize)
        {
            L2Norm.Forward(captions, _unitCaptions, _captionNorms);
            L2Norm.Forward(images, _unitImages, _imageNorms);
            captions = _unitCaptions;
            images = _unitImages;
        }

        float held = inputs.Scale.ToArray<float>()[0];
        bool logarithm = _options.Scale == SimilarityCrossEntropyScale.Logarithm;
        float scale = logarithm ? MathF.Min(MathF.Exp(held), _options.MaxScale) : held;
        float bias = inputs.Bias.IsPresent ? inputs.Bias.ToArray<float>()[0] : 0;
        MatMul.Run(captions, images, _logits, MatMulLayout.NT, scale);
        double loss = _options.Objective == SimilarityCrossEntropyObjective.Sigmoid ? Sigmoid(bias) : Softmax();

        // The scale's gradient: sum of gradients times similarities.
        double dScale = Sum(i => Dot(Row(_gradients, i), Row(_logits, i))) / (logarithm ? 1 : scale);
        gradients.DScale.AsSpan<float>()[0] += (float)dScale;
        MatMul.Run(_gradients, images, gradients.DCaptions, MatMulLayout.NN, scale);
        MatMul.Run(_gradients, captions, gradients.DImages, MatMulLayout.TN, scale);
        if (_options.Normalize)
        {
            L2Norm.Backward(gradients.DCaptions, _unitCaptions, _captionNorms, gradients.DCaptions);
            L2Norm.Backward(gradients.DImages, _unitImages, _imageNorms, gradients.DImages);
        }

        return loss;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor tensor in (Tensor[])[_logits, _gradients, _unitCaptions, _unitImages, _captionNorms, _imageNorms])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private static Span<float> Row(in Tensor matrix, int row) => matrix.Rows(row, 1).AsSpan<float>();

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        ReadOnlySpan<Vector<float>> left = MemoryMarshal.Cast<float, Vector<float>>(a);
        ReadOnlySpan<Vector<float>> right = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < left.Length; i++)
        {
            sums += left[i] * right[i];
        }

        float sum = Vector.Sum(sums);
        for (int i = left.Length * Vector<float>.Count; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }

    private void ForRows(Action<int> row) => Parallel.For(0, _rows, new ParallelOptions { MaxDegreeOfParallelism = _threads }, row);

    private double Sum(Func<int, double> term)
    {
        double[] terms = new double[_rows];
        ForRows(i => terms[i] = term(i));
        return terms.Sum();
    }

    private double Softmax()
    {
        bool rows = _options.Direction != SimilarityCrossEntropyDirection.ImageToCaption;
        bool columns = _options.Direction != SimilarityCrossEntropyDirection.CaptionToImage;
        float share = (rows && columns ? 0.5f : 1) / _rows;
        ForRows(RowStatistics);
        if (columns)
        {
            int blocks = (_rows + ColumnBlock - 1) / ColumnBlock;
            Parallel.For(0, blocks, new ParallelOptions { MaxDegreeOfParallelism = _threads }, ColumnStatistics);
        }

        double loss = 0;
        for (int i = 0; i < _rows; i++)
        {
            float positive = Row(_logits, i)[i];
            loss += share * (rows ? _rowMax[i] + Math.Log(_rowSum[i]) - positive : 0);
            loss += share * (columns ? _columnMax[i] + Math.Log(_columnSum[i]) - positive : 0);
        }

        ForRows(i => Gradient(i, rows ? share / _rowSum[i] : 0, columns ? share : 0, (rows && columns ? 2 : 1) * share));
        return loss;
    }

    private void RowStatistics(int row)
    {
        ReadOnlySpan<float> logits = Row(_logits, row);
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        int whole = vectors.Length * Vector<float>.Count;
        Vector<float> maxima = new(float.NegativeInfinity);
        for (int i = 0; i < vectors.Length; i++)
        {
            maxima = Vector.Max(maxima, vectors[i]);
        }

        float max = float.NegativeInfinity;
        for (int i = 0; i < Vector<float>.Count; i++)
        {
            max = MathF.Max(max, maxima[i]);
        }

        for (int i = whole; i < logits.Length; i++)
        {
            max = MathF.Max(max, logits[i]);
        }

        Vector<float> sums = Vector<float>.Zero;
        for (int i = 0; i < vectors.Length; i++)
        {
            sums += Vector.Exp(vectors[i] - new Vector<float>(max));
        }

        float sum = Vector.Sum(sums);
        for (int i = whole; i < logits.Length; i++)
        {
            sum += MathF.Exp(logits[i] - max);
        }

        _rowMax[row] = max;
        _rowSum[row] = sum;
    }

    private void ColumnStatistics(int block)
    {
        int start = block * ColumnBlock;
        int count = Math.Min(ColumnBlock, _rows - start);
        Span<float> max = _columnMax.AsSpan(start, count);
        Span<float> sum = _columnSum.AsSpan(start, count);
        max.Fill(float.NegativeInfinity);
        sum.Clear();
        Span<Vector<float>> maxima = MemoryMarshal.Cast<float, Vector<float>>(max);
        Span<Vector<float>> sums = MemoryMarshal.Cast<float, Vector<float>>(sum);
        int whole = maxima.Length * Vector<float>.Count;
        for (int i = 0; i < _rows; i++)
        {
            ReadOnlySpan<float> logits = Row(_logits, i).Slice(start, count);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            for (int j = 0; j < maxima.Length; j++)
            {
                maxima[j] = Vector.Max(maxima[j], vectors[j]);
            }

            for (int j = whole; j < count; j++)
            {
                max[j] = MathF.Max(max[j], logits[j]);
            }
        }

        for (int i = 0; i < _rows; i++)
        {
            ReadOnlySpan<float> logits = Row(_logits, i).Slice(start, count);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            for (int j = 0; j < maxima.Length; j++)
            {
                sums[j] += Vector.Exp(vectors[j] - maxima[j]);
            }

            for (int j = whole; j < count; j++)
            {
                sum[j] += MathF.Exp(logits[j] - max[j]);
            }
        }
    }

    private void Gradient(int row, float ofRow, float ofColumns, float positive)
    {
        ReadOnlySpan<float> logits = Row(_logits, row);
        Span<float> gradient = Row(_gradients, row);
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Span<Vector<float>> destination = MemoryMarshal.Cast<float, Vector<float>>(gradient);
        ReadOnlySpan<Vector<float>> columnMax = MemoryMarshal.Cast<float, Vector<float>>(_columnMax);
        ReadOnlySpan<Vector<float>> columnSum = MemoryMarshal.Cast<float, Vector<float>>(_columnSum);
        Vector<float> max = new(_rowMax[row]);
        for (int i = 0; i < vectors.Length; i++)
        {
            Vector<float> g = Vector<float>.Zero;
            if (ofRow != 0)
            {
                g += ofRow * Vector.Exp(vectors[i] - max);
            }

            if (ofColumns != 0)
            {
                g += ofColumns * Vector.Exp(vectors[i] - columnMax[i]) / columnSum[i];
            }

            destination[i] = g;
        }

        for (int i = vectors.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            gradient[i] = (ofRow == 0 ? 0 : ofRow * MathF.Exp(logits[i] - _rowMax[row]))
                + (ofColumns == 0 ? 0 : ofColumns * MathF.Exp(logits[i] - _columnMax[i]) / _columnSum[i]);
        }

        gradient[row] -= positive;
    }

    private double Sigmoid(float bias)
    {
        float share = 1f / _rows;
        return share * Sum(i =>
        {
            ReadOnlySpan<float> logits = Row(_logits, i);
            Span<float> gradient = Row(_gradients, i);
            ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
            Span<Vector<float>> destination = MemoryMarshal.Cast<float, Vector<float>>(gradient);
            Vector<float> losses = Vector<float>.Zero;
            for (int j = 0; j < vectors.Length; j++)
            {
                // softplus(x) = max(x, 0) + log(1 + exp(-|x|)), sigmoid(x) = 1 / (1 + exp(-x)).
                Vector<float> x = vectors[j] + new Vector<float>(bias);
                losses += Vector.Max(x, Vector<float>.Zero) + Vector.Log(Vector<float>.One + Vector.Exp(-Vector.Abs(x)));
                destination[j] = share * Vector<float>.One / (Vector<float>.One + Vector.Exp(-x));
            }

            double loss = Vector.Sum(losses);
            for (int j = vectors.Length * Vector<float>.Count; j < logits.Length; j++)
            {
                float x = logits[j] + bias;
                loss += MathF.Max(x, 0) + MathF.Log(1 + MathF.Exp(-MathF.Abs(x)));
                gradient[j] = share / (1 + MathF.Exp(-x));
            }

            // A positive: softplus(-x) = softplus(x) - x.
            loss -= logits[i] + bias;
            gradient[i] -= share;
            return loss;
        });
    }
}
