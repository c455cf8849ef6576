using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>The matrix products of a super-tile: similarities, and the two that add to the gradients.</summary>
internal static unsafe class CpuSimilarityProducts
{
    /// <summary>Takes what the products need of the workspace.</summary>
    public static void Lay(ref CpuSimilarityState state, int tileRows, int tileColumns, int width, nint address, ref long offset)
    {
        state.LeftPanels = null;
        state.RightPanels = null;
    }

    /// <summary><c>tile = captions images^T</c>.</summary>
    public static void Similarities(CpuSimilarityState* s, WorkerPool workers) =>
        workers.Run(s->TileRows, SimdKernel.For<SimilarityKernel>(s->DType), s);

    /// <summary><c>dCaptions += tile images</c>, <c>dImages += tile^T captions</c>, where they are wanted.</summary>
    public static void AddGradients(CpuSimilarityState* s, WorkerPool workers)
    {
        if (s->DCaptions != null)
        {
            workers.Run(s->TileRows, SimdKernel.For<CaptionKernel>(s->DType), s);
        }

        if (s->DImages != null)
        {
            workers.Run(s->TileColumns, SimdKernel.For<ImageKernel>(s->DType), s);
        }
    }

    private readonly struct SimilarityKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            for (int j = 0; j < s->TileColumns; j++)
            {
                s->Tile[((nint)task * s->TileColumns) + j] = (float)CpuSimilarityLines.Dot<TElement, TElement>(
                    s->Captions, (long)task * s->E, s->Images, (long)j * s->E, s->Width);
            }
        }
    }

    private readonly struct CaptionKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            for (int j = 0; j < s->TileColumns; j++)
            {
                float g = s->Tile[((nint)task * s->TileColumns) + j];
                Add<TElement>(s->DCaptions + ((nint)task * s->E), g, s->Images, (long)j * s->E, s->Width);
            }
        }
    }

    private readonly struct ImageKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            CpuSimilarityState* s = (CpuSimilarityState*)state;
            for (int i = 0; i < s->TileRows; i++)
            {
                float g = s->Tile[((nint)i * s->TileColumns) + task];
                Add<TElement>(s->DImages + ((nint)task * s->E), g, s->Captions, (long)i * s->E, s->Width);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TElement>(float* sum, float factor, void* source, long at, int width)
        where TElement : unmanaged, ISimdElement
    {
        for (int e = 0; e < width; e++)
        {
            sum[e] = MathF.FusedMultiplyAdd(factor, TElement.LoadScalar(source, at + e), sum[e]);
        }
    }
}
