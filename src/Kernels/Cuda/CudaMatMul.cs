using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Matrix products on a CUDA device: <c>matmul.cu</c>, or cuBLAS where the device says so. Bfloat16 operands are multiplied by the
/// bfloat16 tensor cores; where one of them is float32 the device's precision decides: plain float32 cores, TF32 or bfloat16.
/// </summary>
internal static class CudaMatMul
{
    // As in tile_product.cuh and matmul.cu.
    private const int Tile = 128;
    private const int TileThreads = 256;
    private const int StepByteCount = 64;
    private const int PieceByteCount = 16;
    private const int ThreadsPerBlock = 256;
    private const int FlagAccumulate = 1;
    private const int FlagBFloat16Output = 2;
    private const int FlagWideOutput = 4;
    private const int FlagContinue = 8;

    // TN: as many blocks as the multiprocessors of an A100 twice over, each with an own share of the depth; at most 16 partial outputs.
    private const int WantedBlocks = 216;
    private const int MaxSplits = 16;

    private static readonly string[][] s_products =
    [
        ["matmul_nn_bf16", "matmul_nt_bf16", "matmul_tn_bf16"],
        ["matmul_nn_tf32", "matmul_nt_tf32", "matmul_tn_tf32"],
        ["matmul_nn_f32", "matmul_nt_f32", "matmul_tn_f32"],
    ];

    private enum Unit
    {
        BFloat16,
        Tf32,
        Float32,
    }

    public static void Run(in Tensor a, in Tensor b, in Tensor bias, in Tensor output, MatMulLayout layout, float alpha, bool accumulate)
    {
        CudaDevice device = (CudaDevice)a.Device;
        nint live = LiveRows(a, layout == MatMulLayout.TN ? b : output, layout == MatMulLayout.TN ? output : b);
        CudaProduct product = new()
        {
            Layout = layout,
            A = a.Address,
            AType = a.DType,
            B = b.Address,
            BType = b.DType,
            Output = output.Address,
            OutputType = output.DType,
            Bias = bias.IsPresent ? bias.Address : 0,
            M = output.Shape[0],
            N = output.Shape[1],
            K = a.Shape[layout == MatMulLayout.TN ? 0 : 1],
            Alpha = alpha,
            Accumulate = accumulate,
            LiveM = layout == MatMulLayout.TN ? 0 : live,
            LiveK = layout == MatMulLayout.TN ? live : 0,
        };
        Run(device, product, device.Scratch(ScratchByteCount(device, product)));
    }

    /// <summary>The working memory of a product.</summary>
    public static long ScratchByteCount(CudaDevice device, in CudaProduct product) => new Plan(device, product).ScratchByteCount;

    /// <summary>Multiplies.</summary>
    /// <param name="device">The device.</param>
    /// <param name="product">What; no rows or columns are no work.</param>
    /// <param name="scratch">As many bytes as <see cref="ScratchByteCount"/> says, aligned to 256 bytes.</param>
    public static void Run(CudaDevice device, in CudaProduct product, nint scratch)
    {
        if (product.M == 0 || product.N == 0)
        {
            return;
        }

        Plan plan = new(device, product);
        nint a = product.A;
        nint b = product.B;
        if (plan.PacksA)
        {
            Pack(device, product.AType, plan.ElementType, a, scratch, product.LiveRowsOfA, product.AExtents, product.AStride, plan.AStride);
            a = scratch;
        }

        if (plan.PacksB)
        {
            Pack(device, product.BType, plan.ElementType, b, scratch + (nint)plan.BOffset, product.LiveRowsOfB, product.BExtents, product.BStride, plan.BStride);
            b = scratch + (nint)plan.BOffset;
        }

        nint partials = plan.PartialsCount > 0 ? scratch + (nint)plan.PartialsOffset : 0;
        if (plan.UsesCublas)
        {
            RunCublas(device, product, plan, a, b, partials);
            return;
        }

        KernelArguments arguments = default;
        arguments.AddAddress(a);
        arguments.AddAddress(b);
        arguments.AddAddress(product.Output);
        arguments.AddAddress(partials);
        arguments.AddAddress(product.Bias);
        arguments.AddAddress(product.LiveM);
        arguments.AddAddress(product.LiveK);
        arguments.Add(product.M);
        arguments.Add(product.N);
        arguments.Add(product.K);
        arguments.Add(plan.AStride);
        arguments.Add(plan.BStride);
        arguments.Add(plan.OutputStride);
        arguments.Add(product.Alpha);
        arguments.Add(Flags(product));
        device.Launch(
            CudaKernels.Get(device, "matmul", s_products[(int)plan.Unit][(int)product.Layout]),
            new Dim3(checked((uint)((long)CudaKernels.Blocks(product.M, Tile) * CudaKernels.Blocks(product.N, Tile))), (uint)Math.Max(1, plan.PartialsCount)),
            TileThreads,
            ref arguments);
        if (partials != 0)
        {
            Merge(device, product, plan, partials, plan.PartialsCount, plan.StepDepth);
        }
    }

