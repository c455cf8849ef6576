// What the attention kernels of both storage types share: which rows a block works on, the tiles in shared memory and the dropout of
// probabilities. Packed sequences: sequence s has the tokens ends[s] to ends[s + 1] - 1; a token's row of qkv (n, 3c) holds its
// query, key and value, each head by head. Sources: A. Vaswani et al., "Attention Is All You Need", 2017, equation 1; T. Dao et al.,
// "FlashAttention", 2022, algorithms 1 and 4 (the online softmax; the recomputation from log-sum-exps).
//
// A block has one head and kRows rows of one sequence: queries where rows of the output or dq are made, keys where those of dk and dv
// are. What a row gets depends on its sequence alone, and each sum is made in one order by one warp: no atomics. A warp has 16 rows.
//
// kernels-cu/attention_<D>.cu gives the kernels for head sizes up to D; the columns behind a smaller head are zeros in shared memory.
#pragma once

#include "philox.cuh"
#include "tensor_core.cuh"

constexpr int kWarpRows = 16;
constexpr int kChunkBytes = 16;

__device__ __forceinline__ float log2_of_e() { return 1.44269504f; }

// Dropout of probabilities; tokens (n, 2): example and position. No tokens: nothing is dropped.
struct Dropout
{
    const int* tokens;
    const int* stored_key; // see dropout_key
    unsigned long long key;
    unsigned site;
    unsigned threshold;
    float scale;
};

struct Problem
{
    int heads;
    int size;
    int causal;
    int wide; // whether the host found rows and addresses whole numbers of 16 bytes
    float scale;
    Dropout dropout;
};

// The rows of a block: `first` is the first of them in its sequence.
struct Rows
{
    int start;
    int length;
    int first;
};

// The blocks of sequence s begin at s + ends[s] / Count: that leaves 1 + (length / Count) of them at least, enough for its rows, and
// n / Count + sequences in all. So a block finds its sequence by bisection, and the grid needs no length. False: nothing to do.
template <int Count>
__device__ __forceinline__ bool find_rows(const int* ends, int sequences, Rows& rows)
{
    if (sequences == 0)
    {
        return false;
    }

    int block = (int)blockIdx.x;
    int low = 0;
    int high = sequences;
    while (high - low > 1)
    {
        int middle = (low + high) >> 1;
        if (middle + ends[middle] / Count <= block)
        {
            low = middle;
        }
        else
        {
            high = middle;
        }
    }

    rows.start = ends[low];
    rows.length = ends[low + 1] - rows.start;
    rows.first = (block - low - rows.start / Count) * Count;
    return rows.first < rows.length;
}

// The first row of the warp among those of the block.
__device__ __forceinline__ int warp_row() { return (int)((unsigned)fresh_thread() / (unsigned)kWarpSize) * kWarpRows; }

// The head that a block works on, in its sequence.
template <typename T>
struct Head
{
    int index;
    int count; // of heads
    int size;
    int wide;
    long long width;  // elements from a token's row of out to the next
    long long stride; // likewise of qkv
    long long begin;  // of the head's columns of the sequence's first token, in out
    const T* queries; // the same in qkv, and the other two of the three
    const T* keys;
    const T* values;
};

// Computed where it is asked for: a dozen instructions a round, where keeping it would take a dozen registers all through the kernel.
template <typename T>
__device__ __forceinline__ Head<T> find_head(const T* qkv, const Rows& rows, const Problem& problem)
{
    int start = rows.start;
    Head<T> head;
    head.index = (int)blockIdx.y;
    head.count = problem.heads;
    head.size = problem.size;
    head.wide = problem.wide;
    forget(start);
    forget(head.index);
    forget(head.count);
    forget(head.size);
    head.width = (long long)head.count * head.size;
    head.stride = 3 * head.width;
    head.begin = start * head.width + head.index * head.size;
    head.queries = qkv + (start * head.stride + head.index * head.size);
    head.keys = head.queries + head.width;
    head.values = head.keys + head.width;
    return head;
}

// ---- tiles: rows of D elements in shared memory, in chunks of 16 bytes ----

// bfloat16 rows lie close together, their chunks permuted: eight rows at one chunk (ldmatrix) and eight chunks in a row (cp.async) fall
// into different banks. float32 rows have one chunk more than they need: eight rows at one chunk differ too, and a column's offset is a
// constant of the instruction.
template <typename T, int D>
constexpr int kChunks = D * (int)sizeof(T) / kChunkBytes;

template <typename T, int D>
constexpr int kPitch = (kChunks<T, D> + (sizeof(T) == 4 ? 1 : 0)) * kChunkBytes;

// By how much the chunks of a row are permuted (exclusive or).
template <typename T, int D>
__device__ __forceinline__ int chunk_swizzle(int row)
{
    constexpr int R = kChunks<T, D>;
    constexpr int kGroup = R % 8 == 0 ? 8 : R % 4 == 0 ? 4 : R % 2 == 0 ? 2 : 1;
    return sizeof(T) == 4 ? 0 : (row / (8 / kGroup)) & (kGroup - 1);
}

