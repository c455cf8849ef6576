using System.Runtime.CompilerServices;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Kernels.Cpu.Simd;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu;

/// <summary>
/// Patch embedding on the CPU: the patches of some pictures at a time are laid out as rows (they stay in the cache), multiplied by
/// the weight into a float32 workspace, and written with their positions.
/// </summary>
internal static unsafe class CpuPatchEmbedding
{
    // Rows of patches and their projections, together about 4 MiB: a share of the last-level cache.
    private const long ChunkFloats = 1 << 20;

    public static void Forward(
        in Tensor pixels, in Tensor weight, in Tensor bias, in Tensor classToken, in Tensor position, in Tensor output, int patchSize)
    {
        CpuDevice device = (CpuDevice)pixels.Device;
        State state = new(pixels, output, patchSize)
        {
            Bias = bias.IsPresent ? bias.Pointer<float>() : null,
            ClassToken = classToken.Pointer<float>(),
            Position = position.Pointer<float>(),
        };
        Product product = new()
        {
            LeftType = DType.Float32,
            LeftStride = state.PatchFloats,
            Right = weight.Pointer<float>(),
            RightType = DType.Float32,
            RightStride = state.PatchFloats,
            OutputType = DType.Float32,
            OutputStride = state.C,
            Rows = state.ChunkPictures * state.Patches,
            Columns = state.C,
            Depth = state.PatchFloats,
            Alpha = 1,
            Round = device.MatMulPrecision == MatMulPrecision.BFloat16,
        };
        long patchFloats = Aligned((long)product.Rows * state.PatchFloats);
        long projectedFloats = Aligned((long)product.Rows * state.C);
        state.PatchRows = (float*)device.Scratch(((patchFloats + projectedFloats) * sizeof(float)) + MatrixProduct.ScratchByteCount(device, product));
        state.Projected = state.PatchRows + patchFloats;
        product.Left = state.PatchRows;
        product.Output = state.Projected;
        delegate*<int, void*, void> gather = SimdKernel.For<GatherKernel>(DType.Float32);
        delegate*<int, void*, void> write = SimdKernel.For<WriteKernel>(output.DType);
        for (int picture = 0; picture < pixels.Shape[0]; picture += state.ChunkPictures)
        {
            int pictures = Math.Min(state.ChunkPictures, pixels.Shape[0] - picture);
            state.FirstPicture = picture;
            product.Rows = pictures * state.Patches;
            device.Workers.Run(pictures, gather, &state);
            MatrixProduct.Run(device, product, state.Projected + projectedFloats);
            device.Workers.Run(pictures, write, &state);
        }
    }

    public static void Backward(
        in Tensor dOutput, in Tensor pixels, in Tensor dWeight, in Tensor dBias, in Tensor dClassToken, in Tensor dPosition, int patchSize)
    {
        CpuDevice device = (CpuDevice)pixels.Device;
        if (dWeight.IsPresent)
        {
            WeightGradient(device, dOutput, pixels, dWeight, patchSize);
        }

        State state = new(pixels, dOutput, patchSize);
        int rows = 1 + state.Patches;
        state.Sums = (double*)device.Scratch((long)rows * state.C * sizeof(double));
        device.Workers.Run(rows, SimdKernel.For<SumKernel>(dOutput.DType), &state);
        for (int i = 0; i < state.C; i++)
        {
            double sum = 0;
            for (int row = 1; row < rows; row++)
            {
                sum += state.Sums[((long)row * state.C) + i];
            }

            if (dBias.IsPresent)
            {
                dBias.Pointer<float>()[i] += (float)sum;
            }

            if (dClassToken.IsPresent)
            {
                dClassToken.Pointer<float>()[i] += (float)state.Sums[i];
            }
        }

        if (dPosition.IsPresent)
        {
            float* dPositions = dPosition.Pointer<float>();
            for (long i = 0; i < (long)rows * state.C; i++)
            {
                dPositions[i] += (float)state.Sums[i];
            }
        }
    }

    private static void WeightGradient(CpuDevice device, in Tensor dOutput, in Tensor pixels, in Tensor dWeight, int patchSize)
    {
        // A row of zeros stands for the class token of each picture, so that the gradient's rows can be read as they lie.
        State state = new(pixels, dOutput, patchSize) { LeadingRows = 1 };
        Product product = new()
        {
            LeftType = dOutput.DType,
            LeftStride = state.C,
            LeftTransposed = true,
            RightType = DType.Float32,
            RightStride = state.PatchFloats,
            RightTransposed = true,
            Output = dWeight.Pointer<float>(),
            OutputType = DType.Float32,
            OutputStride = state.PatchFloats,
            Rows = state.C,
            Columns = state.PatchFloats,
            Depth = state.ChunkPictures * (1 + state.Patches),
            Alpha = 1,
            Round = device.MatMulPrecision == MatMulPrecision.BFloat16,
            Accumulate = true,
        };
        long patchFloats = Aligned((long)product.Depth * state.PatchFloats);

        // The last chunk may be shorter and be multiplied in the other way.
        Product last = product with { Depth = pixels.Shape[0] % state.ChunkPictures * (1 + state.Patches) };
        long productBytes = Math.Max(MatrixProduct.ScratchByteCount(device, product), MatrixProduct.ScratchByteCount(device, last));
        state.PatchRows = (float*)device.Scratch((patchFloats * sizeof(float)) + productBytes);
        product.Right = state.PatchRows;
        for (int picture = 0; picture < pixels.Shape[0]; picture += state.ChunkPictures)
        {
            int pictures = Math.Min(state.ChunkPictures, pixels.Shape[0] - picture);
            state.FirstPicture = picture;
            device.Workers.Run(pictures, SimdKernel.For<GatherKernel>(DType.Float32), &state);
            product.Depth = pictures * (1 + state.Patches);
            product.Left = (byte*)dOutput.Address + ((nint)picture * (1 + state.Patches) * state.C * dOutput.DType.ByteSize());
            MatrixProduct.Run(device, product, state.PatchRows + patchFloats);
        }
    }

