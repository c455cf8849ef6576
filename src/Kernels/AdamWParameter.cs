using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// One tensor that <see cref="AdamW"/> trains, with its gradient and its state; <see cref="AdamWParameters"/> has all of them.
/// </summary>
public sealed class AdamWParameter
{
    /// <summary>A parameter with a dense gradient.</summary>
    /// <param name="weight">Any shape, float32: the master weights; updated by each step.</param>
    /// <param name="gradient">The shape of <paramref name="weight"/>, float32; only read.</param>
    /// <param name="firstMoment">The shape of <paramref name="weight"/>, float32; zero before the first step.</param>
    /// <param name="secondMoment">The shape of <paramref name="weight"/>, float32; zero before the first step.</param>
    /// <param name="weightCopy">The shape of <paramref name="weight"/>, bfloat16: the rounded weights, kept up to date by each step; absent for none. It must hold them before the first step (<see cref="Cast.Run"/>).</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    public AdamWParameter(in Tensor weight, in Tensor gradient, in Tensor firstMoment, in Tensor secondMoment, in Tensor weightCopy = default)
        : this(weight, firstMoment, secondMoment, weightCopy)
    {
        Check.Is(gradient, weight.Shape, DType.Float32, weight.Device);
        Gradient = gradient;
    }

    /// <summary>A table whose gradient names the touched rows alone; the step has the bits of a dense one.</summary>
    /// <param name="weight">(V, C), float32: the master weights; updated by each step.</param>
    /// <param name="gradient">Of <paramref name="weight"/>; only read.</param>
    /// <param name="firstMoment">(V, C), float32; zero before the first step.</param>
    /// <param name="secondMoment">(V, C), float32; zero before the first step.</param>
    /// <param name="weightCopy">(V, C), bfloat16, as for a dense gradient; absent for none.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    public AdamWParameter(in Tensor weight, in RowSparseGradient gradient, in Tensor firstMoment, in Tensor secondMoment, in Tensor weightCopy = default)
        : this(weight, firstMoment, secondMoment, weightCopy)
    {
        if (weight.Shape.Rank != 2)
        {
            throw new ArgumentException($"weight is {weight}; only a table of rows has a row-sparse gradient.", nameof(weight));
        }

        Tensor values = gradient.Values;
        if (!values.IsPresent || values.Shape.Rank != 2)
        {
            throw new ArgumentException($"gradient.Values is {values}; it must be Float32 (K, {weight.Shape[1]}).", nameof(gradient));
        }

        Tensor rowIds = gradient.RowIds;
        Tensor rowCount = gradient.RowCount;
        Check.Is(values, new Shape(values.Shape[0], weight.Shape[1]), DType.Float32, weight.Device);
        Check.Is(rowIds, new Shape(values.Shape[0]), DType.Int32, weight.Device);
        Check.Is(rowCount, new Shape(1), DType.Int32, weight.Device);
        SparseGradient = gradient;
    }

    private AdamWParameter(in Tensor weight, in Tensor firstMoment, in Tensor secondMoment, in Tensor weightCopy)
    {
        if (!weight.IsPresent || weight.DType != DType.Float32)
        {
            throw new ArgumentException($"weight is {weight}; it must be Float32.", nameof(weight));
        }

        Check.Is(firstMoment, weight.Shape, DType.Float32, weight.Device);
        Check.Is(secondMoment, weight.Shape, DType.Float32, weight.Device);
        Check.IsOrAbsent(weightCopy, weight.Shape, DType.BFloat16, weight.Device);
        Weight = weight;
        FirstMoment = firstMoment;
        SecondMoment = secondMoment;
        WeightCopy = weightCopy;
    }

    /// <summary>The master weights, float32.</summary>
    public Tensor Weight { get; }

    /// <summary>The dense gradient; absent where it is sparse.</summary>
    public Tensor Gradient { get; }

    /// <summary>The gradient of the touched rows; not present where it is dense.</summary>
    public RowSparseGradient SparseGradient { get; }

    /// <summary>The running mean of gradients, float32.</summary>
    public Tensor FirstMoment { get; }

    /// <summary>The running mean of squared gradients, float32.</summary>
    public Tensor SecondMoment { get; }

    /// <summary>The rounded weights, bfloat16; absent for none.</summary>
    public Tensor WeightCopy { get; }

    /// <summary>What the step's learning rate is multiplied by for this tensor.</summary>
    public double LearningRateFactor { get; set; } = 1;

    /// <summary>The decoupled weight decay; with 0 the step is plain Adam's.</summary>
    public double WeightDecay { get; set; }

    /// <summary>An upper bound that the step's result is cut to: the clamp of a learned multiplier.</summary>
    public float Maximum { get; set; } = float.PositiveInfinity;
}
