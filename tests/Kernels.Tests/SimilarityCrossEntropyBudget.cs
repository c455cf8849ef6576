using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// The error budget of the fused loss: each output against the double reference, with the naive float32 form as the twin. Tensors of many
/// rows have the house's budget of one twin. A scalar is one draw of the twin's rounding, and so, nearly, is a tensor of a handful of rows: right by luck as
/// often as not. There the twin runs with its coordinates in several orders, which changes nothing but rounding, and the worst error counts.
/// </summary>
public static class SimilarityCrossEntropyBudget
{
    private const int Orders = 8;

    // From here on the largest of a tensor's errors is that of many draws.
    private const int ManyRows = 32;

    // A row's loss is the logarithm of a sum that is at least 1, so no float32 softmax promises more than half a unit in the last
    // place of 1, which is four units in the last place of this.
    private const double SmallestLoss = 0.125;

    /// <summary>What is wrong with a result, or null.</summary>
    /// <param name="x">The problem.</param>
    /// <param name="expected">The reference's result.</param>
    /// <param name="actual">The operation's.</param>
    /// <param name="precision">BFloat16 or Tf32: the twin rounds what enters its products, and a scalar, which is one draw of that rounding, has the last places of that type.</param>
    public static string? Explain(
        SimilarityCrossEntropyCase x, SimilarityCrossEntropyResult<double> expected, SimilarityCrossEntropyResult<float> actual, MatMulPrecision precision = MatMulPrecision.Float32)
    {
        Converter<float, float>? operand = precision switch
        {
            MatMulPrecision.BFloat16 => v => BFloat16.FromSingle(v).ToSingle(),
            MatMulPrecision.Tf32 => v => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(v) + 0x1000) & 0xFFFFE000),
            _ => null,
        };
        int scalar = precision switch { MatMulPrecision.BFloat16 => 7, MatMulPrecision.Tf32 => 10, _ => 23 };

        // Prefixes are sets of coordinates: places are changed between one prefix's end and the next.
        int[] ends = [0, .. x.Options.Prefixes.Select(p => p.Width).Append(x.E).Distinct().Order()];
        int orders = (long)x.B * x.K > 1_000_000 ? 1 : Orders;
        SimilarityCrossEntropyResult<float> worst = SimilarityCrossEntropyReference.Run(x.ToFloat() with { Operand = operand });
        for (int order = 1; order < orders; order++)
        {
            SimilarityCrossEntropyCase rotated = x with
            {
                Captions = Rotate(x.Captions, x.E, ends, order),
                Images = Rotate(x.Images, x.E, ends, order),
                Extra = Rotate(x.Extra, x.E, ends, order),
            };
            SimilarityCrossEntropyResult<float> twin = SimilarityCrossEntropyReference.Run(rotated.ToFloat() with { Operand = operand });
            worst.Loss = Worse(expected.Loss, worst.Loss, twin.Loss);
            worst.DScale = Worse(expected.DScale, worst.DScale, twin.DScale);
            worst.DBias = Worse(expected.DBias, worst.DBias, twin.DBias);
            if (Math.Min(x.B, x.K) >= ManyRows)
            {
                continue;
            }

            Worse(expected.RowLoss, worst.RowLoss, twin.RowLoss);
            Worse(expected.ColumnLoss, worst.ColumnLoss, twin.ColumnLoss);
            Worse(expected.DCaptions, worst.DCaptions, Rotate(twin.DCaptions, x.E, ends, -order));
            Worse(expected.DImages, worst.DImages, Rotate(twin.DImages, x.E, ends, -order));
            Worse(expected.DExtra, worst.DExtra, Rotate(twin.DExtra, x.E, ends, -order));
        }

        return Scalar("loss", expected.Loss, worst.Loss, actual.Loss, ErrorBudget.ForwardFactor, scalar, SmallestLoss)
            ?? Explain("rowLoss", expected.RowLoss, worst.RowLoss, actual.RowLoss, ErrorBudget.ForwardFactor)
            ?? Explain("columnLoss", expected.ColumnLoss, worst.ColumnLoss, actual.ColumnLoss, ErrorBudget.ForwardFactor)
            ?? (x.LockCaptions ? null : Explain("dCaptions", expected.DCaptions, worst.DCaptions, actual.DCaptions, ErrorBudget.BackwardFactor))
            ?? (x.LockImages ? null : Explain("dImages", expected.DImages, worst.DImages, actual.DImages, ErrorBudget.BackwardFactor))
            ?? (x.X == 0 ? null : Explain("dExtra", expected.DExtra, worst.DExtra, actual.DExtra, ErrorBudget.BackwardFactor))
            ?? Scalar("dScale", expected.DScale, worst.DScale, actual.DScale, ErrorBudget.BackwardFactor, scalar, ScaleTerms(x, expected))
            ?? (x.Bias is null ? null : Scalar("dBias", expected.DBias, worst.DBias, actual.DBias, ErrorBudget.BackwardFactor, scalar));
    }

    private static string? Explain(string what, double[] expected, float[] twin, float[] actual, double factor) =>
        ErrorBudget.Explain(expected, twin, actual, DType.Float32, factor, what);

    /// <summary>A scalar is a sum of terms that may cancel: units in the last place are those of <paramref name="size"/>, the largest magnitude on the way.</summary>
    private static string? Scalar(string what, double expected, float twin, float actual, double factor, int fractionBits, double size = 0)
    {
        float sized = (float)Math.Max(Math.Abs(size), Math.Abs(expected));
        if (fractionBits is 23 or 7)
        {
            return ErrorBudget.Explain([expected, sized], [twin, sized], [actual, sized], fractionBits == 7 ? DType.BFloat16 : DType.Float32, factor, what);
        }

        double tolerance = (factor * Math.Abs(twin - expected)) + (4 * Math.ScaleB(1, Math.ILogB(sized) - fractionBits));
        return Math.Abs(actual - expected) <= tolerance
            ? null
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{what} is {actual:G9}, expected {expected:G9} (tolerance {tolerance:G3}).");
    }

    private static float Worse(double expected, float a, float b) => Math.Abs(b - expected) > Math.Abs(a - expected) ? b : a;

    private static void Worse(double[] expected, float[] a, float[] b)
    {
        for (int i = 0; i < a.Length; i++)
        {
            a[i] = Worse(expected[i], a[i], b[i]);
        }
    }

    private static float[] Rotate(float[] rows, int e, int[] ends, int shift)
    {
        float[] rotated = new float[rows.Length];
        for (int row = 0; row < rows.Length; row += e)
        {
            for (int segment = 1; segment < ends.Length; segment++)
            {
                int start = row + ends[segment - 1];
                int length = ends[segment] - ends[segment - 1];
                for (int i = 0; i < length; i++)
                {
                    rotated[start + i] = rows[start + ((((i + shift) % length) + length) % length)];
                }
            }
        }

        return rotated;
    }

    /// <summary>The largest magnitude among the terms that the scale's gradient is the sum of: a line's inner product with its gradient.</summary>
    private static double ScaleTerms(SimilarityCrossEntropyCase x, SimilarityCrossEntropyResult<double> expected)
    {
        double largestRow = 0;
        double largestGradient = 0;
        for (int i = 0; i < x.K; i++)
        {
            double row = 0;
            double gradient = 0;
            for (int e = 0; e < x.E; e++)
            {
                row += Math.Pow(x.Images[(i * x.E) + e], 2);
                gradient += Math.Pow(expected.DImages[(i * x.E) + e], 2);
            }

            largestRow = Math.Max(largestRow, row);
            largestGradient = Math.Max(largestGradient, gradient);
        }

        double s = x.Options.Scale == SimilarityCrossEntropyScale.Logarithm ? 1 : Math.Max(Math.Abs(x.Scale), 1e-3);
        return Math.Sqrt(largestRow * largestGradient) / s;
    }

    /// <summary>Runs a case and compares with the reference within the budget.</summary>
    public static SimilarityCrossEntropyResult<float> Check(Backend backend, SimilarityCrossEntropyCase x)
    {
        SimilarityCrossEntropyResult<float> actual = x.Run(backend, out _);
        string? wrong = Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), actual);
        Assert.True(wrong is null, wrong);
        return actual;
    }

    /// <summary>Within 1e-4 of the largest: for numbers whose naive twin leaves float32's range.</summary>
    public static void AssertNear(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual)
    {
        double largest = 0;
        foreach (double value in expected)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs(expected[i] - actual[i]) <= (1e-4 * largest) + float.Epsilon, $"{i}: {actual[i]}, expected {expected[i]}");
        }
    }
}
