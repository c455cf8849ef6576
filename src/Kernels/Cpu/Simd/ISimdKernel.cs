using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Simd;

/// <summary>One task of an operation, written once and compiled for each vector width and storage type.</summary>
internal unsafe interface ISimdKernel
{
    /// <summary>Computes one partition.</summary>
    /// <param name="task">Which partition.</param>
    /// <param name="state">The operation's arguments, on the stack of the thread that called <see cref="WorkerPool.Run"/>.</param>
    static abstract void Run<TVector, TElement>(int task, void* state)
        where TVector : unmanaged, ISimdFloat<TVector>
        where TElement : unmanaged, ISimdElement;
}

/// <summary>Chooses the compiled form of an <see cref="ISimdKernel"/> for this processor.</summary>
internal static unsafe class SimdKernel
{
    /// <summary>The form for the processor's tier and a storage type.</summary>
    /// <typeparam name="TKernel">The kernel.</typeparam>
    /// <param name="dtype">How the tensors are stored.</param>
    /// <returns>A task for <see cref="WorkerPool.Run"/>.</returns>
    /// <exception cref="NotSupportedException">The storage type is neither float32 nor bfloat16.</exception>
    public static delegate*<int, void*, void> For<TKernel>(DType dtype)
        where TKernel : ISimdKernel => (CpuFeatures.Tier, dtype) switch
        {
            (SimdTier.Vector512, DType.Float32) => &TKernel.Run<Float512, Float32Element>,
            (SimdTier.Vector256, DType.Float32) => &TKernel.Run<Float256, Float32Element>,
            (SimdTier.Vector128, DType.Float32) => &TKernel.Run<Float128, Float32Element>,
            (SimdTier.Scalar, DType.Float32) => &TKernel.Run<FloatScalar, Float32Element>,
            (SimdTier.Vector512, DType.BFloat16) => &TKernel.Run<Float512, BFloat16Element>,
            (SimdTier.Vector256, DType.BFloat16) => &TKernel.Run<Float256, BFloat16Element>,
            (SimdTier.Vector128, DType.BFloat16) => &TKernel.Run<Float128, BFloat16Element>,
            (SimdTier.Scalar, DType.BFloat16) => &TKernel.Run<FloatScalar, BFloat16Element>,
            _ => throw new NotSupportedException($"{dtype} is not a storage type of {typeof(TKernel).Name}."),
        };

    /// <summary>The same, with float32 elements rounded to bfloat16 as they are read where that is asked for.</summary>
    /// <typeparam name="TKernel">The kernel.</typeparam>
    /// <param name="dtype">How the tensors are stored.</param>
    /// <param name="round">Whether to round (<see cref="MatMulPrecision.BFloat16"/>).</param>
    /// <returns>A task for <see cref="WorkerPool.Run"/>.</returns>
    /// <exception cref="NotSupportedException">The storage type is neither float32 nor bfloat16.</exception>
    public static delegate*<int, void*, void> For<TKernel>(DType dtype, bool round)
        where TKernel : ISimdKernel => !round || dtype != DType.Float32 ? For<TKernel>(dtype) : CpuFeatures.Tier switch
        {
            SimdTier.Vector512 => &TKernel.Run<Float512, RoundedElement>,
            SimdTier.Vector256 => &TKernel.Run<Float256, RoundedElement>,
            SimdTier.Vector128 => &TKernel.Run<Float128, RoundedElement>,
            _ => &TKernel.Run<FloatScalar, RoundedElement>,
        };
}
