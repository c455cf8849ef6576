using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>Embeddings, gradients and scalars of a case.</summary>
internal sealed class LossProfileTensors : IDisposable
{
    // Similarities of related rows, and a scale at which a softmax over thousands of rows is neither flat nor saturated.
    private const float Temperature = 0.07f;

    // Numbers that are copied to a device at once, or a row of them.
    private const int CopiedFloats = 1 << 20;

    private readonly List<Tensor> _taken = [];

    public LossProfileTensors(Device device, LossProfileCase profiled)
    {
        Shape shape = new(profiled.BatchSize, profiled.Width);
        SimilarityCrossEntropyOptions options = profiled.Options;
        Tensor captions = Take(shape);
        Tensor images = Take(shape);
        Fill(captions, images);
        float scale = options.Normalize ? 1 / Temperature : 1 / MathF.Sqrt(profiled.Width);
        Tensor groups = default;
        if (profiled.Variant.HasGroups)
        {
            groups = device.NewTensor(DType.Int32, new Shape(profiled.BatchSize));
            _taken.Add(groups);
            groups.CopyFrom<int>([.. Enumerable.Range(0, profiled.BatchSize).Select(i => i / 2)]);
        }

        Inputs = new SimilarityCrossEntropyInputs
        {
            Captions = captions,
            Images = images,
            Scale = Scalar(options.Scale == SimilarityCrossEntropyScale.Logarithm ? MathF.Log(scale) : scale),
            Bias = profiled.Variant.HasBias ? Scalar(-10) : default,
            CaptionGroups = groups,
            ImageGroups = groups,
        };
        Outputs = new SimilarityCrossEntropyOutputs { Loss = Scalar(0) };
        Gradients = new SimilarityCrossEntropyGradients
        {
            DCaptions = profiled.Variant.LocksCaptions ? default : Take(shape),
            DImages = profiled.Variant.LocksImages ? default : Take(shape),
            DScale = Scalar(0),
            DBias = profiled.Variant.HasBias ? Scalar(0) : default,
        };

        Tensor Take(Shape wanted)
        {
            Tensor tensor = device.NewTensor(DType.Float32, wanted);
            _taken.Add(tensor);
            return tensor;
        }

        Tensor Scalar(float value)
        {
            Tensor tensor = Take(new Shape(1));
            tensor.CopyFrom<float>([value]);
            return tensor;
        }
    }

    public SimilarityCrossEntropyInputs Inputs { get; }

    public SimilarityCrossEntropyOutputs Outputs { get; }

    public SimilarityCrossEntropyGradients Gradients { get; }

    public void Dispose()
    {
        foreach (Tensor tensor in _taken)
        {
            tensor.Memory.Dispose();
        }
    }

    // Matching rows look alike, as in training. Some rows at a time: the case's memory was predicted without copies.
    private static void Fill(in Tensor captions, in Tensor images)
    {
        int width = captions.Shape[1];
        int rows = Math.Clamp(CopiedFloats / width, 1, captions.Shape[0]);
        CounterRandom random = new(1, 0x105, 0);
        float[] left = new float[rows * width];
        float[] right = new float[rows * width];
        for (int first = 0; first < captions.Shape[0]; first += rows)
        {
            int count = Math.Min(rows, captions.Shape[0] - first);
            for (int i = 0; i < count * width; i++)
            {
                left[i] = random.NextNormal();
                right[i] = (0.5f * left[i]) + random.NextNormal();
            }

            captions.Rows(first, count).CopyFrom<float>(left.AsSpan(0, count * width));
            images.Rows(first, count).CopyFrom<float>(right.AsSpan(0, count * width));
        }
    }
}
