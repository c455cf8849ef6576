// Retrieval by inner product without the matrix of scores: how many rows of a pool score at least as high as each query's target, and
// the k best rows of each query.
//
// Ranks: the targets' rows are gathered, and their scores taken as the diagonal of tiles of queries times targets; then each block goes
// through tiles of scores of 128 queries and every so many-th 128 rows of the pool, and counts what is not below. Both times a score is
// the sum of the same products in the same order (tile_product.cuh), so that the target's own score, and that of a row equal to it, is
// equal to the bit, and ties count as they must. The blocks' counts are added in a fixed order.
//
// The k best: a warp a query reads the row's scores k times; each time it takes the first of the highest behind the one before.
//
// Bytes and operations: a tile reads 2 * 128 rows for 2 * 128 * 128 operations a column of them (64 a byte in bfloat16); a count is 4
// bytes for 128 * 128 scores. The k best read 4 k bytes a score, all but the first time from a cache.
#include "tile_product.cuh"

namespace
{

constexpr int kWarpsPerBlock = 4;
constexpr int kThreadsPerBlock = kWarpsPerBlock * kWarpSize;
constexpr int kCountedWarps = 4;
constexpr int kKeptRows = kSums / 4;

// Of the rows that four lanes share (sum_row), the h-th that this lane keeps.
__device__ __forceinline__ int kept_row(int thread, int h) { return sum_row(thread, (thread & 3) + 4 * h); }

template <int Unit>
__device__ __forceinline__ void target_scores(
    unsigned char* tiles, const unsigned char* queries, const unsigned char* targets, float* scores, int q, int e, long long stride, long long target_stride)
{
    float sum[kSums][kSums];
    TileOperand left = {queries, stride, q, e};
    TileOperand right = {targets, target_stride, q, e};
    int first = (int)blockIdx.x * kTile;
    tile_product<Unit, true, true>(sum, tiles, left, right, first, first, 0, 1, depth_steps<Unit>(e));
    int thread = fresh_thread();
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            if (sum_row(thread, i) == sum_column<Unit>(thread, j) && sum_row(thread, i) < q - first)
            {
                scores[first + sum_row(thread, i)] = sum[i][j];
            }
        }
    }
}

template <int Unit>
__device__ __forceinline__ void count_scores(
    unsigned char* tiles, const unsigned char* queries, const unsigned char* pool, const float* scores, int* counts, int q, int k, int e,
    long long stride, long long pool_stride)
{
    TileOperand left = {queries, stride, q, e};
    TileOperand right = {pool, pool_stride, k, e};
    int first = (int)blockIdx.x * kTile;

    // The four lanes that share rows keep two of their eight each, to be asked for by shuffles: registers are scarce beside the product.
    int thread = fresh_thread();
    float target[kKeptRows];
    int not_below[kKeptRows];
#pragma unroll
    for (int h = 0; h < kKeptRows; h++)
    {
        int row = kept_row(thread, h);
        target[h] = row < q - first ? scores[first + row] : 0.0f;
        not_below[h] = 0;
    }

    for (int column = (int)blockIdx.y * kTile; column < k; column += (int)gridDim.y * kTile)
    {
        float sum[kSums][kSums];
        tile_product<Unit, true, true>(sum, tiles, left, right, first, column, 0, 1, depth_steps<Unit>(e));
        int columns = k - column;
        thread = fresh_thread();
#pragma unroll
        for (int i = 0; i < kSums; i++)
        {
            int owner = (thread & 28) + i % 4;
            float threshold = __shfl_sync(kAllLanes, target[i / 4], owner);
            int n = 0;
#pragma unroll
            for (int j = 0; j < kSums; j++)
            {
                // A score that is not a number is not below either.
                n += sum_column<Unit>(thread, j) < columns && !(sum[i][j] < threshold) ? 1 : 0;
            }

            n += __shfl_xor_sync(kAllLanes, n, 1);
            n += __shfl_xor_sync(kAllLanes, n, 2);
            not_below[i / 4] += (thread & 31) == owner ? n : 0;
        }
    }

    // Four warps have the columns of a row. The tiles are free: the product's last barrier lies behind their last use.
    int* shared = reinterpret_cast<int*>(tiles);
    thread = fresh_thread();
#pragma unroll
    for (int h = 0; h < kKeptRows; h++)
    {
        shared[((thread >> 5) & 3) * kTile + kept_row(thread, h)] = not_below[h];
    }

    // All warps' counts before they are added.
    __syncthreads();
    int row = (int)threadIdx.x;
    if (row < kTile && row < q - first)
    {
        int n = 0;
#pragma unroll
        for (int warp = 0; warp < kCountedWarps; warp++)
        {
            n += shared[warp * kTile + row];
        }

        counts[(long long)blockIdx.y * q + first + row] = n;
    }
}

