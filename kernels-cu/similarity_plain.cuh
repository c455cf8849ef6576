// The epilogues of a tile that lies wholly inside the matrix, for the plain softmax: row i belongs to column i, no groups, no margin, no
// smoothing. Sums stay in the registers of the tensor cores' layout: a thread has 8 x 8 of them, a quad of lanes 32 columns of a row,
// eight quads a column. Any other variant, tiles at an edge and the plain cores go by way of shared memory, see similarity.cuh.
//
// The logits are made by the same expression on either way, so both passes see the same bits.
#pragma once
#include "similarity.cuh"

enum : int
{
    kOtherVariants = kSigmoid | kMaskedGroups | kSharedGroups | kSmoothing | kMargin,
    kRowWarps = 4,    // warps beside each other in a tile
    kColumnWarps = 2, // and above each other
};

// Words of shared memory: (maximum, sum) of each row by each of four warps, of each column by each of two, and each row's positive.
__device__ __forceinline__ unsigned row_word(int warp, int kind, int row) { return (unsigned)((2 * warp + kind) * kTile + row) * 4; }
__device__ __forceinline__ unsigned column_word(int warp, int kind, int column)
{
    return (unsigned)((2 * kRowWarps + 2 * warp + kind) * kTile + column) * 4;
}
__device__ __forceinline__ unsigned positive_word(int row) { return (unsigned)((2 * kRowWarps + 2 * kColumnWarps) * kTile + row) * 4; }

// Whether a tile of `rows` rows and `columns` columns (what is left of the super-tile) can take this way: wherever super-tiles are cut, the
// same tiles do. Pairs of columns are loaded at once: every tile begins at an even column.
__device__ __forceinline__ bool is_plain(const Similarity& s, int rows, int columns)
{
    return (s.flags & kOtherVariants) == 0 && s.targets == nullptr && rows >= kTile && columns >= kTile;
}

// exp(x) of x <= 0, within 1e-5: logits of the tensor cores are no better.
__device__ __forceinline__ float exp_below(float x) { return fast_exp2(x * 1.44269502f); }

__device__ __forceinline__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Over the eight quads: a column of the warp.
__device__ __forceinline__ float quads_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 4));
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 8));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 16));
}

__device__ __forceinline__ float quads_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 4);
    x += __shfl_xor_sync(0xffffffffu, x, 8);
    return x + __shfl_xor_sync(0xffffffffu, x, 16);
}

// One value of each of the thread's columns; pairs of them lie side by side.
template <int Unit>
__device__ __forceinline__ void load_own_columns(float (&v)[kSums], const float* values, int thread)
{
#pragma unroll
    for (int j = 0; j < kSums; j += 2)
    {
        float2 pair = *reinterpret_cast<const float2*>(values + sum_column<Unit>(thread, j));
        v[j] = pair.x;
        v[j + 1] = pair.y;
    }
}

// Dot products become logits. row: the tile's first, of the whole matrix.
template <int Unit>
__device__ __forceinline__ void plain_logits(const Similarity& s, float (&z)[kSums][kSums], const float (&rstd)[kSums], int row, int thread)
{
    float scale = s.scalars[kScaleScalar];
    float bias = s.scalars[kBiasScalar];
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
        float factor = scale * (has(s, kNormalize) ? of_rows(s, kRstd)[row + sum_row(thread, i)] : 1.0f);
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            z[i][j] = z[i][j] * factor * rstd[j] + bias;
        }
    }
}

template <int Unit>
__device__ __forceinline__ void load_own_rstd(float (&rstd)[kSums], const Similarity& s, int column, int thread)
{
    if (has(s, kNormalize))
    {
        load_own_columns<Unit>(rstd, of_columns(s, kRstd) + column, thread);
    }
    else
    {
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            rstd[j] = 1.0f;
        }
    }
}

