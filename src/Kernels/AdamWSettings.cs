using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>The numbers of one optimiser step.</summary>
/// <param name="LearningRate">Of this step, before each tensor's own factor.</param>
/// <param name="Step">The step's number, from 1: the bias correction depends on it.</param>
/// <param name="Beta1">Decay of the first moment.</param>
/// <param name="Beta2">Decay of the second moment.</param>
/// <param name="Epsilon">Added to the root of the corrected second moment.</param>
public readonly record struct AdamWSettings(double LearningRate, int Step, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8)
{
    /// <summary>The length of what <see cref="Store"/> writes.</summary>
    public const int StoredLength = 8;

    /// <summary>
    /// Writes the numbers, bias corrections included, to the device, where
    /// <see cref="AdamW.Step(AdamWParameters, in Tensor, in Tensor)"/> reads them when it runs: a replayed graph makes the step whose
    /// numbers were written last. Allocates nothing on the managed heap.
    /// </summary>
    /// <param name="stored">(8), float32; overwritten.</param>
    /// <exception cref="ArgumentException"><paramref name="stored"/> is absent, or has another shape or type.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The step is below 1, or a setting is not a number of its range.</exception>
    public void Store(in Tensor stored)
    {
        if (!stored.IsPresent)
        {
            throw new ArgumentException($"stored is absent; it must be {DType.Float32} ({StoredLength}).", nameof(stored));
        }

        Check.Is(stored, new Shape(StoredLength), DType.Float32, stored.Device);
        Span<float> numbers = stackalloc float[StoredLength];
        Write(numbers);
        stored.CopyFrom<float>(numbers);
    }

    /// <summary>Writes the numbers that <see cref="Store"/> puts on the device, for who takes them there otherwise.</summary>
    /// <param name="numbers">(8); overwritten.</param>
    /// <exception cref="ArgumentException"><paramref name="numbers"/> has another length.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The step is below 1, or a setting is not a number of its range.</exception>
    public void Write(Span<float> numbers)
    {
        if (numbers.Length != StoredLength)
        {
            throw new ArgumentException($"There are {StoredLength} numbers, and room for {numbers.Length}.", nameof(numbers));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(Step, 1);
        if (!(Beta1 >= 0 && Beta1 < 1 && Beta2 >= 0 && Beta2 < 1 && Epsilon >= 0) || !double.IsFinite(LearningRate))
        {
            throw new ArgumentOutOfRangeException(
                nameof(numbers), this, "Betas lie from 0 to less than 1, epsilon is not negative, the learning rate is finite.");
        }

        numbers[0] = (float)LearningRate;
        numbers[1] = (float)(LearningRate / (1 - Math.Pow(Beta1, Step)));
        numbers[2] = (float)Beta1;
        numbers[3] = (float)(1 - Beta1);
        numbers[4] = (float)Beta2;
        numbers[5] = (float)(1 - Beta2);
        numbers[6] = (float)(1 / Math.Sqrt(1 - Math.Pow(Beta2, Step)));
        numbers[7] = (float)Epsilon;
    }
}
