// Attention on bfloat16 with the tensor cores (mma m16n8k16, float32 accumulation); see attention.cuh. Four warps of 16 rows; the tiles
// of the other side come through two stages of shared memory with cp.async while the one before is computed on.
// An accumulator of mma has rows g = lane / 4 and g + 8 and columns 2 t, 2 t + 1 with t = lane mod 4; two of them side by side are the
// first operand of the next product, so probabilities never leave the registers.
#pragma once

#include "attention.cuh"

constexpr int kMmaWarps = 4;
constexpr int kMmaThreads = kMmaWarps * kWarpSize;
constexpr int kMmaRows = kMmaWarps * kWarpRows;

// Keys of a stage in the forward pass; tokens of a stage in the backward pass, which keeps two products of a tile and for wide heads
// has not the registers for 64.
constexpr int kForwardKeys = 64;

template <int D>
constexpr int kBackwardTokens = D <= 64 ? 64 : 32;

// Per lane: where ldmatrix finds the rows of 16 x 16 operands, before a tile's address and the step along the columns. The permutation
// of a row's chunks is that of its number modulo 8, which the rows 16 further share.
struct Lanes
{
    int row_major; // 16 rows: rows 0-7 and 8-15 of the left half, then of the right one
    int row_chunk;
    int pair_major; // 16 rows: left and right half of rows 0-7, then of rows 8-15
    int pair_chunk;
};

template <int D>
__device__ __forceinline__ Lanes make_lanes()
{
    int lane = lane_index();
    int row = lane & 15;
    int pair = (lane & 7) + ((lane >> 4) << 3);
    Lanes lanes;
    lanes.row_major = row * kPitch<bf16, D>;
    lanes.row_chunk = ((lane >> 4) ^ chunk_swizzle<bf16, D>(row)) * kChunkBytes;
    lanes.pair_major = pair * kPitch<bf16, D>;
    lanes.pair_chunk = (((lane >> 3) & 1) ^ chunk_swizzle<bf16, D>(pair)) * kChunkBytes;
    return lanes;
}

// Rows `row`..`row` + 15, columns 16 step..16 step + 15: the first operand of a product with its rows.
template <int D>
__device__ __forceinline__ void load_a(unsigned (&a)[4], unsigned tile, int row, int step, const Lanes& lanes)
{
    ldmatrix_x4(a, tile + (unsigned)(row * kPitch<bf16, D> + lanes.row_major + (lanes.row_chunk ^ (step * 2 * kChunkBytes))));
}

// The same elements as second operands of two products whose columns are these rows (0-7: b[0], b[1]; 8-15: b[2], b[3]).
template <int D>
__device__ __forceinline__ void load_b(unsigned (&b)[4], unsigned tile, int row, int step, const Lanes& lanes)
{
    ldmatrix_x4(b, tile + (unsigned)(row * kPitch<bf16, D> + lanes.pair_major + (lanes.pair_chunk ^ (step * 2 * kChunkBytes))));
}

// The same elements as second operands of two products along these rows (columns 0-7: b[0], b[1]; 8-15: b[2], b[3]).
template <int D>
__device__ __forceinline__ void load_b_trans(unsigned (&b)[4], unsigned tile, int row, int step, const Lanes& lanes)
{
    ldmatrix_x4_trans(b, tile + (unsigned)(row * kPitch<bf16, D> + lanes.row_major + (lanes.row_chunk ^ (step * 2 * kChunkBytes))));
}

template <int Count>
__device__ __forceinline__ void clear(float (&x)[Count][4])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
#pragma unroll
        for (int k = 0; k < 4; k++)
        {
            x[i][k] = 0.0f;
        }
    }
}

// The same lanes, of which no address is known.
__device__ __forceinline__ Lanes fresh_lanes(Lanes lanes)
{
    forget(lanes.row_major);
    forget(lanes.row_chunk);
    forget(lanes.pair_major);
    forget(lanes.pair_chunk);
    return lanes;
}

// s (16 x 8 Count) = the warp's rows of a times rows of b.
template <int D, int Count>
__device__ __forceinline__ void multiply_rows(float (&s)[Count][4], unsigned a_tile, unsigned b_tile, const Lanes& known)
{
    Lanes lanes = fresh_lanes(known);
    int a_row = warp_row();
    clear(s);
#pragma unroll
    for (int step = 0; step < D / 16; step++)
    {
        unsigned a[4];
        load_a<D>(a, a_tile, a_row, step, lanes);
#pragma unroll
        for (int n = 0; n < Count / 2; n++)
        {
            unsigned b[4];
            load_b<D>(b, b_tile, 16 * n, step, lanes);
            mma_bf16(s[2 * n], a, b[0], b[1]);
            mma_bf16(s[2 * n + 1], a, b[2], b[3]);
        }
    }
}

