using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Patch embedding on a CUDA device, some pictures at a time: <c>patchembedding.cu</c> lays their patches out as rows of the type that
/// the product takes, <see cref="CudaMatMul"/> multiplies them with the weight, and positions are added on the way to the output. Pictures
/// may be bound to a number of live rows, and then the rows that they become are bound to theirs.
/// </summary>
internal static class CudaPatchEmbedding
{
    // As in patchembedding.cu.
    private const int ThreadsPerBlock = 256;
    private const int RowVector = 4;

    // Rows of patches and their projections: enough work for every multiprocessor, a fraction of the activations' memory. One picture may have more.
    private const long ChunkByteCount = 64 << 20;
    private const int ChunkRows = 1 << 14;

    public static void Forward(
        in Tensor pixels, in Tensor weight, in Tensor bias, in Tensor classToken, in Tensor position, in Tensor output, int patchSize)
    {
        CudaDevice device = (CudaDevice)pixels.Device;
        Pictures x = new(device, pixels, output, patchSize, leading: 0);
        bool wide = CudaKernels.IsWide(x.C, RowVector, classToken, position, output);
        CudaProduct product = new()
        {
            Layout = MatMulLayout.NT,
            AType = x.RowType,
            AStride = x.Stride,
            B = weight.Address,
            BType = DType.Float32,
            OutputType = DType.Float32,
            Bias = bias.IsPresent ? bias.Address : 0,
            M = x.ChunkPictures * x.Patches,
            N = x.C,
            K = x.PatchPixels,
            Alpha = 1,
        };
        long rowsByteCount = x.RowsByteCount;
        long projectedByteCount = Aligned((long)product.M * x.C * sizeof(float));
        nint counts = device.Scratch(x.CountsByteCount + rowsByteCount + projectedByteCount + CudaMatMul.ScratchByteCount(device, product));
        product.A = counts + (nint)x.CountsByteCount;
        product.Output = product.A + (nint)rowsByteCount;
        Count(device, x, counts);
        for (int picture = 0; picture < x.Count; picture += x.ChunkPictures)
        {
            int pictures = Math.Min(x.ChunkPictures, x.Count - picture);
            product.M = pictures * x.Patches;
            product.LiveM = x.LiveRowsAt(counts, picture);
            Gather(device, x, picture, pictures, product.A, product.LiveM);
            CudaMatMul.Run(device, product, product.Output + (nint)projectedByteCount);
            KernelArguments arguments = default;
            arguments.AddAddress(product.Output);
            arguments.Add(classToken);
            arguments.Add(position);
            arguments.Add(output.Rows(picture * (1 + x.Patches), pictures * (1 + x.Patches)));
            arguments.AddAddress(product.LiveM);
            arguments.Add(x.Patches);
            arguments.Add(x.C);
            arguments.Add(wide);
            device.Launch(
                CudaKernels.Get(device, "patchembedding", output.DType == DType.Float32 ? "patchembedding_fwd_f32" : "patchembedding_fwd_bf16"),
                new Dim3((uint)(pictures * (1 + x.Patches)), x.ColumnBlocks(wide)),
                ThreadsPerBlock,
                ref arguments);
        }
    }

    public static void Backward(
        in Tensor dOutput, in Tensor pixels, in Tensor dWeight, in Tensor dBias, in Tensor dClassToken, in Tensor dPosition, int patchSize)
    {
        CudaDevice device = (CudaDevice)pixels.Device;

        // A row of zeros stands for the class token of each picture, so that the gradient's rows can be read as they lie.
        Pictures x = new(device, pixels, dOutput, patchSize, leading: 1);
        if (dWeight.IsPresent)
        {
            WeightGradient(device, x, dOutput, dWeight);
        }

        if (!dBias.IsPresent && !dClassToken.IsPresent && !dPosition.IsPresent)
        {
            return;
        }

        bool wide = CudaKernels.IsWide(x.C, RowVector, dOutput, dPosition, dClassToken);
        nint sums = dBias.IsPresent ? device.Scratch((long)(1 + x.Patches) * x.C * sizeof(float)) : 0;
        KernelArguments arguments = default;
        arguments.Add(dOutput);
        arguments.AddAddress(sums);
        arguments.Add(dPosition);
        arguments.Add(dClassToken);
        arguments.AddAddress(x.Live);
        arguments.Add(x.Count);
        arguments.Add(x.Patches);
        arguments.Add(x.C);
        arguments.Add(wide);
        device.Launch(
            CudaKernels.Get(device, "patchembedding", dOutput.DType == DType.Float32 ? "patchembedding_bwd_f32" : "patchembedding_bwd_bf16"),
            new Dim3((uint)(1 + x.Patches), x.ColumnBlocks(wide)),
            ThreadsPerBlock,
            ref arguments);
        if (dBias.IsPresent)
        {
            KernelArguments bias = default;
            bias.AddAddress(sums);
            bias.Add(dBias);
            bias.Add(x.Patches);
            bias.Add(x.C);
            device.Launch(
                CudaKernels.Get(device, "patchembedding", "patchembedding_bwd_bias"), CudaKernels.Blocks(x.C, ThreadsPerBlock), ThreadsPerBlock, ref bias);
        }
    }