    // The rows of a, and of the output or of b, may be bound to a number; no other extent can be.
    private static nint LiveRows(in Tensor a, in Tensor same, in Tensor other)
    {
        if (!ReferenceEquals(a.LiveRows, same.LiveRows) || other.LiveRows is not null)
        {
            throw new ArgumentException("One of the tensors of a matrix product is bound to a number of live rows that another is not bound to.", nameof(a));
        }

        return a.LiveRows is { } rows ? rows.Count.Address : 0;
    }

    // Row-major (M, N) is column-major (N, M): the operands change places.
    private static unsafe void RunCublas(CudaDevice device, in CudaProduct product, in Plan plan, nint a, nint b, nint partials)
    {
        ICublas cublas = device.Cublas!;
        if (product.LiveK != 0)
        {
            // cuBLAS takes its sizes from the host: it multiplies all of the depth that there is room for, and what lies behind the live part
            // must add nothing (columns of an operand beyond it are the caller's to clear). Dead rows of the output nobody reads.
            if (product.Layout == MatMulLayout.TN)
            {
                ClearDeadRows(device, plan.ElementType, a, product.LiveK, product.AExtents, plan.AStride);
            }

            ClearDeadRows(device, plan.ElementType, b, product.LiveK, product.BExtents, plan.BStride);
        }

        float alpha = partials != 0 ? 1 : product.Alpha;
        float beta = partials == 0 && (product.Accumulate || product.Continues || product.Bias != 0) ? 1 : 0;
        if (partials == 0 && product.Bias != 0)
        {
            // The bias lies in every row before the product is added to it.
            Merge(device, product, plan, 0, 0, 1);
        }

        int type = plan.ElementType == DType.BFloat16 ? ICublas.BFloat16 : ICublas.Float32;
        int outputType = partials == 0 && product.OutputType == DType.BFloat16 ? ICublas.BFloat16 : ICublas.Float32;
        nint handle = device.BlasHandle();
        CudaException.ThrowIfCublasFailed(cublas.GemmEx(
            handle,
            product.Layout == MatMulLayout.NT ? 1 : 0,
            product.Layout == MatMulLayout.TN ? 1 : 0,
            product.N,
            product.M,
            product.K,
            &alpha,
            (ulong)b,
            type,
            Math.Max(1, plan.BStride),
            (ulong)a,
            type,
            Math.Max(1, plan.AStride),
            &beta,
            (ulong)(partials != 0 ? partials : product.Output),
            outputType,
            partials != 0 ? product.N : plan.OutputStride,
            plan.Unit == Unit.Tf32 ? ICublas.ComputeTf32 : ICublas.ComputeFloat32,
            ICublas.DefaultAlgorithm));
        if (partials != 0)
        {
            Merge(device, product, plan, partials, 1, Math.Max(1, product.K));
        }
    }

