using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Embeddings on the CPU. The gradients sort the tokens by row number (<see cref="RowScatter"/>), so each row is summed by one
/// task, in the tokens' order.
/// </summary>
internal static unsafe class CpuEmbedding
{
    private const int MinElementsPerPartition = 16384;

    public static void Forward(
        in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor word, in Tensor position, in Tensor type, in Tensor output)
    {
        CpuDevice device = (CpuDevice)output.Device;
        int n = output.Shape[0];
        int c = output.Shape[1];
        RowScatter.CheckRange(ids, word.Shape[0], nameof(ids));
        RowScatter.CheckRange(positions, position.Shape[0], nameof(positions));
        if (typeIds.IsPresent)
        {
            RowScatter.CheckRange(typeIds, type.Shape[0], nameof(typeIds));
        }
        else if (type.IsPresent && type.Shape[0] == 0 && n > 0)
        {
            throw new ArgumentException("The table of types has no row 0.", nameof(type));
        }

        State state = new()
        {
            Partition = new RowPartition(n, Math.Max(1, MinElementsPerPartition / Math.Max(c, 1))),
            C = c,
            Ids = ids.Pointer<int>(),
            Positions = positions.Pointer<int>(),
            TypeIds = typeIds.IsPresent ? typeIds.Pointer<int>() : null,
            Word = (void*)word.Address,
            Position = (void*)position.Address,
            Type = type.IsPresent ? (void*)type.Address : null,
            Output = (void*)output.Address,
        };
        delegate*<int, void*, void> body = word.DType == DType.Float32
            ? SimdKernel.For<ForwardKernel<Float32Element>>(output.DType)
            : SimdKernel.For<ForwardKernel<BFloat16Element>>(output.DType);
        device.Workers.Run(state.Partition.Count, body, &state);
    }

    public static void Backward(
        in Tensor dOutput, in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor dWord, in Tensor dPosition, in Tensor dType)
    {
        if (dWord.IsPresent)
        {
            RowScatter.CheckRange(ids, dWord.Shape[0], nameof(ids));
            RowScatter.Add(dOutput, ids, dWord);
        }

        if (dPosition.IsPresent)
        {
            RowScatter.CheckRange(positions, dPosition.Shape[0], nameof(positions));
            RowScatter.Add(dOutput, positions, dPosition);
        }

        if (dType.IsPresent)
        {
            if (typeIds.IsPresent)
            {
                RowScatter.CheckRange(typeIds, dType.Shape[0], nameof(typeIds));
            }

            RowScatter.Add(dOutput, typeIds, dType);
        }
    }

    public static void BackwardSparse(in Tensor dOutput, in Tensor ids, int vocabulary, in Tensor rowIds, in Tensor values, in Tensor rowCount)
    {
        RowScatter.CheckRange(ids, vocabulary, nameof(ids));
        *rowCount.Pointer<int>() = RowScatter.Collect(dOutput, ids, vocabulary, rowIds, values);
    }

    private struct State
    {
        public RowPartition Partition;
        public int C;
        public int* Ids;
        public int* Positions;
        public int* TypeIds;
        public void* Word;
        public void* Position;
        public void* Type;
        public void* Output;
    }

    private readonly struct ForwardKernel<TTable> : ISimdKernel
        where TTable : unmanaged, ISimdElement
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            int whole = c - (c % TVector.Count);
            int tail = c - whole;
            for (int row = s->Partition.Start(task); row < s->Partition.Start(task + 1); row++)
            {
                long output = (long)row * c;
                long word = (long)s->Ids[row] * c;
                long position = (long)s->Positions[row] * c;
                long type = s->TypeIds == null ? 0 : (long)s->TypeIds[row] * c;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = TTable.Load<TVector>(s->Word, word + i) + TTable.Load<TVector>(s->Position, position + i);
                    if (s->Type != null)
                    {
                        x += TTable.Load<TVector>(s->Type, type + i);
                    }

                    TElement.Store(x, s->Output, output + i);
                }

                if (tail > 0)
                {
                    TVector x = TTable.LoadPartial<TVector>(s->Word, word + whole, tail) + TTable.LoadPartial<TVector>(s->Position, position + whole, tail);
                    if (s->Type != null)
                    {
                        x += TTable.LoadPartial<TVector>(s->Type, type + whole, tail);
                    }

                    TElement.StorePartial(x, s->Output, output + whole, tail);
                }
            }
        }
    }
}