    private static void WeightGradient(CudaDevice device, in Pictures x, in Tensor dOutput, in Tensor dWeight)
    {
        CudaProduct product = new()
        {
            Layout = MatMulLayout.TN,
            A = dOutput.Address,
            AType = dOutput.DType,
            BType = x.RowType,
            BStride = x.Stride,
            Output = dWeight.Address,
            OutputType = DType.Float32,
            M = x.C,
            N = x.PatchPixels,
            K = x.ChunkPictures * (1 + x.Patches),
            Alpha = 1,
            Accumulate = true,
        };
        nint counts = device.Scratch(x.CountsByteCount + x.RowsByteCount + CudaMatMul.ScratchByteCount(device, product));
        product.B = counts + (nint)x.CountsByteCount;
        Count(device, x, counts);
        for (int picture = 0; picture < x.Count; picture += x.ChunkPictures)
        {
            int pictures = Math.Min(x.ChunkPictures, x.Count - picture);
            product.K = pictures * (1 + x.Patches);
            product.A = dOutput.Rows(picture * (1 + x.Patches), product.K).Address;
            product.LiveK = x.LiveRowsAt(counts, picture);
            Gather(device, x, picture, pictures, product.B, product.LiveK);
            CudaMatMul.Run(device, product, product.B + (nint)x.RowsByteCount);
        }
    }

    // How many rows of each chunk count, where the device says how many pictures do.
    private static void Count(CudaDevice device, in Pictures x, nint counts)
    {
        if (x.Live == 0)
        {
            return;
        }

        KernelArguments arguments = default;
        arguments.AddAddress(x.Live);
        arguments.AddAddress(counts);
        arguments.Add(x.Count);
        arguments.Add(x.ChunkPictures);
        arguments.Add(x.Leading + x.Patches);
        arguments.Add(x.Chunks);
        device.Launch(CudaKernels.Get(device, "patchembedding", "patchembedding_counts"), new Dim3(1), ThreadsPerBlock, ref arguments);
    }

    private static void Gather(CudaDevice device, in Pictures x, int picture, int pictures, nint rows, nint live)
    {
        KernelArguments arguments = default;
        arguments.AddAddress(x.Pixels + (nint)((long)picture * 3 * x.Height * x.Width * sizeof(float)));
        arguments.AddAddress(rows);
        arguments.AddAddress(live);
        arguments.Add(x.Height);
        arguments.Add(x.Width);
        arguments.Add(x.PatchSize);
        arguments.Add(x.Leading);
        arguments.Add(x.Stride);
        device.Launch(
            CudaKernels.Get(device, "patchembedding", x.RowType == DType.Float32 ? "patchembedding_gather_f32" : "patchembedding_gather_bf16"),
            new Dim3((uint)(pictures * (x.Leading + x.Patches)), (uint)CudaKernels.Blocks(x.Stride, ThreadsPerBlock)),
            ThreadsPerBlock,
            ref arguments);
    }

    private static long Aligned(long byteCount) => (byteCount + 255) / 256 * 256;

    private readonly struct Pictures
    {
        public Pictures(CudaDevice device, in Tensor pixels, in Tensor rows, int patchSize, int leading)
        {
            if (pixels.LiveRows is null != rows.LiveRows is null)
            {
                throw new ArgumentException("Pictures and their rows must both be bound to a number of live rows, or neither.", nameof(pixels));
            }

            Live = pixels.LiveRows?.Count.Address ?? 0;
            Pixels = pixels.Address;
            Count = pixels.Shape[0];
            Height = pixels.Shape[2];
            Width = pixels.Shape[3];
            C = rows.Shape[1];
            PatchSize = patchSize;
            Leading = leading;
            Patches = Height / patchSize * (Width / patchSize);
            PatchPixels = 3 * patchSize * patchSize;
            RowType = device.MatMulPrecision == MatMulPrecision.BFloat16 ? DType.BFloat16 : DType.Float32;
            Stride = (PatchPixels + 7) / 8 * 8;
            long pictureBytes = (1 + Patches) * (((long)Stride * RowType.ByteSize()) + (leading == 0 ? C * sizeof(float) : 0));
            long most = Math.Min(ChunkByteCount / Math.Max(1, pictureBytes), ChunkRows / (1 + Patches));
            ChunkPictures = (int)Math.Clamp(most, 1, Math.Max(1, Count));
        }

        public nint Pixels { get; }

        /// <summary>Where the device says how many pictures count; 0 where all do.</summary>
        public nint Live { get; }

        public int Count { get; }

        public int Height { get; }

        public int Width { get; }

        public int C { get; }

        public int PatchSize { get; }

        public int Leading { get; }

        public int Patches { get; }

        public int PatchPixels { get; }

        public DType RowType { get; }

        public int Stride { get; }

        public int ChunkPictures { get; }

        public uint ColumnBlocks(bool wide) => (uint)CudaKernels.Blocks(C, ThreadsPerBlock * (wide ? RowVector : 1));

        public int Chunks => (Count + ChunkPictures - 1) / ChunkPictures;

        public long CountsByteCount => Live == 0 ? 0 : Aligned((long)Chunks * sizeof(int));

        public nint LiveRowsAt(nint counts, int picture) => Live == 0 ? 0 : counts + (nint)(picture / ChunkPictures * sizeof(int));

        public long RowsByteCount => Aligned((long)ChunkPictures * (Leading + Patches) * Stride * RowType.ByteSize());
    }
}