// An accumulator (16 x 8 Count), rounded to bfloat16, as first operands of products along its columns: half the registers.
template <int Count>
__device__ __forceinline__ void pack_rows(unsigned (&a)[Count / 2][4], const float (&p)[Count][4])
{
#pragma unroll
    for (int step = 0; step < Count / 2; step++)
    {
        a[step][0] = pack_bf16(p[2 * step][0], p[2 * step][1]);
        a[step][1] = pack_bf16(p[2 * step][2], p[2 * step][3]);
        a[step][2] = pack_bf16(p[2 * step + 1][0], p[2 * step + 1][1]);
        a[step][3] = pack_bf16(p[2 * step + 1][2], p[2 * step + 1][3]);
    }
}

// o (16 x D) += p (16 x 16 Steps) times the rows of b.
template <int D, int Steps>
__device__ __forceinline__ void multiply_add(float (&o)[D / 8][4], const unsigned (&p)[Steps][4], unsigned b_tile, const Lanes& known)
{
#pragma unroll
    for (int step = 0; step < Steps; step++)
    {
        Lanes lanes = fresh_lanes(known);
#pragma unroll
        for (int n = 0; n < D / 16; n++)
        {
            unsigned b[4];
            load_b_trans<D>(b, b_tile, 16 * step, n, lanes);
            mma_bf16(o[2 * n], p[step], b[0], b[1]);
            mma_bf16(o[2 * n + 1], p[step], b[2], b[3]);
        }
    }
}

// Puts an accumulator, times `low` (row g) and `high` (row g + 8), into the warp's own rows of a tile, so that the stores to global
// memory are of 16 bytes. No other warp reads these rows, and this one has passed a barrier since it did.
template <int D>
__device__ __forceinline__ void put_rows(const float (&o)[D / 8][4], float low, float high, unsigned char* tile)
{
    int lane = fresh_lane();
    int row = warp_row() + (lane >> 2);
    int t = lane & 3;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
    {
        *reinterpret_cast<unsigned*>(tile + chunk_offset<bf16, D>(row, n) + 4 * t) = pack_bf16(o[n][0] * low, o[n][1] * low);
        *reinterpret_cast<unsigned*>(tile + chunk_offset<bf16, D>(row + 8, n) + 4 * t) = pack_bf16(o[n][2] * high, o[n][3] * high);
    }
}

// Bits of the dropout for the warp's 16 queries and 8 Count keys: lane l draws those of query l mod 16 for one half of the keys.
template <int Count>
__device__ __forceinline__ unsigned draw_rows(const Dropout& dropout, const Rows& rows, int query, int key)
{
    int lane = fresh_lane();
    return kept_keys<4 * Count>(dropout, rows, query + (lane & 15), key + (lane >> 4) * 4 * Count);
}

// Multiplies the elements that are dropped by zero and the others by `scale`.
template <int Count>
__device__ __forceinline__ void drop_rows(float (&p)[Count][4], unsigned bits, float scale)
{
    int lane = fresh_lane();
    int g = lane >> 2;
    int t = lane & 3;
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        unsigned low = (unsigned)__shfl_sync(kAllLanes, (int)bits, g + 16 * half) >> (2 * t);
        unsigned high = (unsigned)__shfl_sync(kAllLanes, (int)bits, g + 8 + 16 * half) >> (2 * t);
#pragma unroll
        for (int n = 0; n < Count / 2; n++)
        {
            int i = half * (Count / 2) + n;
            p[i][0] = (low >> (8 * n)) & 1 ? p[i][0] * scale : 0.0f;
            p[i][1] = (low >> (8 * n)) & 2 ? p[i][1] * scale : 0.0f;
            p[i][2] = (high >> (8 * n)) & 1 ? p[i][2] * scale : 0.0f;
            p[i][3] = (high >> (8 * n)) & 2 ? p[i][3] * scale : 0.0f;
        }
    }
}

// Scaled logits of the keys that a row does not see become minus infinity: keys from `left` (row g) and `left_high` (row g + 8) on,
// counted from the tile's first key.
template <int Count>
__device__ __forceinline__ void hide_keys(float (&s)[Count][4], int left, int left_high)
{
    int t = fresh_lane() & 3;
    left -= 2 * t;
    left_high -= 2 * t;
#pragma unroll
    for (int n = 0; n < Count; n++)
    {
        s[n][0] = 8 * n >= left ? -positive_infinity() : s[n][0];
        s[n][1] = 8 * n + 1 >= left ? -positive_infinity() : s[n][1];
        s[n][2] = 8 * n >= left_high ? -positive_infinity() : s[n][2];
        s[n][3] = 8 * n + 1 >= left_high ? -positive_infinity() : s[n][3];
    }
}

// ---- forward: out = softmax(q k^T scale) v, lse ----

