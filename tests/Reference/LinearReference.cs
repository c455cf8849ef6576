using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// A linear layer, <c>y = x W^T + b</c>, and its gradients <c>dx = dy W</c>, <c>dW = dy^T x</c>, <c>db = sum of dy over rows</c>. In double the
/// reference; in float the naive twin whose error sets the budget.
/// </summary>
public static class LinearReference
{
    public static T[] Forward<T>(T[] input, T[] weight, T[] bias, int n, int inputs, int outputs)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = MatMulReference.Run(input, weight, [], n, outputs, inputs, transposeA: false, transposeB: true, T.One);
        for (int i = 0; i < output.Length && bias.Length > 0; i++)
        {
            output[i] += bias[i % outputs];
        }

        return output;
    }

    public static (T[] DInput, T[] DWeight, T[] DBias) Backward<T>(T[] dOutput, T[] input, T[] weight, int n, int inputs, int outputs)
        where T : IFloatingPointIeee754<T>
    {
        T[] dBias = new T[outputs];
        for (int i = 0; i < n * outputs; i++)
        {
            dBias[i % outputs] += dOutput[i];
        }

        return (
            MatMulReference.Run(dOutput, weight, [], n, inputs, outputs, transposeA: false, transposeB: false, T.One),
            MatMulReference.Run(dOutput, input, [], outputs, inputs, n, transposeA: true, transposeB: false, T.One),
            dBias);
    }
}