// (maximum, sum of exponentials) of the warp's part of each row and column, and the positives, to shared memory.
template <int Unit>
__device__ __forceinline__ void plain_pairs(const Similarity& s, const float (&z)[kSums][kSums], unsigned base, int offset, int thread)
{
    int lane = thread & (kWarpSize - 1);
    int warp = thread >> 5;
    if (has(s, kRowsActive))
    {
#pragma unroll
        for (int i = 0; i < kSums; i++)
        {
            float max = z[i][0];
#pragma unroll
            for (int j = 1; j < kSums; j++)
            {
                max = fmaxf(max, z[i][j]);
            }

            max = quad_max(max);
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j < kSums; j++)
            {
                sum += exp_below(z[i][j] - max);
            }

            sum = quad_sum(sum);
            if ((lane & 3) == 0)
            {
                store_shared(base + row_word(warp & 3, 0, sum_row(thread, i)), max);
                store_shared(base + row_word(warp & 3, 1, sum_row(thread, i)), sum);
            }
        }
    }

    if (has(s, kColumnsActive))
    {
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            float max = z[0][j];
#pragma unroll
            for (int i = 1; i < kSums; i++)
            {
                max = fmaxf(max, z[i][j]);
            }

            max = quads_max(max);
            float sum = 0.0f;
#pragma unroll
            for (int i = 0; i < kSums; i++)
            {
                sum += exp_below(z[i][j] - max);
            }

            sum = quads_sum(sum);
            if (lane < 4)
            {
                store_shared(base + column_word(warp >> 2, 0, sum_column<Unit>(thread, j)), max);
                store_shared(base + column_word(warp >> 2, 1, sum_column<Unit>(thread, j)), sum);
            }
        }
    }

    // The diagonal crosses few tiles.
    if (offset > -kTile && offset < kTile)
    {
#pragma unroll
        for (int i = 0; i < kSums; i++)
        {
#pragma unroll
            for (int j = 0; j < kSums; j++)
            {
                if (sum_row(thread, i) + offset == sum_column<Unit>(thread, j))
                {
                    store_shared(base + positive_word(sum_row(thread, i)), z[i][j]);
                }
            }
        }
    }
}

// Keeps the tile's logits; pairs of columns lie side by side.
template <int Unit>
__device__ __forceinline__ void keep_logits(const float (&z)[kSums][kSums], float* kept, int stride, int thread)
{
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
        float* row = kept + (long long)sum_row(thread, i) * stride;
#pragma unroll
        for (int j = 0; j < kSums; j += 2)
        {
            *reinterpret_cast<float2*>(row + sum_column<Unit>(thread, j)) = make_float2(z[i][j], z[i][j + 1]);
        }
    }
}

// The epilogue of the first pass. row and column: the tile's first, of the whole matrix; the partials are the tile's own, `step` floats
// from kind to kind, of its first row and column on. kept: where the tile's logits are kept, or null.
template <int Unit>
__device__ __forceinline__ void plain_stats(
    const Similarity& s, float (&z)[kSums][kSums], unsigned char* tiles, float* kept, int kept_stride, int row, int column, float* row_partials,
    long long row_step, float* column_partials, long long column_step)
{
    unsigned base = shared_address(tiles);
    int thread = fresh_thread();
    float rstd[kSums];
    load_own_rstd<Unit>(rstd, s, column, thread);
    plain_logits<Unit>(s, z, rstd, row, thread);
    if (kept != nullptr)
    {
        keep_logits<Unit>(z, kept, kept_stride, thread);
    }

    // The column of the tile's first row, counted from the tile's first column.
    int offset = row - column;
    plain_pairs<Unit>(s, z, base, offset, thread);

    // All warps' pairs are there.
    __syncthreads();
    bool by_rows = thread < kTile;
    int line = thread & (kTile - 1);
    if (!has(s, by_rows ? kRowsActive : kColumnsActive))
    {
        return;
    }

    int warps = by_rows ? kRowWarps : kColumnWarps;
    unsigned at = by_rows ? row_word(0, 0, line) : column_word(0, 0, line);
    float max = load_shared(base + at);
    float sum = load_shared(base + at + kTile * 4);
    for (int w = 1; w < warps; w++)
    {
        at += 2 * kTile * 4;
        merge_pair(max, sum, load_shared(base + at), load_shared(base + at + kTile * 4));
    }

    int positive_row = by_rows ? line : line - offset;
    int positive_column = by_rows ? line + offset : line;
    bool has_positive = positive_row >= 0 && positive_row < kTile && positive_column >= 0 && positive_column < kTile;
    float* to = (by_rows ? row_partials : column_partials) + line;
    long long step = by_rows ? row_step : column_step;
    to[kPartialMax * step] = max;
    to[kPartialSum * step] = sum;
    to[kPartialPositive * step] = has_positive ? load_shared(base + positive_word(positive_row)) : 0.0f;
    to[kPartialCount * step] = has_positive ? 1.0f : 0.0f;
    if (!by_rows)
    {
        to[kPartialWeight * step] = has_positive ? weight_of(s, row + positive_row) : 0.0f;
    }
}

