using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// Launches <c>attention_*.cu</c>: a block has one head and 64 (or 32) rows of one sequence. Which rows those are, the block finds from
/// the ends of the sequences on the device, so that a launch needs no lengths on the host and a graph serves any batch of its capacity.
/// bfloat16 goes through the tensor cores, float32 through fused multiply-adds.
/// </summary>
internal static class CudaAttention
{
    // As in attention_mma.cuh and attention_fma.cuh.
    private const int WarpSize = 32;
    private const int WarpRows = 16;
    private const int MmaWarps = 4;
    private const int MmaForwardKeys = 64;
    private const int FmaTokens = 32;
    private const int ExchangeFloats = 40 * WarpRows;
    private const int ChunkBytes = 16;

    /// <summary>The widest head that there is a kernel for.</summary>
    public const int MaxHeadSize = 128;

    // The padded head sizes, each a module of its own.
    private static readonly Variant[] s_variants = [new(32), new(64), new(80), new(96), new(128)];

    public static void Forward(
        in Tensor qkv, in Tensor cuSeqlens, in Tensor output, in Tensor lse, int heads, bool causal, in DropoutSite dropout)
    {
        int size = HeadSize(qkv, heads);
        int sequences = cuSeqlens.Shape[0] - 1;
        if (size == 0 || sequences == 0)
        {
            return;
        }

        KernelArguments arguments = default;
        arguments.Add(qkv);
        arguments.Add(cuSeqlens);
        arguments.Add(output);
        arguments.Add(lse);
        AddTail(ref arguments, sequences, heads, size, causal, IsWide(size, qkv, output, default, default), dropout);
        Variant variant = VariantFor(size);
        bool single = qkv.DType == DType.Float32;
        Launch(qkv, variant, single ? variant.ForwardF32 : variant.ForwardBf16, sequences, heads, Shared(variant.Size, single, Pass.Forward), ref arguments);
    }

    public static void Backward(
        in Tensor dOutput,
        in Tensor qkv,
        in Tensor cuSeqlens,
        in Tensor output,
        in Tensor lse,
        in Tensor dQkv,
        int heads,
        bool causal,
        in DropoutSite dropout)
    {
        int size = HeadSize(qkv, heads);
        int sequences = cuSeqlens.Shape[0] - 1;
        if (size == 0 || sequences == 0)
        {
            return;
        }

        CudaDevice device = (CudaDevice)qkv.Device;
        int n = qkv.Shape[0];
        Variant variant = VariantFor(size);
        bool single = qkv.DType == DType.Float32;
        bool wide = IsWide(size, dOutput, qkv, output, dQkv);
        nint delta = device.Scratch((long)heads * n * sizeof(float));

        // The pass over the queries leaves the row sums that the pass over the keys reads.
        KernelArguments queries = default;
        queries.Add(dOutput);
        queries.Add(qkv);
        queries.Add(cuSeqlens);
        queries.Add(output);
        queries.Add(lse);
        queries.AddAddress(delta);
        queries.Add(dQkv);
        queries.Add(n);
        AddTail(ref queries, sequences, heads, size, causal, wide, dropout);
        Launch(qkv, variant, single ? variant.QueriesF32 : variant.QueriesBf16, sequences, heads, Shared(variant.Size, single, Pass.Queries), ref queries);

        KernelArguments keys = default;
        keys.Add(dOutput);
        keys.Add(qkv);
        keys.Add(cuSeqlens);
        keys.Add(lse);
        keys.AddAddress(delta);
        keys.Add(dQkv);
        keys.Add(n);
        AddTail(ref keys, sequences, heads, size, causal, wide, dropout);
        Launch(qkv, variant, single ? variant.KeysF32 : variant.KeysBf16, sequences, heads, Shared(variant.Size, single, Pass.Keys), ref keys);
    }

