using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Multi-head self-attention over packed sequences of different lengths. Sequence s holds the tokens <c>cuSeqlens[s]</c> to
/// <c>cuSeqlens[s + 1] - 1</c> and attends to itself only: <c>output = softmax(q k^T / sqrt(HS)) v</c> for each head of size
/// HS = C / heads. There are no pads; a sequence's result has the same bits alone, in a batch, or beside much longer ones.
/// No T x T tensor outlives the call: the backward pass recomputes the probabilities from the row log-sum-exps. Deterministic on
/// every backend.
/// </summary>
/// <remarks>
/// Source: A. Vaswani et al., "Attention Is All You Need", 2017, equation 1; the recomputation from log-sum-exps: T. Dao et al.,
/// "FlashAttention", 2022, section 3.
/// </remarks>
public static class Attention
{
    /// <summary>Attends. No tokens and empty sequences are allowed.</summary>
    /// <param name="qkv">(N, 3C), float32 or bfloat16: queries, keys, values side by side, each head by head.</param>
    /// <param name="cuSeqlens">(S + 1), int32: 0, ascending, N. On CUDA the last may be less than N: the tokens behind it are neither read nor written, so that a captured graph serves any batch of its capacity.</param>
    /// <param name="output">(N, C), the type of <paramref name="qkv"/>; overwritten; must not overlap <paramref name="qkv"/>.</param>
    /// <param name="lse">(N, heads), float32: log-sum-exp of each query's scaled logits; overwritten.</param>
    /// <param name="heads">NH, a divisor of C.</param>
    /// <param name="causal">Whether a token attends only to itself and to those before it.</param>
    /// <param name="dropout">Drops probabilities after the softmax; the default drops none.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; (on the CPU) <paramref name="cuSeqlens"/> does not ascend from 0 to N; or the dropout's rate or site is out of range.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="heads"/> is below 1, does not divide C, or is above <see cref="DropoutSite.MaxHeads"/> with dropout.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation, or (CUDA) a head has more than 128 columns.</exception>
    public static void Forward(
        in Tensor qkv, in Tensor cuSeqlens, in Tensor output, in Tensor lse, int heads, bool causal = false, in DropoutSite dropout = default)
    {
        Device device = CheckCommon(qkv, cuSeqlens, output, lse, heads, dropout);
        using OperationTimer timer = OperationTimer.Start(device, "Attention.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuAttention.Forward(qkv, cuSeqlens, output, lse, heads, causal, dropout);
                break;
            case DeviceKind.Cuda:
                CudaAttention.Forward(qkv, cuSeqlens, output, lse, heads, causal, dropout);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradient of <see cref="Forward"/>.</summary>
    /// <param name="dOutput">(N, C), the type of <paramref name="qkv"/>.</param>
    /// <param name="qkv">(N, 3C), of the forward pass.</param>
    /// <param name="cuSeqlens">(S + 1), int32, of the forward pass.</param>
    /// <param name="output">(N, C), of the forward pass. (The CPU does not read it: it sums P dP directly.)</param>
    /// <param name="lse">(N, heads), float32, of the forward pass.</param>
    /// <param name="dQkv">(N, 3C), the type of <paramref name="qkv"/>; overwritten (=); must not overlap the other tensors.</param>
    /// <param name="heads">NH, of the forward pass.</param>
    /// <param name="causal">Of the forward pass.</param>
    /// <param name="dropout">Of the forward pass.</param>
    /// <exception cref="ArgumentException">As for <see cref="Forward"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException">As for <see cref="Forward"/>.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation, or (CUDA) a head has more than 128 columns.</exception>
    public static void Backward(
        in Tensor dOutput,
        in Tensor qkv,
        in Tensor cuSeqlens,
        in Tensor output,
        in Tensor lse,
        in Tensor dQkv,
        int heads,
        bool causal = false,
        in DropoutSite dropout = default)
    {
        Device device = CheckCommon(qkv, cuSeqlens, output, lse, heads, dropout);
        Check.Is(dOutput, output.Shape, qkv.DType, device);
        Check.Is(dQkv, qkv.Shape, qkv.DType, device);
        using OperationTimer timer = OperationTimer.Start(device, "Attention.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuAttention.Backward(dOutput, qkv, cuSeqlens, lse, dQkv, heads, causal, dropout);
                break;
            case DeviceKind.Cuda:
                CudaAttention.Backward(dOutput, qkv, cuSeqlens, output, lse, dQkv, heads, causal, dropout);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static Device CheckCommon(
        in Tensor qkv, in Tensor cuSeqlens, in Tensor output, in Tensor lse, int heads, in DropoutSite dropout)
    {
        Check.IsFloating(qkv, 2);
        Device device = qkv.Device;
        int n = qkv.Shape[0];
        if (qkv.Shape[1] % 3 != 0)
        {
            throw new ArgumentException($"qkv is {qkv}; queries, keys and values must be of equal width.", nameof(qkv));
        }

        int c = qkv.Shape[1] / 3;
        if (heads < 1 || c % heads != 0 || (dropout.IsActive && heads > DropoutSite.MaxHeads))
        {
            throw new ArgumentOutOfRangeException(nameof(heads), heads, $"The number of heads must divide the width {c}.");
        }

        Check.SequenceCount(cuSeqlens, device);
        Check.Is(output, new Shape(n, c), qkv.DType, device);
        Check.Is(lse, new Shape(n, heads), DType.Float32, device);
        dropout.CheckFor(n, device);
        return device;
    }
}
