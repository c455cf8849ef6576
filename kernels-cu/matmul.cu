// Matrix products of any extents: output = (or +=) alpha op(a) op(b) (+ bias), sums in float32, by the tiles of tile_product.cuh.
//
// A row of the output depends on its own row of a, on b and on the depth alone: in NN and NT one block adds all of the depth, in an order
// that the depth fixes. In TN (gradients of weights: few tiles, much depth) the steps of depth are dealt out to `splits` blocks in turn
// (how many: CudaMatMul.cs, by the output's extents alone), whose sums matmul_merge adds in order; so a captured graph, which reads the
// depth from the device, gives the same bits as a step of just that depth.
//
// Or the sums continue those that the output holds (kContinue: no splits, no bias, alpha 1): a depth that comes in several products, each
// but the last a multiple of 64, gives the bits of one product over all of it.
//
// Rows that are not multiples of 16 bytes, and operands of another type than the unit's, are packed first by matmul_pack.
//
// Bytes: a is read once for every 128 columns, b once for every 128 rows of the output; the output is written once (and read with
// accumulate). Operations: 2 m n k, tails rounded up to tiles. Splits write and read 4 m n bytes each besides.
#include "tile_product.cuh"

namespace
{

enum : int
{
    kAccumulate = 1,
    kBFloat16Output = 2,
    kWideOutput = 4,
    kContinue = 8,
};
constexpr int kThreadsPerBlock = 256;
constexpr int kStagedPieces = kTile * 4 / kPiece;

template <int W>
__device__ __forceinline__ void store_sums(float (&v)[W], void* c, long long at, int flags)
{
    if ((flags & kBFloat16Output) != 0)
    {
        bf16* p = static_cast<bf16*>(c) + at;
        if ((flags & kAccumulate) != 0)
        {
            float before[W];
            load_floats(p, before);
#pragma unroll
            for (int e = 0; e < W; e++)
            {
                v[e] += before[e];
            }
        }

        if constexpr (W == 4)
        {
            // As one word: clang 14 splits the pair of words that store_floats writes here.
            unsigned long long low = pack_bf16(v[0], v[1]);
            unsigned long long high = pack_bf16(v[2], v[3]);
            *reinterpret_cast<unsigned long long*>(p) = high << 32 | low;
        }
        else
        {
            store_floats(p, v);
        }
    }
    else
    {
        float* p = static_cast<float*>(c) + at;
        if ((flags & kAccumulate) != 0)
        {
            float before[W];
            load_floats(p, before);
#pragma unroll
            for (int e = 0; e < W; e++)
            {
                v[e] += before[e];
            }
        }

        store_floats(p, v);
    }
}

// Four results of a row, from `column` on: in one access, or one by one with the tail cut off.
__device__ __forceinline__ void finish(
    float (&v)[4], void* c, long long row, int column, int n, int ldc, const float* bias, float alpha, int flags)
{
#pragma unroll
    for (int e = 0; e < 4; e++)
    {
        v[e] *= alpha;
    }

    if ((flags & kWideOutput) != 0)
    {
        if (column < n)
        {
            if (bias != nullptr)
            {
                float added[4];
                load_floats(bias + column, added);
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    v[e] += added[e];
                }
            }

            store_sums(v, c, row * ldc + column, flags);
        }
    }
    else
    {
#pragma unroll
        for (int e = 0; e < 4; e++)
        {
            if (column + e < n)
            {
                float single[1] = {bias == nullptr ? v[e] : v[e] + bias[column + e]};
                store_sums(single, c, row * ldc + column + e, flags);
            }
        }
    }
}

// What the output (float32) holds of the tile; zeros outside it.
template <int Unit>
__device__ __forceinline__ void load_sums(
    float (&sum)[kSums][kSums], const float* c, int first_row, int first_column, int rows, int n, int ldc, bool wide)
{
    // Columns of a thread that lie side by side.
    constexpr int kRun = Unit == kFloat32 ? 4 : 2;
    int thread = fresh_thread();
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
        int row = first_row + sum_row(thread, i);
#pragma unroll
        for (int j = 0; j < kSums; j += kRun)
        {
            int column = first_column + sum_column<Unit>(thread, j);
            const float* p = c + (long long)row * ldc + column;
            if (wide && row < rows && column < n)
            {
                if constexpr (kRun == 4)
                {
                    float4 run = *reinterpret_cast<const float4*>(p);
                    sum[i][j] = run.x;
                    sum[i][j + 1] = run.y;
                    sum[i][j + 2] = run.z;
                    sum[i][j + 3] = run.w;
                }
                else
                {
                    float2 run = *reinterpret_cast<const float2*>(p);
                    sum[i][j] = run.x;
                    sum[i][j + 1] = run.y;
                }
            }
            else
            {
#pragma unroll
                for (int e = 0; e < kRun; e++)
                {
                    sum[i][j + e] = row < rows && column < n - e ? p[e] : 0.0f;
                }
            }
        }
    }
}