// A lane with `upper` gives low and takes it anew, another gives and takes high.
__device__ __forceinline__ void exchange(unsigned& low, unsigned& high, bool upper, int mask)
{
    unsigned other = (unsigned)__shfl_xor_sync(0xffffffffu, (int)(upper ? low : high), mask);
    low = upper ? other : low;
    high = upper ? high : other;
}

// Lane q's word k becomes lane k's word q, within a quad.
__device__ __forceinline__ void transpose_quad(unsigned (&w)[4])
{
    bool odd = (lane_index() & 1) != 0;
    bool upper = (lane_index() & 2) != 0;
    exchange(w[0], w[1], odd, 1);
    exchange(w[2], w[3], odd, 1);
    exchange(w[0], w[2], upper, 2);
    exchange(w[1], w[3], upper, 2);
}

// The epilogue of the second pass: the gradients of the logits, times the norms of both sides, to tile[0], its first element in the workspace.
template <int Unit>
__device__ __forceinline__ void plain_gradients(const Similarity& s, float (&z)[kSums][kSums], int row, int column, void* tile, int stride)
{
    bool rows = has(s, kRowsActive);
    bool columns = has(s, kColumnsActive);
    int thread = fresh_thread();
    float rstd[kSums], max[kSums], factor[kSums];
    load_own_rstd<Unit>(rstd, s, column, thread);
    plain_logits<Unit>(s, z, rstd, row, thread);

    // A direction that has no loss: exp(-inf) = 0.
#pragma unroll
    for (int j = 0; j < kSums; j++)
    {
        max[j] = positive_infinity();
        factor[j] = 0.0f;
    }

    if (columns)
    {
        load_own_columns<Unit>(max, of_columns(s, kMax) + column, thread);
        load_own_columns<Unit>(factor, of_columns(s, kSum) + column, thread);
    }

    int offset = row - column;
    bool crosses = offset > -kTile && offset < kTile;
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
        int at = row + sum_row(thread, i);
        float row_max = rows ? of_rows(s, kMax)[at] : positive_infinity();
        float row_factor = rows ? of_rows(s, kSum)[at] : 0.0f;
        float row_rstd = has(s, kNormalize) ? of_rows(s, kRstd)[at] : 1.0f;
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            float g = row_factor * exp_below(z[i][j] - row_max);
            z[i][j] = fmaf(factor[j], exp_below(z[i][j] - max[j]), g);
        }

        if (crosses)
        {
            float positive = (rows ? of_rows(s, kPositive)[at] : 0.0f) + (columns && sum_row(thread, i) + offset >= 0 && sum_row(thread, i) + offset < kTile ? of_columns(s, kPositive)[at] : 0.0f);
#pragma unroll
            for (int j = 0; j < kSums; j++)
            {
                z[i][j] -= sum_row(thread, i) + offset == sum_column<Unit>(thread, j) ? positive : 0.0f;
            }
        }

#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            z[i][j] = z[i][j] * row_rstd * rstd[j];
        }

        long long first = (long long)sum_row(thread, i) * stride;
        if constexpr (Unit == kBFloat16)
        {
            unsigned w[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
            {
                w[k] = pack_bf16(z[i][2 * k], z[i][2 * k + 1]);
            }

            // A lane's columns are now eight in a row: 16 bytes.
            transpose_quad(w);
            uint4* to = static_cast<uint4*>(tile) + ((first + (thread & 96)) >> 3) + (thread & 3);
            *to = make_uint4(w[0], w[1], w[2], w[3]);
        }
        else
        {
#pragma unroll
            for (int j = 0; j < kSums; j += 2)
            {
                *reinterpret_cast<float2*>(static_cast<float*>(tile) + first + sum_column<Unit>(thread, j)) = make_float2(z[i][j], z[i][j + 1]);
            }
        }
    }
}