template <int D>
__device__ __forceinline__ void forward_mma(
    unsigned char* shared, const bf16* qkv, const Rows& rows, bf16* out, float* lse, const Problem& problem)
{
    constexpr int kTile = kForwardKeys * kPitch<bf16, D>;
    constexpr int kCount = kForwardKeys / 8;
    unsigned char* stages = shared + kMmaRows * kPitch<bf16, D>;

    int keys = problem.causal ? min(rows.first + kMmaRows, rows.length) : rows.length;
    Head<bf16> head = find_head(qkv, rows, problem);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        shared, head.queries + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);

    Lanes lanes = make_lanes<D>();
    int query = rows.first + warp_row();
    float c2 = problem.scale * log2_of_e();
    float maximum = -positive_infinity();
    float maximum_high = -positive_infinity();
    float sum = 0.0f;
    float sum_high = 0.0f;
    float o[D / 8][4];
    clear(o);

    // A round loads the tiles of the next one where those of the one before were: every warp has left them at the barrier that ends a
    // round. Round -1 only loads.
    for (int first = -kForwardKeys; first < keys; first += kForwardKeys)
    {
        int next = first + kForwardKeys;
        int stage = (next / kForwardKeys) & 1;
        if (next < keys)
        {
            unsigned char* tiles = stages + stage * 2 * kTile;
            load_keys_and_values<bf16, D, kForwardKeys, kMmaThreads>(tiles, tiles + kTile, qkv, rows, problem, next, keys);
        }

        cp_async_commit();
        if (first < 0)
        {
            continue;
        }

        cp_async_wait<1>();
        __syncthreads(); // the other threads' copies of this round's tiles
        unsigned k_tile = shared_address(stages) + (unsigned)((1 - stage) * 2 * kTile);

        // Warps without rows, and with later keys hidden those whose rows see none of the tile, have nothing to compute.
        if (query < rows.length && (!problem.causal || first <= query))
        {
            float s[kCount][4];
            multiply_rows<D>(s, shared_address(shared), k_tile, lanes);
            if (first + kForwardKeys > rows.length || (problem.causal && first + kForwardKeys > query + 1))
            {
                int left = rows.length - first;
                int g = fresh_lane() >> 2;
                hide_keys(
                    s,
                    problem.causal ? min(left, query + g + 1 - first) : left,
                    problem.causal ? min(left, query + g + 9 - first) : left);
            }

            // A row has at least one key that it sees in each tile, so its maximum is finite where its logits are.
            float top = maximum;
            float top_high = maximum_high;
#pragma unroll
            for (int n = 0; n < kCount; n++)
            {
                top = fmaxf(top, fmaxf(s[n][0], s[n][1]));
                top_high = fmaxf(top_high, fmaxf(s[n][2], s[n][3]));
            }

#pragma unroll
            for (int m = 1; m <= 2; m <<= 1)
            {
                top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, m));
                top_high = fmaxf(top_high, __shfl_xor_sync(kAllLanes, top_high, m));
            }

            float shrink = fast_exp2((maximum - top) * c2);
            float shrink_high = fast_exp2((maximum_high - top_high) * c2);
            maximum = top;
            maximum_high = top_high;
            float part = 0.0f;
            float part_high = 0.0f;
#pragma unroll
            for (int n = 0; n < kCount; n++)
            {
                s[n][0] = fast_exp2(fmaf(s[n][0], c2, -top * c2));
                s[n][1] = fast_exp2(fmaf(s[n][1], c2, -top * c2));
                s[n][2] = fast_exp2(fmaf(s[n][2], c2, -top_high * c2));
                s[n][3] = fast_exp2(fmaf(s[n][3], c2, -top_high * c2));
                part += s[n][0] + s[n][1];
                part_high += s[n][2] + s[n][3];
            }

            sum = fmaf(sum, shrink, part);
            sum_high = fmaf(sum_high, shrink_high, part_high);
#pragma unroll
            for (int n = 0; n < D / 8; n++)
            {
                o[n][0] *= shrink;
                o[n][1] *= shrink;
                o[n][2] *= shrink_high;
                o[n][3] *= shrink_high;
            }

            if (problem.dropout.tokens != nullptr)
            {
                unsigned bits = draw_rows<kCount>(problem.dropout, rows, query, first);
                drop_rows(s, bits, 1.0f);
            }

            unsigned p[kCount / 2][4];
            pack_rows(p, s);
            multiply_add<D>(o, p, k_tile + (unsigned)kTile, lanes);
        }

        __syncthreads(); // before the next round overwrites the tiles
    }

    if (query >= rows.length)
    {
        return;
    }

#pragma unroll
    for (int m = 1; m <= 2; m <<= 1)
    {
        sum += __shfl_xor_sync(kAllLanes, sum, m);
        sum_high += __shfl_xor_sync(kAllLanes, sum_high, m);
    }

    head = find_head(qkv, rows, problem);
    int count = rows.length - query;
    int lane = fresh_lane();
    int g = lane >> 2;
    float* p = lse + (long long)(rows.start + query) * head.count + head.index;
    if ((lane & 3) == 0 && g < count)
    {
        p[(long long)g * head.count] = fmaf(maximum, problem.scale, fast_log(sum));
    }

    if ((lane & 3) == 0 && g + 8 < count)
    {
        p[(long long)(g + 8) * head.count] = fmaf(maximum_high, problem.scale, fast_log(sum_high));
    }

    float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
    put_rows<D>(o, kept * reciprocal(sum), kept * reciprocal(sum_high), shared);
    store_rows<bf16, D>(shared, out + (head.begin + query * head.width), head.width, count, head.size, head.wide);
}