template <int Unit, bool LeftByDepth, bool RightByDepth>
__device__ __forceinline__ void product(
    unsigned char* tiles, const unsigned char* a, const unsigned char* b, void* c, float* partials, const float* bias, const int* live_m,
    const int* live_k, int m, int n, int k, int lda, int ldb, int ldc, float alpha, int flags)
{
    int rows = live_rows(live_m, m);
    int depth = live_rows(live_k, k);
    int columns = (n + kTile - 1) / kTile;
    int first_row = (int)blockIdx.x / columns * kTile;
    int first_column = (int)blockIdx.x % columns * kTile;
    int steps = depth_steps<Unit>(depth);
    if (first_row >= rows || (partials != nullptr && (int)blockIdx.y >= steps))
    {
        return;
    }

    TileOperand left = {a, (long long)lda * kElementBytes<Unit>, rows, depth};
    TileOperand right = {b, (long long)ldb * kElementBytes<Unit>, n, depth};
    float sum[kSums][kSums];
    if ((flags & kContinue) != 0)
    {
        load_sums<Unit>(sum, static_cast<const float*>(c), first_row, first_column, rows, n, ldc, (flags & kWideOutput) != 0);
    }
    else
    {
        clear_sums(sum);
    }

    add_tile_product<Unit, LeftByDepth, RightByDepth>(
        sum, tiles, left, right, first_row, first_column, (int)blockIdx.y, (int)gridDim.y, steps);

    // A split's sums go as they are to its own (m, n) of the workspace.
    void* target = partials != nullptr ? partials + (long long)blockIdx.y * m * n : c;
    const float* added = partials != nullptr ? nullptr : bias;
    float scale = partials != nullptr ? 1.0f : alpha;
    int mode = partials != nullptr ? (n % 4 == 0 ? (int)kWideOutput : 0) : flags;
    for (int half = 0; half < kTile / kStagedRows; half++)
    {
        stage_rows<Unit>(tiles, sum, half);
        __syncthreads();
        for (int at = (int)threadIdx.x; at < kStagedRows * kStagedPieces; at += kTileThreads)
        {
            int row = at / kStagedPieces;
            int piece = at % kStagedPieces;
            int to = first_row + half * kStagedRows + row;
            if (to < rows)
            {
                float v[4];
                load_floats(reinterpret_cast<const float*>(tiles + staged_place(row, piece)), v);
                finish(v, target, to, first_column + piece * 4, n, partials != nullptr ? n : ldc, added, scale, mode);
            }
        }

        // The rows are read before the next ones take their place.
        __syncthreads();
    }
}

template <typename From, typename To, int W>
__device__ __forceinline__ void pack(const From* from, To* to, const int* live, int first, int rows, int columns, int from_stride, int stride)
{
    int row = (int)blockIdx.y;
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * 4;
    if (first + row >= live_rows(live, first + rows) || column >= stride)
    {
        return;
    }

    float v[4];
    const From* source = from + (long long)row * from_stride + column;
    if constexpr (W == 4)
    {
        load_floats(source, v);
    }
    else
    {
#pragma unroll
        for (int e = 0; e < 4; e++)
        {
            v[e] = column + e < columns ? to_float(source[e]) : 0.0f;
        }
    }

    store_floats(to + (long long)row * stride + column, v);
}

// to (rows, stride) = from (rows, columns of from_stride), zeros behind, the rows from `first` on of a tensor; stride a multiple of 16 bytes. Wide: columns = stride, addresses aligned.
template <typename From, typename To>
__device__ __forceinline__ void pack_rows(
    const From* from, To* to, const int* live, int first, int rows, int columns, int from_stride, int stride, int wide)
{
    if (wide != 0)
    {
        pack<From, To, 4>(from, to, live, first, rows, columns, from_stride, stride);
    }
    else
    {
        pack<From, To, 1>(from, to, live, first, rows, columns, from_stride, stride);
    }
}

} // namespace