template <typename T, int D>
__device__ __forceinline__ int chunk_offset(int row, int chunk)
{
    return row * kPitch<T, D> + (chunk ^ chunk_swizzle<T, D>(row)) * kChunkBytes;
}

// Begins to fill a tile of Count rows with those of a head; behind `count` rows and behind `size` elements with zeros. The caller
// commits, waits and passes a barrier. `source` is not read where `count` is not positive. `wide`: whether 16 bytes may be moved at a time.
template <typename T, int D, int Count, int Threads>
__device__ __forceinline__ void load_tile(unsigned char* tile, const T* source, long long stride, int count, int size, int wide)
{
    constexpr int R = kChunks<T, D>;
    constexpr int kElements = kChunkBytes / (int)sizeof(T);
    int thread = fresh_thread();
    forget(stride);
    if (wide != 0)
    {
        // kGroup threads side by side have the chunks of a row, or the largest power of two that divides them; a thread's further rows
        // are a multiple of eight below (bfloat16), so they are permuted as its first.
        constexpr int kGroup = R & -R;
        constexpr int kStep = Threads / kGroup;
        static_assert(sizeof(T) == 4 || kStep % 8 == 0, "the permutation of a row would change");
        int row = (int)((unsigned)thread / (unsigned)kGroup);
        int chunk = (int)((unsigned)thread % (unsigned)kGroup);
        const T* from = source + (row * stride + chunk * kElements);
        unsigned to = shared_address(tile) + (unsigned)chunk_offset<T, D>(row, chunk);
        int rows_left = count - row;
        int columns_left = size - chunk * kElements;
#pragma unroll
        for (int i = 0; i < (Count + kStep - 1) / kStep; i++)
        {
            bool is_row = i * kStep < rows_left;
            if (Count % kStep == 0 || row < Count - i * kStep)
            {
#pragma unroll
                for (int j = 0; j < R / kGroup; j++)
                {
                    bool is_there = is_row && j * kGroup * kElements < columns_left;
                    cp_async_16_zfill(
                        to + (unsigned)(i * kStep * kPitch<T, D> + j * kGroup * kChunkBytes),
                        is_there ? from + j * kGroup * kElements : source,
                        is_there ? kChunkBytes : 0);
                }
            }

            from += kStep * stride;
        }
    }
    else
    {
#pragma unroll 1
        for (unsigned item = (unsigned)thread; item < (unsigned)(Count * D); item += Threads)
        {
            int row = (int)(item / D);
            int column = (int)(item % D);
            T value = from_float<T>(0.0f);
            if (row < count && column < size)
            {
                value = source[row * stride + column];
            }

            *reinterpret_cast<T*>(tile + chunk_offset<T, D>(row, column / kElements) + column % kElements * (int)sizeof(T)) = value;
        }
    }
}

// Begins to fill two tiles with keys and values of the sequence, from the `first` on and before `end`.
template <typename T, int D, int Count, int Threads>
__device__ __forceinline__ void load_keys_and_values(
    unsigned char* keys, unsigned char* values, const T* qkv, const Rows& rows, const Problem& problem, int first, int end)
{
    Head<T> head = find_head(qkv, rows, problem);
    load_tile<T, D, Count, Threads>(keys, head.keys + first * head.stride, head.stride, end - first, head.size, head.wide);
    load_tile<T, D, Count, Threads>(values, head.values + first * head.stride, head.stride, end - first, head.size, head.wide);
}

// Likewise with queries and their rows of dout, and behind these the statistics of their rows: log-sum-exps times `factor`, and deltas.
// Queries behind the end of the sequence have zeros in all four, so what they give is zero.
template <typename T, int D, int Count, int Threads>
__device__ __forceinline__ void load_queries(
    unsigned char* queries, unsigned char* douts, float* statistics, const T* qkv, const T* dout, const float* lse, const float* delta, int n,
    const Rows& rows, const Problem& problem, int first, float factor)
{
    Head<T> head = find_head(qkv, rows, problem);
    int left = rows.length - first;
    load_tile<T, D, Count, Threads>(queries, head.queries + first * head.stride, head.stride, left, head.size, head.wide);
    load_tile<T, D, Count, Threads>(douts, dout + (head.begin + first * head.width), head.width, left, head.size, head.wide);
    int row = fresh_thread();
    if (row < Count)
    {
        long long token = rows.start + first + row;
        statistics[row] = row < left ? lse[token * head.count + head.index] * factor : 0.0f;
        statistics[Count + row] = row < left ? delta[(long long)head.index * n + token] : 0.0f;
    }
}

