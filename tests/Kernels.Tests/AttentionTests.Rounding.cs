using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests;

/// <content>Roundings that no budget of single elements can tell from others.</content>
public abstract partial class AttentionTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ProbabilitiesAreRoundedToNearestAndNotTowardsZero(bool causal)
    {
        // Cut off instead of rounded, what a product is fed with loses 0.14 % on the average, which shows over some thousand elements; in
        // groups of eight rows, as the tensor cores hold their operands.
        const int Size = 64;
        Inputs x = new(DType.BFloat16, 1, Size, causal, [48, 33, 64]);
        float[] output = backend.Download(RunForward(backend, x).Output);
        float[] gradient = backend.Download(RunBackward(backend, x));
        (double[] expected, _) = AttentionReference.Forward(TestData.ToDouble(x.Qkv), x.Ends, x.C, 1, causal);
        double[] expectedGradient = AttentionReference.Backward(TestData.ToDouble(x.DOutput), TestData.ToDouble(x.Qkv), x.Ends, x.C, 1, causal);
        AssertNothingShrinks("output", 2.5e-4, expected, output, Size, 0);

        // The rounded output is in every term of a row of dQ and of dK alike: of that error less averages out.
        foreach ((int part, string name, double most) in (ReadOnlySpan<(int, string, double)>)[(0, "dQ", 6e-4), (1, "dK", 6e-4), (2, "dV", 2.5e-4)])
        {
            AssertNothingShrinks(name, most, expectedGradient, gradient, 3 * Size, part * Size);
        }

        void AssertNothingShrinks(string what, double most, double[] right, float[] actual, int stride, int first)
        {
            Span<double> products = stackalloc double[2];
            Span<double> squares = stackalloc double[2];
            for (int s = 0; s + 1 < x.Ends.Length; s++)
            {
                for (int token = x.Ends[s]; token < x.Ends[s + 1]; token++)
                {
                    int group = (token - x.Ends[s]) / 8 % 2;
                    for (int i = (token * stride) + first; i < (token * stride) + first + Size; i++)
                    {
                        products[group] += actual[i] * right[i];
                        squares[group] += right[i] * right[i];
                    }
                }
            }

            for (int group = 0; group < 2; group++)
            {
                double slope = products[group] / squares[group];
                Assert.True(Math.Abs(slope - 1) < most, $"{what}, rows {8 * group} to {(8 * group) + 7} of 16: {slope - 1:E2} of it too much");
            }
        }
    }
}