    private static void Merge(CudaDevice device, in CudaProduct product, in Plan plan, nint partials, int splits, int stepDepth)
    {
        KernelArguments arguments = default;
        arguments.AddAddress(partials);
        arguments.AddAddress(product.Output);
        arguments.AddAddress(product.Bias);
        arguments.AddAddress(product.LiveM);
        arguments.AddAddress(product.LiveK);
        arguments.Add(product.M);
        arguments.Add(product.N);
        arguments.Add(product.K);
        arguments.Add(plan.OutputStride);
        arguments.Add(stepDepth);
        arguments.Add(splits);
        arguments.Add(product.Alpha);
        arguments.Add(Flags(product));
        device.Launch(
            CudaKernels.Get(device, "matmul", "matmul_merge"),
            CudaKernels.Blocks((long)product.M * CudaKernels.Blocks(product.N, 4), ThreadsPerBlock),
            ThreadsPerBlock,
            ref arguments);
    }

    // As many strips of rows as a capacity is ahead of what it holds at most; a longer rest is gone through in turns.
    private static void ClearDeadRows(CudaDevice device, DType type, nint rows, nint live, (int Rows, int Columns) extents, int stride)
    {
        const int MaxStrips = 512;
        if (extents.Rows == 0 || extents.Columns == 0)
        {
            return;
        }

        KernelArguments arguments = default;
        arguments.AddAddress(rows);
        arguments.AddAddress(live);
        arguments.Add(extents.Rows);
        arguments.Add(extents.Columns);
        arguments.Add(stride);
        device.Launch(
            CudaKernels.Get(device, "matmul", type == DType.BFloat16 ? "matmul_clear_bf16" : "matmul_clear_f32"),
            new Dim3((uint)CudaKernels.Blocks(extents.Columns, ThreadsPerBlock), (uint)Math.Min(extents.Rows, Math.Min(MaxStrips, device.MaxGridRows))),
            ThreadsPerBlock,
            ref arguments);
    }

    /// <summary>Copies rows to where they are a multiple of 16 bytes, with zeros behind their columns, rounding where the type changes; a source stride of 0 says dense.</summary>
    public static void Pack(
        CudaDevice device, DType from, DType to, nint source, nint destination, nint live, (int Rows, int Columns) extents, int sourceStride, int stride)
    {
        string name = (from, to) switch
        {
            (DType.Float32, DType.Float32) => "matmul_pack_f32_f32",
            (DType.Float32, _) => "matmul_pack_f32_bf16",
            (_, DType.Float32) => "matmul_pack_bf16_f32",
            _ => "matmul_pack_bf16_bf16",
        };
        sourceStride = sourceStride == 0 ? extents.Columns : sourceStride;
        int size = from.ByteSize();

        // Rows go along y, which ends at 65535.
        for (int row = 0, rows; row < extents.Rows; row += rows)
        {
            rows = Math.Min(device.MaxGridRows, extents.Rows - row);
            nint at = source + (nint)((long)row * sourceStride * size);
            KernelArguments arguments = default;
            arguments.AddAddress(at);
            arguments.AddAddress(destination + (nint)((long)row * stride * to.ByteSize()));
            arguments.AddAddress(live);
            arguments.Add(row);
            arguments.Add(rows);
            arguments.Add(extents.Columns);
            arguments.Add(sourceStride);
            arguments.Add(stride);
            arguments.Add(extents.Columns == stride && sourceStride % 4 == 0 && at % (4 * size) == 0);
            device.Launch(
                CudaKernels.Get(device, "matmul", name), new Dim3((uint)CudaKernels.Blocks(stride, 4 * ThreadsPerBlock), (uint)rows), ThreadsPerBlock, ref arguments);
        }
    }