// Writes the first `count` of a warp's 16 rows out of its own rows of a tile, where its lanes have put them.
template <typename T, int D>
__device__ __forceinline__ void store_rows(const unsigned char* tile, T* destination, long long stride, int count, int size, int wide)
{
    constexpr int R = kChunks<T, D>;
    constexpr int kElements = kChunkBytes / (int)sizeof(T);
    int first = warp_row();
    __syncwarp(); // the other lanes' elements
    if (wide != 0)
    {
        constexpr int kGroup = R & -R;
        constexpr int kStep = kWarpSize / kGroup;
        int chunk = lane_index() & (kGroup - 1);
#pragma unroll
        for (int i = 0; i < kWarpRows / kStep; i++)
        {
            int row = i * kStep + (int)((threadIdx.x & 31u) / (unsigned)kGroup);
#pragma unroll
            for (int j = 0; j < R / kGroup; j++)
            {
                if (row < count && j * kGroup * kElements < size - chunk * kElements)
                {
                    // One addition to a pointer: behind more than six clang 14 does not see that the four stores are side by side.
                    uint4 v = *reinterpret_cast<const uint4*>(tile + chunk_offset<T, D>(first + row, chunk + j * kGroup));
                    *reinterpret_cast<uint4*>(destination + (row * stride + (chunk + j * kGroup) * kElements)) = make_uint4(v.x, v.y, v.z, v.w);
                }
            }
        }
    }
    else
    {
#pragma unroll 1
        for (unsigned item = threadIdx.x & 31u; item < (unsigned)(kWarpRows * D); item += kWarpSize)
        {
            int row = (int)(item / D);
            int column = (int)(item % D);
            if (row < count && column < size)
            {
                destination[row * stride + column] = *reinterpret_cast<const T*>(
                    tile + chunk_offset<T, D>(first + row, column / kElements) + column % kElements * (int)sizeof(T));
            }
        }
    }
}

// ---- dropout ----

// Bit k: whether the probability that the sequence's token `query` gives to its token `key` + k is kept. Tokens behind the last count as
// the last. Neighbouring keys share a draw of the stream where their positions do.
template <int Count>
__device__ __forceinline__ unsigned kept_keys(const Dropout& dropout, const Rows& rows, int query, int key)
{
    unsigned long long key_of_step = dropout_key(dropout.stored_key, dropout.key);
    int head = (int)blockIdx.y;
    int start = rows.start;
    forget(head);
    forget(start);
    int last = start + rows.length - 1;
    const int* name = dropout.tokens + 2LL * min(start + query, last);
    unsigned drawn = ~0u;
    unsigned bits = 0;
    uint4 words = make_uint4(0, 0, 0, 0);
#pragma unroll 1
    for (int k = 0; k < Count; k++)
    {
        unsigned position = (unsigned)dropout.tokens[2LL * min(start + key + k, last) + 1];
        if (position >> 2 != drawn)
        {
            drawn = position >> 2;
            long long step_key = (long long)key_of_step;
            forget(step_key); // or the keys of its ten rounds stay in registers
            words = philox((unsigned long long)step_key, drawn, (unsigned)name[1], (unsigned)name[0], dropout.site | (unsigned)head);
        }

        unsigned low = position & 1 ? words.y : words.x;
        unsigned high = position & 1 ? words.w : words.z;
        bits |= ((position & 2 ? high : low) >> 8 >= dropout.threshold ? 1u : 0u) << k;
    }

    return bits;
}

// ---- row sums of the backward pass ----

// delta = sum of dout out over a head, for the 16 rows of a warp: eight lanes a row; row 4 i + lane / 8 is in sums[i] of its lanes.
template <typename T, int W>
__device__ __forceinline__ void row_products(const T* dout, const T* out, long long stride, int count, int size, float (&sums)[4])
{
    int part = lane_index() & 7;
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        int row = 4 * i + (lane_index() >> 3);
        float sum = 0.0f;
        if (row < count)
        {
            for (int column = part * W; column < size; column += 8 * W)
            {
                float a[W], b[W];
                load_floats(dout + row * stride + column, a);
                load_floats(out + row * stride + column, b);
#pragma unroll
                for (int k = 0; k < W; k++)
                {
                    sum = fmaf(a[k], b[k], sum);
                }
            }
        }

#pragma unroll
        for (int m = 4; m > 0; m >>= 1)
        {
            sum += __shfl_xor_sync(kAllLanes, sum, m);
        }

        sums[i] = sum;
    }
}

// The same, and writes them to delta (heads, n), which the pass over the keys reads.
template <typename T>
__device__ __forceinline__ void make_delta(
    const T* dout, const T* out, float* delta, const Rows& rows, const Head<T>& head, int n, float (&sums)[4])
{
    int first = rows.first + warp_row();
    int count = rows.length - first;
    long long offset = head.begin + first * head.width;
    if (head.wide != 0)
    {
        row_products<T, kVector<T>>(dout + offset, out + offset, head.width, count, head.size, sums);
    }
    else
    {
        row_products<T, 1>(dout + offset, out + offset, head.width, count, head.size, sums);
    }

    float* p = delta + (long long)head.index * n + rows.start + first;
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        int row = 4 * i + (lane_index() >> 3);
        if ((lane_index() & 7) == 0 && row < count)
        {
            p[row] = sums[i];
        }
    }
}
