using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// The contrastive loss as it is usually written, to compare with: the whole matrix of logits and the whole matrix of their gradients lie in
/// memory, and sweeps go over them. Its products are the same as everywhere, and it uses all threads and vectors: what differs is the
/// algorithm. A mask is one more sweep that writes minus infinity into the logits; prefixes are copied out and taken one after the other.
/// </summary>
internal sealed class NaiveContrastiveLoss : IDisposable
{
    private readonly SimilarityCrossEntropyOptions _options;
    private readonly NaiveSweeps _sweeps;
    private readonly Tensor _captions;
    private readonly Tensor _images;
    private readonly Tensor _dCaptions;
    private readonly Tensor _dImages;
    private readonly Tensor _unitCaptions;
    private readonly Tensor _unitImages;
    private readonly Tensor _captionNorms;
    private readonly Tensor _imageNorms;
    private readonly Tensor _logits;
    private readonly Tensor _gradients;
    private readonly int _rows;

    /// <summary>Takes the memory.</summary>
    /// <param name="device">A CPU device.</param>
    /// <param name="options">Which loss.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">E.</param>
    /// <param name="threads">Threads that sweep.</param>
    public NaiveContrastiveLoss(CpuDevice device, SimilarityCrossEntropyOptions options, int rows, int width, int threads)
    {
        _options = options;
        _rows = rows;
        Shape matrix = new(rows, rows);
        Shape side = new(rows, width);
        _logits = device.NewTensor(DType.Float32, matrix);
        _gradients = device.NewTensor(DType.Float32, matrix);
        if (options.Prefixes.Count > 0)
        {
            _captions = device.NewTensor(DType.Float32, side);
            _images = device.NewTensor(DType.Float32, side);
            _dCaptions = device.NewTensor(DType.Float32, side);
            _dImages = device.NewTensor(DType.Float32, side);
        }

        if (options.Normalize)
        {
            _unitCaptions = device.NewTensor(DType.Float32, side);
            _unitImages = device.NewTensor(DType.Float32, side);
            _captionNorms = device.NewTensor(DType.Float32, new Shape(rows));
            _imageNorms = device.NewTensor(DType.Float32, new Shape(rows));
        }

        _sweeps = new NaiveSweeps(options, _logits, _gradients, threads);
    }

    /// <summary>Bytes that it takes beside embeddings and gradients.</summary>
    /// <param name="options">Which loss.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">E.</param>
    /// <returns>Bytes.</returns>
    public static long PredictByteCount(SimilarityCrossEntropyOptions options, int rows, int width) =>
        sizeof(float) * ((2L * rows * rows) + (options.Prefixes.Count > 0 ? 4L * rows * width : 0) + (options.Normalize ? 2L * rows * (width + 1) : 0) + (4L * rows));

    /// <summary>Loss and gradients.</summary>
    /// <param name="inputs">Captions, images, scale, bias and groups.</param>
    /// <param name="gradients">The captions' and the images' (=; absent for a locked tower) and the scale's (+=).</param>
    /// <returns>The loss.</returns>
    public double Run(in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyGradients gradients)
    {
        float held = inputs.Scale.ToArray<float>()[0];
        bool logarithm = _options.Scale == SimilarityCrossEntropyScale.Logarithm;
        float scale = logarithm ? MathF.Min(MathF.Exp(held), _options.MaxScale) : held;
        float bias = inputs.Bias.IsPresent ? inputs.Bias.ToArray<float>()[0] : 0;
        _sweeps.SetGroups(inputs.CaptionGroups.IsPresent ? inputs.CaptionGroups.ToArray<int>() : []);
        double dScale = 0;
        double loss = 0;
        if (_options.Prefixes.Count == 0)
        {
            loss = RunWidth(inputs.Captions, inputs.Images, gradients.DCaptions, gradients.DImages, scale, bias, 1, ref dScale);
        }
        else
        {
            Clear(gradients.DCaptions);
            Clear(gradients.DImages);
            foreach (SimilarityCrossEntropyPrefix prefix in _options.Prefixes)
            {
                Shape shape = new(_rows, prefix.Width);
                Tensor captions = First(_captions, shape);
                Tensor images = First(_images, shape);
                Tensor dCaptions = gradients.DCaptions.IsPresent ? First(_dCaptions, shape) : default;
                Tensor dImages = gradients.DImages.IsPresent ? First(_dImages, shape) : default;
                CopyPrefix(inputs.Captions, captions);
                CopyPrefix(inputs.Images, images);
                loss += RunWidth(captions, images, dCaptions, dImages, scale, bias, prefix.Weight, ref dScale);
                AddPrefix(dCaptions, gradients.DCaptions);
                AddPrefix(dImages, gradients.DImages);
            }
        }

        gradients.DScale.AsSpan<float>()[0] += (float)(dScale / (logarithm ? 1 : scale));
        return loss;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor tensor in (Tensor[])[_logits, _gradients, _captions, _images, _dCaptions, _dImages, _unitCaptions, _unitImages, _captionNorms, _imageNorms])
        {
            if (tensor.IsPresent)
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private double RunWidth(
        in Tensor captions, in Tensor images, in Tensor dCaptions, in Tensor dImages, float scale, float bias, float weight, ref double dScale)
    {
        Tensor left = captions;
        Tensor right = images;
        if (_options.Normalize)
        {
            left = First(_unitCaptions, captions.Shape);
            right = First(_unitImages, images.Shape);
            L2Norm.Forward(captions, left, _captionNorms);
            L2Norm.Forward(images, right, _imageNorms);
        }

        MatMul.Run(left, right, _logits, MatMulLayout.NT, scale);
        double loss = _sweeps.Run(scale, bias, weight);

        // The scale's gradient: sum of gradients times similarities.
        dScale += _sweeps.SumOfProducts();
        if (dCaptions.IsPresent)
        {
            MatMul.Run(_gradients, right, dCaptions, MatMulLayout.NN, scale);
        }

        if (dImages.IsPresent)
        {
            MatMul.Run(_gradients, left, dImages, MatMulLayout.TN, scale);
        }

        if (_options.Normalize && dCaptions.IsPresent)
        {
            L2Norm.Backward(dCaptions, left, _captionNorms, dCaptions);
        }

        if (_options.Normalize && dImages.IsPresent)
        {
            L2Norm.Backward(dImages, right, _imageNorms, dImages);
        }

        return loss;
    }

    private static Tensor First(in Tensor memory, Shape shape) => new(memory.Memory, memory.ByteOffset, memory.DType, shape);

    private static void Clear(in Tensor tensor)
    {
        if (tensor.IsPresent)
        {
            tensor.AsSpan<float>().Clear();
        }
    }

    private static void CopyPrefix(in Tensor from, in Tensor to)
    {
        int width = to.Shape[1];
        int stride = from.Shape[1];
        ReadOnlySpan<float> source = from.AsSpan<float>();
        Span<float> destination = to.AsSpan<float>();
        for (int row = 0; row < to.Shape[0]; row++)
        {
            source.Slice(row * stride, width).CopyTo(destination[(row * width)..]);
        }
    }

    private static void AddPrefix(in Tensor from, in Tensor to)
    {
        if (!to.IsPresent)
        {
            return;
        }

        int width = from.Shape[1];
        int stride = to.Shape[1];
        for (int row = 0; row < to.Shape[0]; row++)
        {
            Span<float> sums = to.AsSpan<float>().Slice(row * stride, width);
            ReadOnlySpan<float> more = from.AsSpan<float>().Slice(row * width, width);
            for (int i = 0; i < width; i++)
            {
                sums[i] += more[i];
            }
        }
    }
}