// a (m, k), or (k, m) in tn; b (k, n), or (n, k) in nt; c (m, n). lda, ldb, ldc: elements from row to row; of a and b multiples of 16 bytes.
// partials (splits, m, n) or null. One block a tile (x) and a split (y).
#define CROSSALIGN_PRODUCT(NAME, UNIT, LEFT_BY_DEPTH, RIGHT_BY_DEPTH)                                                                 \
    extern "C" __global__ void __launch_bounds__(kTileThreads) NAME(                                                                 \
        const unsigned char* a, const unsigned char* b, void* c, float* partials, const float* bias, const int* live_m,              \
        const int* live_k, int m, int n, int k, int lda, int ldb, int ldc, float alpha, int flags)                                   \
    {                                                                                                                                \
        __shared__ __align__(128) unsigned char tiles[kTileSharedBytes];                                                             \
        product<UNIT, LEFT_BY_DEPTH, RIGHT_BY_DEPTH>(                                                                                \
            tiles, a, b, c, partials, bias, live_m, live_k, m, n, k, lda, ldb, ldc, alpha, flags);                                   \
    }

CROSSALIGN_PRODUCT(matmul_nn_bf16, kBFloat16, true, false)
CROSSALIGN_PRODUCT(matmul_nt_bf16, kBFloat16, true, true)
CROSSALIGN_PRODUCT(matmul_tn_bf16, kBFloat16, false, false)
CROSSALIGN_PRODUCT(matmul_nn_tf32, kTf32, true, false)
CROSSALIGN_PRODUCT(matmul_nt_tf32, kTf32, true, true)
CROSSALIGN_PRODUCT(matmul_tn_tf32, kTf32, false, false)
CROSSALIGN_PRODUCT(matmul_nn_f32, kFloat32, true, false)
CROSSALIGN_PRODUCT(matmul_nt_f32, kFloat32, true, true)
CROSSALIGN_PRODUCT(matmul_tn_f32, kFloat32, false, false)

// c = (or +=) alpha (the sum of the partials, in order) (+ bias). depth: how deep the product was, in steps, where splits may be empty.
// One thread four columns (x) of a row (y); splits = 0 lays the bias in every row.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) matmul_merge(
    const float* partials, void* c, const float* bias, const int* live_m, const int* live_k, int m, int n, int k, int ldc,
    int step_depth, int splits, float alpha, int flags)
{
    long long at = ((long long)blockIdx.x * kThreadsPerBlock + threadIdx.x) * 4;
    int padded = (n + 3) / 4 * 4;
    long long row = at / padded;
    int column = (int)(at % padded);
    if (row >= live_rows(live_m, m))
    {
        return;
    }

    int filled = min(splits, (live_rows(live_k, k) + step_depth - 1) / step_depth);
    float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const float* first = partials + row * n + column;
    long long step = (long long)m * n;
    if (n % 4 == 0)
    {
        for (int s = 0; s < filled; s++)
        {
            float more[4];
            load_floats(first + s * step, more);
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                v[e] += more[e];
            }
        }
    }
    else
    {
        // One column after the other: side by side, clang 14 merges these loads with those above and splits both.
#pragma unroll
        for (int e = 0; e < 4; e++)
        {
            for (int s = 0; s < filled && column + e < n; s++)
            {
                v[e] += first[s * step + e];
            }
        }
    }

    finish(v, c, row, column, n, ldc, bias, alpha, flags);
}

#define CROSSALIGN_PACK(NAME, FROM, TO)                                                                                              \
    extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) NAME(                                                             \
        const FROM* from, TO* to, const int* live, int first, int rows, int columns, int from_stride, int stride, int wide)          \
    {                                                                                                                                \
        pack_rows(from, to, live, first, rows, columns, from_stride, stride, wide);                                                  \
    }

CROSSALIGN_PACK(matmul_pack_f32_f32, float, float)
CROSSALIGN_PACK(matmul_pack_f32_bf16, float, bf16)
CROSSALIGN_PACK(matmul_pack_bf16_f32, bf16, float)
CROSSALIGN_PACK(matmul_pack_bf16_bf16, bf16, bf16)

namespace
{

// Zeros in the rows (of `columns`, `stride` apart) from the live ones to the capacity, for products that take their sizes from the host.
// One thread one column (x), every gridDim.y-th row.
template <typename T>
__device__ __forceinline__ void clear_rows(T* rows, const int* live, int capacity, int columns, int stride)
{
    int column = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= columns)
    {
        return;
    }

    for (int row = live_rows(live, capacity) + (int)blockIdx.y; row < capacity; row += (int)gridDim.y)
    {
        rows[(long long)row * stride + column] = from_float<T>(0.0f);
    }
}

} // namespace

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) matmul_clear_f32(float* rows, const int* live, int capacity, int columns, int stride)
{
    clear_rows(rows, live, capacity, columns, stride);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) matmul_clear_bf16(bf16* rows, const int* live, int capacity, int columns, int stride)
{
    clear_rows(rows, live, capacity, columns, stride);
}