// The first of the highest of two numbers with their places.
__device__ __forceinline__ void keep_better(float& score, int& place, float other, int other_place)
{
    if (other > score || (other == score && other_place < place))
    {
        score = other;
        place = other_place;
    }
}

} // namespace

// gathered (q, stride): the rows of the pool that `targets` names, in pieces of 16 bytes.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) retrieval_ranks_gather(
    const uint4* pool, const int* targets, uint4* gathered, int q, int pieces)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= q)
    {
        return;
    }

    long long from = (long long)targets[row] * pieces;
    for (int i = lane_index(); i < pieces; i += kWarpSize)
    {
        gathered[(long long)row * pieces + i] = pool[from + i];
    }
}

// scores (q): of query i and row i of the gathered targets. Strides in bytes.
#define CROSSALIGN_RANKS(SUFFIX, UNIT)                                                                                               \
    extern "C" __global__ void __launch_bounds__(kTileThreads) retrieval_ranks_targets_##SUFFIX(                                     \
        const unsigned char* queries, const unsigned char* gathered, float* scores, int q, int e, long long stride,                  \
        long long target_stride)                                                                                                     \
    {                                                                                                                                \
        __shared__ __align__(128) unsigned char tiles[kTileSharedBytes];                                                             \
        target_scores<UNIT>(tiles, queries, gathered, scores, q, e, stride, target_stride);                                          \
    }                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(kTileThreads) retrieval_ranks_count_##SUFFIX(                                       \
        const unsigned char* queries, const unsigned char* pool, const float* scores, int* counts, int q, int k, int e,              \
        long long stride, long long pool_stride)                                                                                     \
    {                                                                                                                                \
        __shared__ __align__(128) unsigned char tiles[kTileSharedBytes];                                                             \
        count_scores<UNIT>(tiles, queries, pool, scores, counts, q, k, e, stride, pool_stride);                                      \
    }

CROSSALIGN_RANKS(f32, kFloat32)
CROSSALIGN_RANKS(bf16, kBFloat16)

// ranks (q) = the sum of counts (splits, q). The target itself is not below itself: it is the 1 of the rank.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) retrieval_ranks_merge(const int* counts, int* ranks, int q, int splits)
{
    int row = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (row >= q)
    {
        return;
    }

    int rank = 0;
    for (int split = 0; split < splits; split++)
    {
        rank += counts[(long long)split * q + row];
    }

    ranks[row] = rank;
}

// scores (rows, k); indices and best (rows, count): the highest scores of each row in order; best may be null. NaN counts as -infinity.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) retrieval_top(
    const float* scores, int* indices, float* best, int rows, int k, int count)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= rows)
    {
        return;
    }

    const float* s = scores + (long long)row * k;
    float last = positive_infinity();
    int last_place = -1;
    for (int rank = 0; rank < count; rank++)
    {
        // Behind the last one: lower, or as high and further on. A lane meets its places in order, so that the first of equals stays.
        float score = -positive_infinity();
        int place = 0x7fffffff;
        for (int i = lane_index(); i < k; i += kWarpSize)
        {
            float x = s[i];
            x = x == x ? x : -positive_infinity();
            if ((x < last || (x == last && i > last_place)) && (x > score || place == 0x7fffffff))
            {
                score = x;
                place = i;
            }
        }

#pragma unroll
        for (int m = 16; m > 0; m >>= 1)
        {
            float other = __shfl_xor_sync(kAllLanes, score, m);
            int other_place = __shfl_xor_sync(kAllLanes, place, m);
            keep_better(score, place, other, other_place);
        }

        last = score;
        last_place = place;
        if (lane_index() == 0)
        {
            indices[(long long)row * count + rank] = place;
            if (best != nullptr)
            {
                best[(long long)row * count + rank] = s[place];
            }
        }
    }
}
