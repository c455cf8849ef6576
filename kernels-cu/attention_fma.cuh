// Attention on float32 with fused multiply-adds, every product a float32 one; see attention.cuh. A warp has 16 rows and goes over tiles
// of 32 tokens of the other side. Lane l has rows l / 8 + 4 i: of a tile's logits the columns l mod 8 + 8 j, of a result with D columns
// those in vectors of kColumns at (l mod 8 + 8 j) kColumns. Between the two, probabilities go through shared memory of the warp.
#pragma once

#include "attention.cuh"

constexpr int kFmaTokens = 32;

// 32 rows a block for wide heads, or its tiles would not fit the 99 KiB that the smaller GPUs have.
template <int D>
constexpr int kFmaWarps = D <= 64 ? 4 : 2;

template <int D>
constexpr int kFmaThreads = kFmaWarps<D> * kWarpSize;

template <int D>
constexpr int kFmaRows = kFmaWarps<D> * kWarpRows;

// 40 floats: the four rows that a warp writes at once begin in different banks.
constexpr int kExchangePitch = 40;
constexpr int kExchangeBytes = kWarpRows * kExchangePitch * (int)sizeof(float);

// The warp's part of the exchange.
__device__ __forceinline__ float* warp_exchange(unsigned char* exchange)
{
    return reinterpret_cast<float*>(exchange + (int)((unsigned)fresh_thread() / (unsigned)kWarpSize) * kExchangeBytes);
}

template <int D>
constexpr int kColumns = D % 32 == 0 ? 4 : 2;

template <int W>
__device__ __forceinline__ void load_shared(const unsigned char* p, float (&v)[W])
{
    static_assert(W == 2 || W == 4, "8 or 16 bytes");
    if constexpr (W == 2)
    {
        float2 q = *reinterpret_cast<const float2*>(p);
        v[0] = q.x;
        v[1] = q.y;
    }
    else
    {
        load_floats(reinterpret_cast<const float*>(p), v);
    }
}

template <int Count>
__device__ __forceinline__ void clear_rows(float (&x)[4][Count])
{
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int k = 0; k < Count; k++)
        {
            x[i][k] = 0.0f;
        }
    }
}

// s = the warp's rows of a times the 32 rows of b.
template <int D>
__device__ __forceinline__ void dot_rows(float (&s)[4][4], const unsigned char* a_tile, const unsigned char* b_tile)
{
    constexpr int P = kPitch<float, D>;
    int lane = fresh_lane();
    const unsigned char* a = a_tile + (warp_row() + (lane >> 3)) * P;
    const unsigned char* b = b_tile + (lane & 7) * P;
    clear_rows(s);
#pragma unroll 1
    for (int column = 0; column < D * (int)sizeof(float); column += kChunkBytes)
    {
        float y[4][4];
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            load_shared(b + 8 * j * P + column, y[j]);
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            float x[4];
            load_shared(a + 4 * i * P + column, x);
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    s[i][j] = fmaf(x[k], y[j][k], s[i][j]);
                }
            }
        }
    }
}

// o += p times the 32 rows of b; p goes through the warp's part of shared memory.
template <int D>
__device__ __forceinline__ void add_product(float (&o)[4][D / 8], const float (&p)[4][4], unsigned char* exchanges, const unsigned char* b_tile)
{
    float* exchange = warp_exchange(exchanges);
    constexpr int P = kPitch<float, D>;
    constexpr int W = kColumns<D>;
    int lane = fresh_lane();
    int r = lane >> 3;
    int k = lane & 7;
    __syncwarp(); // the lanes have read what was here before
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            exchange[(r + 4 * i) * kExchangePitch + k + 8 * j] = p[i][j];
        }
    }

    __syncwarp(); // the other lanes' probabilities
    const float* weights = exchange + r * kExchangePitch;
    const unsigned char* b = b_tile + k * W * (int)sizeof(float);
#pragma unroll 1
    for (int token = 0; token < kFmaTokens; token += 4)
    {
        float w[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            load_floats(weights + 4 * i * kExchangePitch + token, w[i]);
        }

#pragma unroll
        for (int u = 0; u < 4; u++)
        {
#pragma unroll
            for (int j = 0; j < D / (8 * W); j++)
            {
                float v[W];
                load_shared(b + (token + u) * P + j * 8 * W * (int)sizeof(float), v);
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
#pragma unroll
                    for (int e = 0; e < W; e++)
                    {
                        o[i][j * W + e] = fmaf(w[i][u], v[e], o[i][j * W + e]);
                    }
                }
            }
        }
    }
}

// Puts a lane's part of a row of a result, times a factor, into that row of a tile. No other warp reads the row, and this one has
// passed a barrier since it did.
template <int D>
__device__ __forceinline__ void put_columns(const float (&o)[D / 8], float factor, unsigned char* tile, int row)
{
    constexpr int W = kColumns<D>;
    unsigned char* p = tile + row * kPitch<float, D> + (fresh_lane() & 7) * W * (int)sizeof(float);
#pragma unroll
    for (int j = 0; j < D / (8 * W); j++)
    {
        if constexpr (W == 4)
        {
            *reinterpret_cast<float4*>(p + 128 * j) =
                make_float4(o[4 * j] * factor, o[4 * j + 1] * factor, o[4 * j + 2] * factor, o[4 * j + 3] * factor);
        }
        else
        {
            *reinterpret_cast<float2*>(p + 64 * j) = make_float2(o[2 * j] * factor, o[2 * j + 1] * factor);
        }
    }
}