    private static int HeadSize(in Tensor qkv, int heads)
    {
        int size = qkv.Shape[1] / 3 / heads;
        return size <= MaxHeadSize
            ? size
            : throw new NotSupportedException($"A head has {size} columns; the CUDA kernels take up to {MaxHeadSize}. Use --device cpu.");
    }

    // Whether a head's rows can be moved 16 bytes at a time.
    private static bool IsWide(int size, in Tensor x, in Tensor y, in Tensor z, in Tensor w) =>
        CudaKernels.IsWide(size, ChunkBytes / x.DType.ByteSize(), x, y, z, w);

    private static Variant VariantFor(int size)
    {
        int i = 0;
        while (s_variants[i].Size < size)
        {
            i++;
        }

        return s_variants[i];
    }

    private static int Warps(int size, bool single) => single && size > 64 ? 2 : MmaWarps;

    // Tiles of rows: those of the block, and those of the other side, which bfloat16 has in two stages.
    private static int Shared(int size, bool single, Pass pass)
    {
        int warps = Warps(size, single);
        int own = warps * WarpRows * (pass == Pass.Forward ? 1 : 2);
        if (single)
        {
            int pitch = (size * sizeof(float)) + ChunkBytes;
            int statistics = pass == Pass.Keys ? 2 * FmaTokens * sizeof(float) : 0;
            return ((own + (2 * FmaTokens)) * pitch) + statistics + (warps * ExchangeFloats * sizeof(float));
        }

        int tokens = pass == Pass.Forward || size <= 64 ? MmaForwardKeys : MmaForwardKeys / 2;
        int stage = (2 * tokens * size * sizeof(ushort)) + (pass == Pass.Keys ? 2 * tokens * sizeof(float) : 0);
        return (own * size * sizeof(ushort)) + (2 * stage);
    }

    private static void AddTail(
        ref KernelArguments arguments, int sequences, int heads, int size, bool causal, bool wide, in DropoutSite dropout)
    {
        arguments.Add(dropout.IsActive ? dropout.TokenKeys : default);
        arguments.Add(sequences);
        arguments.Add(heads);
        arguments.Add(size);
        arguments.Add(causal);
        arguments.Add(wide);
        arguments.Add((float)(1 / Math.Sqrt(size)));
        CudaDropout.AddKey(ref arguments, dropout);
        arguments.Add(dropout.Site << 10);

        // k 2^-24 >= rate for whole k just if k >= ceil(rate 2^24); the product is exact in double.
        arguments.Add((uint)Math.Ceiling(dropout.Rate * (double)(1 << 24)));
        arguments.Add((float)(1 / (1 - (double)dropout.Rate)));
    }

    private static void Launch(in Tensor qkv, Variant variant, string name, int sequences, int heads, int shared, ref KernelArguments arguments)
    {
        CudaDevice device = (CudaDevice)qkv.Device;
        int warps = Warps(variant.Size, qkv.DType == DType.Float32);

        // Sequence s begins at block s + cuSeqlens[s] / rows; see find_rows.
        uint blocks = checked((uint)((qkv.Shape[0] / (warps * WarpRows)) + sequences));
        device.Launch(
            CudaKernels.Get(device, variant.Stem, name), new Dim3(blocks, (uint)heads), warps * WarpSize, ref arguments, shared);
    }

    private enum Pass
    {
        Forward,
        Queries,
        Keys,
    }

    private sealed class Variant(int size)
    {
        public int Size { get; } = size;

        public string Stem { get; } = $"attention_{size}";

        public string ForwardF32 { get; } = $"attention_fwd_f32_{size}";

        public string ForwardBf16 { get; } = $"attention_fwd_bf16_{size}";

        public string QueriesF32 { get; } = $"attention_bwd_queries_f32_{size}";

        public string QueriesBf16 { get; } = $"attention_bwd_queries_bf16_{size}";

        public string KeysF32 { get; } = $"attention_bwd_keys_f32_{size}";

        public string KeysBf16 { get; } = $"attention_bwd_keys_bf16_{size}";
    }
}