    private static long Aligned(long floats) => (floats + 15) / 16 * 16;

    private struct State
    {
        public State(in Tensor pixels, in Tensor rows, int patchSize)
        {
            Pixels = pixels.Pointer<float>();
            Rows = (void*)rows.Address;
            C = rows.Shape[1];
            Pictures = pixels.Shape[0];
            PatchSize = patchSize;
            Height = pixels.Shape[2];
            Width = pixels.Shape[3];
            Patches = Height / patchSize * (Width / patchSize);
            PatchFloats = 3 * patchSize * patchSize;
            ChunkPictures = (int)Math.Clamp(ChunkFloats / Math.Max(1, (long)Patches * (PatchFloats + C)), 1, Math.Max(1, Pictures));
        }

        public float* Pixels;
        public void* Rows;
        public int C;
        public int Pictures;
        public int PatchSize;
        public int Height;
        public int Width;
        public int Patches;
        public int PatchFloats;
        public int ChunkPictures;
        public int FirstPicture;
        public int LeadingRows;
        public float* Bias;
        public float* ClassToken;
        public float* Position;
        public float* PatchRows;
        public float* Projected;
        public double* Sums;
    }

    /// <summary>Lays out the patches of one picture as rows: channel, then row, then column of the patch.</summary>
    private readonly struct GatherKernel : ISimdKernel
    {
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int size = s->PatchSize;
            float* picture = s->Pixels + ((nint)(s->FirstPicture + task) * 3 * s->Height * s->Width);
            float* row = s->PatchRows + ((nint)task * (s->LeadingRows + s->Patches) * s->PatchFloats);
            new Span<float>(row, s->LeadingRows * s->PatchFloats).Clear();
            row += s->LeadingRows * s->PatchFloats;
            for (int y = 0; y < s->Height; y += size)
            {
                for (int x = 0; x < s->Width; x += size)
                {
                    float* destination = row;
                    for (int channel = 0; channel < 3; channel++)
                    {
                        for (int line = 0; line < size; line++)
                        {
                            float* source = picture + ((((nint)channel * s->Height) + y + line) * s->Width) + x;
                            new ReadOnlySpan<float>(source, size).CopyTo(new Span<float>(destination, size));
                            destination += size;
                        }
                    }

                    row += s->PatchFloats;
                }
            }
        }
    }

    /// <summary>Writes the rows of one picture: the class token, then the projections, each with its position.</summary>
    private readonly struct WriteKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            int c = s->C;
            int whole = c - (c % TVector.Count);
            long outputIndex = (long)(s->FirstPicture + task) * (1 + s->Patches) * c;
            for (int row = 0; row <= s->Patches; row++)
            {
                float* source = row == 0 ? s->ClassToken : s->Projected + ((((nint)task * s->Patches) + row - 1) * c);
                float* position = s->Position + ((nint)row * c);
                float* bias = row == 0 ? null : s->Bias;
                for (int i = 0; i < whole; i += TVector.Count)
                {
                    TVector x = TVector.Load(source + i);
                    if (bias != null)
                    {
                        x += TVector.Load(bias + i);
                    }

                    TElement.Store(x + TVector.Load(position + i), s->Rows, outputIndex + i);
                }

                for (int i = whole; i < c; i++)
                {
                    float x = bias == null ? source[i] : source[i] + bias[i];
                    TElement.StoreScalar(x + position[i], s->Rows, outputIndex + i);
                }

                outputIndex += c;
            }
        }
    }

    /// <summary>Sums one row of every picture over the pictures, in their order.</summary>
    private readonly struct SumKernel : ISimdKernel
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<TVector, TElement>(int task, void* state)
            where TVector : unmanaged, ISimdFloat<TVector>
            where TElement : unmanaged, ISimdElement
        {
            State* s = (State*)state;
            double* sums = s->Sums + ((nint)task * s->C);
            new Span<double>(sums, s->C).Clear();
            for (int picture = 0; picture < s->Pictures; picture++)
            {
                long index = (((long)picture * (1 + s->Patches)) + task) * s->C;
                for (int i = 0; i < s->C; i++)
                {
                    sums[i] += TElement.LoadScalar(s->Rows, index + i);
                }
            }
        }
    }
}