// Logits (or gradients) of the warp's 16 queries and 32 keys: dropped ones become zero, the others are multiplied by `scale`.
__device__ __forceinline__ void drop_keys(float (&p)[4][4], const Dropout& dropout, const Rows& rows, int query, int key, float scale)
{
    int lane = fresh_lane();
    int r = lane >> 3;
    int k = lane & 7;
    unsigned bits = kept_keys<16>(dropout, rows, query + (lane & 15), key + (lane >> 4) * 16);
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            unsigned row = (unsigned)__shfl_sync(kAllLanes, (int)bits, r + 4 * i + 16 * half) >> k;
            p[i][2 * half] = row & 1 ? p[i][2 * half] * scale : 0.0f;
            p[i][2 * half + 1] = row & 256 ? p[i][2 * half + 1] * scale : 0.0f;
        }
    }
}

// Logits, times the scale; those of keys that a row does not see become minus infinity. `left`: keys up to the end of the sequence,
// `seen`: keys that the row of this lane's i = 0 sees, one more for each further row (with later keys hidden); both from the tile's first.
__device__ __forceinline__ void finish_logits(float (&s)[4][4], float scale, int left, int seen, bool causal)
{
    int k = fresh_lane() & 7;
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        int limit = (causal ? min(left, seen + 4 * i) : left) - k;
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            s[i][j] = 8 * j >= limit ? -positive_infinity() : s[i][j] * scale;
        }
    }
}

// The sum over the eight lanes of a row.
__device__ __forceinline__ float row_sum(float x)
{
#pragma unroll
    for (int m = 4; m > 0; m >>= 1)
    {
        x += __shfl_xor_sync(kAllLanes, x, m);
    }

    return x;
}

// ---- forward ----

template <int D>
__device__ __forceinline__ void forward_fma(
    unsigned char* shared, const float* qkv, const Rows& rows, float* out, float* lse, const Problem& problem)
{
    constexpr int kRows = kFmaRows<D>;
    constexpr int kThreads = kFmaThreads<D>;
    constexpr int P = kPitch<float, D>;
    unsigned char* k_tile = shared + kRows * P;
    unsigned char* v_tile = k_tile + kFmaTokens * P;
    unsigned char* exchange = v_tile + kFmaTokens * P;

    int keys = problem.causal ? min(rows.first + kRows, rows.length) : rows.length;
    Head<float> head = find_head(qkv, rows, problem);
    load_tile<float, D, kRows, kThreads>(
        shared, head.queries + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);
    load_tile<float, D, kFmaTokens, kThreads>(k_tile, head.keys, head.stride, keys, head.size, head.wide);
    cp_async_commit();
    load_tile<float, D, kFmaTokens, kThreads>(v_tile, head.values, head.stride, keys, head.size, head.wide);
    cp_async_commit();

    int query = rows.first + warp_row();
    float maximum[4], sum[4];
    float o[4][D / 8];
    clear_rows(o);
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        maximum[i] = -positive_infinity();
        sum[i] = 0.0f;
    }

    // Keys and values take turns: while one is computed on, the other comes.
    for (int first = 0; first < keys; first += kFmaTokens)
    {
        int next = first + kFmaTokens;
        bool active = query < rows.length && (!problem.causal || first < query + kWarpRows);
        float s[4][4];
        cp_async_wait<1>();
        __syncthreads(); // the other threads' copies of the keys
        if (active)
        {
            dot_rows<D>(s, shared, k_tile);
        }

        __syncthreads(); // before the next keys overwrite these
        if (next < keys)
        {
            head = find_head(qkv, rows, problem);
            load_tile<float, D, kFmaTokens, kThreads>(
                k_tile, head.keys + next * head.stride, head.stride, keys - next, head.size, head.wide);
        }

        cp_async_commit();
        if (active)
        {
            finish_logits(s, problem.scale, rows.length - first, query + (fresh_lane() >> 3) + 1 - first, problem.causal != 0);
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                // A row has at least one key that it sees in each tile, so its maximum is finite where its logits are.
                float top = fmaxf(fmaxf(s[i][0], s[i][1]), fmaxf(s[i][2], s[i][3]));
#pragma unroll
                for (int m = 4; m > 0; m >>= 1)
                {
                    top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, m));
                }

                top = fmaxf(top, maximum[i]);
                float shrink = fast_exp(maximum[i] - top);
                maximum[i] = top;
                float part = 0.0f;
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    s[i][j] = fast_exp(s[i][j] - top);
                    part += s[i][j];
                }

                sum[i] = fmaf(sum[i], shrink, part);
#pragma unroll
                for (int d = 0; d < D / 8; d++)
                {
                    o[i][d] *= shrink;
                }
            }

            if (problem.dropout.tokens != nullptr)
            {
                drop_keys(s, problem.dropout, rows, query, first, 1.0f);
            }
        }

        cp_async_wait<1>();
        __syncthreads(); // the other threads' copies of the values
        if (active)
        {
            add_product<D>(o, s, exchange, v_tile);
        }

        __syncthreads(); // before the next values overwrite these
        if (next < keys)
        {
            head = find_head(qkv, rows, problem);
            load_tile<float, D, kFmaTokens, kThreads>(
                v_tile, head.values + next * head.stride, head.stride, keys - next, head.size, head.wide);
        }

        cp_async_commit();
    }

    if (query >= rows.length)
    {
        return;
    }

    head = find_head(qkv, rows, problem);
    int lane = fresh_lane();
    int r = lane >> 3;
    float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        float total = row_sum(sum[i]);
        int row = r + 4 * i;
        if (row < rows.length - query && (lane & 7) == 0)
        {
            lse[(long long)(rows.start + query + row) * head.count + head.index] = maximum[i] + fast_log(total);
        }

        put_columns<D>(o[i], kept / total, shared, warp_row() + row);
    }

    store_rows<float, D>(shared, out + (head.begin + query * head.width), head.width, rows.length - query, head.size, head.wide);
}