    private static int Flags(in CudaProduct product)
    {
        int size = product.OutputType.ByteSize();
        bool wide = product.N % 4 == 0 && product.OutputStride % 4 == 0 && product.Output % (4 * size) == 0 && product.Bias % (4 * sizeof(float)) == 0;
        return (product.Accumulate ? FlagAccumulate : 0) | (product.Continues ? FlagContinue : 0) | (size == 2 ? FlagBFloat16Output : 0) | (wide ? FlagWideOutput : 0);
    }

    /// <summary>What a product needs before and behind the tiles: a function of its extents, types and addresses' alignment.</summary>
    private readonly struct Plan
    {
        public Plan(CudaDevice device, in CudaProduct product)
        {
            Unit = product.AType == DType.BFloat16 && product.BType == DType.BFloat16 ? Unit.BFloat16 : device.MatMulPrecision switch
            {
                MatMulPrecision.BFloat16 => Unit.BFloat16,
                MatMulPrecision.Tf32 => Unit.Tf32,
                _ => Unit.Float32,
            };
            ElementType = Unit == Unit.BFloat16 ? DType.BFloat16 : DType.Float32;
            StepDepth = StepByteCount / ElementType.ByteSize();
            UsesCublas = device.MatMulEngine == MatMulEngine.Cublas;
            (int aRows, int aColumns) = product.AExtents;
            (int bRows, int bColumns) = product.BExtents;
            int aStride = product.AStride == 0 ? aColumns : product.AStride;
            int bStride = product.BStride == 0 ? bColumns : product.BStride;
            PacksA = product.AType != ElementType || (!UsesCublas && !IsAligned(product.A, aStride));
            PacksB = product.BType != ElementType || (!UsesCublas && !IsAligned(product.B, bStride));
            AStride = PacksA ? Padded(aColumns) : aStride;
            BStride = PacksB ? Padded(bColumns) : bStride;
            OutputStride = product.OutputStride == 0 ? product.N : product.OutputStride;
            BOffset = PacksA ? Aligned((long)aRows * AStride * ElementType.ByteSize()) : 0;
            PartialsOffset = BOffset + (PacksB ? Aligned((long)bRows * BStride * ElementType.ByteSize()) : 0);
            if (UsesCublas)
            {
                // cuBLAS does not round float32 products to bfloat16 results, and in bfloat16 the sum with a bias would be rounded twice.
                PartialsCount = product.OutputType == DType.BFloat16 && (Unit != Unit.BFloat16 || product.Bias != 0) ? 1 : 0;
            }
            else if (product.Layout == MatMulLayout.TN && !product.Continues)
            {
                long tiles = (long)CudaKernels.Blocks(product.M, Tile) * CudaKernels.Blocks(product.N, Tile);
                int splits = (int)Math.Clamp(WantedBlocks / Math.Max(1, tiles), 1, MaxSplits);
                splits = Math.Min(splits, CudaKernels.Blocks(product.K, StepDepth));
                PartialsCount = splits > 1 ? splits : 0;
            }

            ScratchByteCount = PartialsOffset + (PartialsCount * (long)product.M * product.N * sizeof(float));
        }

        public Unit Unit { get; }

        public DType ElementType { get; }

        public int StepDepth { get; }

        public bool UsesCublas { get; }

        public bool PacksA { get; }

        public bool PacksB { get; }

        public int AStride { get; }

        public int BStride { get; }

        public int OutputStride { get; }

        public long BOffset { get; }

        public long PartialsOffset { get; }

        public int PartialsCount { get; }

        public long ScratchByteCount { get; }

        private bool IsAligned(nint address, int stride) =>
            address % PieceByteCount == 0 && (long)stride * ElementType.ByteSize() % PieceByteCount == 0;

        private int Padded(int columns)
        {
            int unit = PieceByteCount / ElementType.ByteSize();
            return checked((columns + unit - 1) / unit * unit);
        }

        private static long Aligned(long byteCount) => (byteCount + 255) / 256 * 256;
    }
}
