// The backward pass of attention on bfloat16 with the tensor cores; see attention_mma.cuh.
#pragma once

#include "attention_mma.cuh"

// ---- backward: with p the probabilities, f the dropout factors and dp = dout v^T: ds = p (f dp - delta) ----

// dq = scale ds k. Leaves delta for the pass over the keys.
template <int D>
__device__ __forceinline__ void backward_queries_mma(
    unsigned char* shared, const bf16* dout, const bf16* qkv, const Rows& rows, const bf16* out, const float* lse, float* delta, bf16* dqkv, int n, const Problem& problem)
{
    constexpr int N = kBackwardTokens<D>;
    constexpr int kTile = N * kPitch<bf16, D>;
    constexpr int kCount = N / 8;
    unsigned char* dout_tile = shared + kMmaRows * kPitch<bf16, D>;
    unsigned char* stages = dout_tile + kMmaRows * kPitch<bf16, D>;

    int keys = problem.causal ? min(rows.first + kMmaRows, rows.length) : rows.length;
    Head<bf16> head = find_head(qkv, rows, problem);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        shared, head.queries + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        dout_tile, dout + (head.begin + rows.first * head.width), head.width, rows.length - rows.first, head.size, head.wide);

    Lanes lanes = make_lanes<D>();
    int g = lane_index() >> 2;
    int query = rows.first + warp_row();
    float sums[4];
    make_delta(dout, out, delta, rows, head, n, sums);
    float below = __shfl_sync(kAllLanes, sums[0], (g & 3) * 8);
    float above = __shfl_sync(kAllLanes, sums[1], (g & 3) * 8);
    float row_delta = g < 4 ? below : above;
    below = __shfl_sync(kAllLanes, sums[2], (g & 3) * 8);
    above = __shfl_sync(kAllLanes, sums[3], (g & 3) * 8);
    float row_delta_high = g < 4 ? below : above;

    // Rows behind the end have zeros in their tiles and are not written.
    const float* p = lse + (long long)(rows.start + query) * head.count + head.index;
    float row_lse = g < rows.length - query ? p[(long long)g * head.count] * log2_of_e() : 0.0f;
    float row_lse_high = g + 8 < rows.length - query ? p[(long long)(g + 8) * head.count] * log2_of_e() : 0.0f;
    float c2 = problem.scale * log2_of_e();
    float dq[D / 8][4];
    clear(dq);

    // Round -1 only loads.
    for (int first = -N; first < keys; first += N)
    {
        int next = first + N;
        int stage = (next / N) & 1;
        if (next < keys)
        {
            unsigned char* tiles = stages + stage * 2 * kTile;
            load_keys_and_values<bf16, D, N, kMmaThreads>(tiles, tiles + kTile, qkv, rows, problem, next, keys);
        }

        cp_async_commit();
        if (first < 0)
        {
            continue;
        }

        cp_async_wait<1>();
        __syncthreads(); // the other threads' copies of this round's tiles
        unsigned k_tile = shared_address(stages) + (unsigned)((1 - stage) * 2 * kTile);
        if (query < rows.length && (!problem.causal || first <= query))
        {
            float s[kCount][4];
            float dp[kCount][4];
            multiply_rows<D>(s, shared_address(shared), k_tile, lanes);
            multiply_rows<D>(dp, shared_address(dout_tile), k_tile + (unsigned)kTile, lanes);
            if (first + N > rows.length || (problem.causal && first + N > query + 1))
            {
                int left = rows.length - first;
                g = fresh_lane() >> 2;
                hide_keys(
                    s,
                    problem.causal ? min(left, query + g + 1 - first) : left,
                    problem.causal ? min(left, query + g + 9 - first) : left);
            }

            if (problem.dropout.tokens != nullptr)
            {
                unsigned bits = draw_rows<kCount>(problem.dropout, rows, query, first);
                drop_rows(dp, bits, problem.dropout.scale);
            }

#pragma unroll
            for (int i = 0; i < kCount; i++)
            {
                s[i][0] = fast_exp2(fmaf(s[i][0], c2, -row_lse)) * (dp[i][0] - row_delta);
                s[i][1] = fast_exp2(fmaf(s[i][1], c2, -row_lse)) * (dp[i][1] - row_delta);
                s[i][2] = fast_exp2(fmaf(s[i][2], c2, -row_lse_high)) * (dp[i][2] - row_delta_high);
                s[i][3] = fast_exp2(fmaf(s[i][3], c2, -row_lse_high)) * (dp[i][3] - row_delta_high);
            }

            unsigned ds[kCount / 2][4];
            pack_rows(ds, s);
            multiply_add<D>(dq, ds, k_tile, lanes);
        }

        __syncthreads(); // before the next round overwrites the tiles
    }

    if (query < rows.length)
    {
        head = find_head(qkv, rows, problem);
        put_rows<D>(dq, problem.scale, problem.scale, shared);
        store_rows<bf16, D>(shared, dqkv + (head.queries - qkv + query * head.stride), head.stride, rows.length - query, head.size, head.wide);
    }
}

// Of the 32 queries (columns 4 part .. 4 part + 3 of an accumulator) that the lanes have drawn for: what the warp's 16 keys (rows) keep of
// columns `column` 8 + 2 t and the next one. Bit 0: row g; bit 8: row g + 8.
struct KeptPair
{
    unsigned left;
    unsigned right;
};

__device__ __forceinline__ KeptPair kept_pair(unsigned bits, int column)
{
    int lane = fresh_lane();
    int source = 8 * column + 2 * (lane & 3);
    int g = lane >> 2;
    KeptPair pair;
    pair.left = (unsigned)__shfl_sync(kAllLanes, (int)bits, source) >> g;
    pair.right = (unsigned)__shfl_sync(kAllLanes, (int)bits, source + 1) >> g;
    return pair;
}

// Probabilities of dropped pairs become zero; two of them, of neighbouring queries, share a word.
template <int Steps>
__device__ __forceinline__ void drop_weights(unsigned (&weights)[Steps][4], const unsigned (&bits)[Steps / 2])
{
#pragma unroll
    for (int i = 0; i < 2 * Steps; i++)
    {
        KeptPair pair = kept_pair(bits[i / 4], i % 4);
        unsigned low = (pair.left & 1 ? 0xffffu : 0u) | (pair.right & 1 ? 0xffff0000u : 0u);
        unsigned high = (pair.left & 256 ? 0xffffu : 0u) | (pair.right & 256 ? 0xffff0000u : 0u);
        weights[i / 2][2 * (i % 2)] &= low;
        weights[i / 2][2 * (i % 2) + 1] &= high;
    }
}

// Gradients of dropped pairs become zero, the others are multiplied by `scale`.
template <int Count>
__device__ __forceinline__ void drop_queries(float (&dp)[Count][4], const unsigned (&bits)[Count / 4], float scale)
{
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        KeptPair pair = kept_pair(bits[i / 4], i % 4);
        dp[i][0] = pair.left & 1 ? dp[i][0] * scale : 0.0f;
        dp[i][1] = pair.right & 1 ? dp[i][1] * scale : 0.0f;
        dp[i][2] = pair.left & 256 ? dp[i][2] * scale : 0.0f;
        dp[i][3] = pair.right & 256 ? dp[i][3] * scale : 0.0f;
    }
}

// dk = scale ds^T q, dv = (p f)^T dout: rows are keys here, columns queries.
template <int D>
__device__ __forceinline__ void backward_keys_mma(
    unsigned char* shared, const bf16* dout, const bf16* qkv, const Rows& rows, const float* lse, const float* delta, bf16* dqkv, int n, const Problem& problem)
{
    constexpr int N = kBackwardTokens<D>;
    constexpr int kTile = N * kPitch<bf16, D>;
    constexpr int kStage = 2 * kTile + 2 * N * (int)sizeof(float);
    constexpr int kCount = N / 8;
    unsigned char* v_tile = shared + kMmaRows * kPitch<bf16, D>;
    unsigned char* stages = v_tile + kMmaRows * kPitch<bf16, D>;
    Head<bf16> head = find_head(qkv, rows, problem);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        shared, head.keys + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        v_tile, head.values + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);

    Lanes lanes = make_lanes<D>();
    int key = rows.first + warp_row();
    float c2 = problem.scale * log2_of_e();
    float dk[D / 8][4];
    float dv[D / 8][4];
    clear(dk);
    clear(dv);

    // With later keys hidden the queries before the block's keys see none of them. Round -1 only loads.
    int begin = problem.causal ? rows.first / N * N : 0;
    for (int first = begin - N; first < rows.length; first += N)
    {
        int next = first + N;
        int stage = (next / N) & 1;
        if (next < rows.length)
        {
            unsigned char* tiles = stages + stage * kStage;
            load_queries<bf16, D, N, kMmaThreads>(
                tiles, tiles + kTile, reinterpret_cast<float*>(tiles + 2 * kTile), qkv, dout, lse, delta, n, rows, problem, next, log2_of_e());
        }

        cp_async_commit();
        if (first < begin)
        {
            continue;
        }

        cp_async_wait<1>();
        __syncthreads(); // the other threads' copies of this round's tiles
        unsigned char* tiles = stages + (1 - stage) * kStage;
        unsigned q_tile = shared_address(tiles);
        const float* values = reinterpret_cast<const float*>(tiles + 2 * kTile);
        if (key < rows.length && (!problem.causal || first + N > key))
        {
            // A lane draws for one query all 16 keys of the warp; before anything else is kept.
            unsigned bits[N / 32] = {};
            if (problem.dropout.tokens != nullptr)
            {
#pragma unroll
                for (int part = 0; part < N / 32; part++)
                {
                    bits[part] = kept_keys<kWarpRows>(problem.dropout, rows, first + 32 * part + fresh_lane(), key);
                }
            }

            float s[kCount][4];
            multiply_rows<D>(s, shared_address(shared), q_tile, lanes);
            int t = fresh_lane() & 3;
#pragma unroll
            for (int i = 0; i < kCount; i++)
            {
                float2 shift = *reinterpret_cast<const float2*>(values + 8 * i + 2 * t);
                s[i][0] = fast_exp2(fmaf(s[i][0], c2, -shift.x));
                s[i][1] = fast_exp2(fmaf(s[i][1], c2, -shift.y));
                s[i][2] = fast_exp2(fmaf(s[i][2], c2, -shift.x));
                s[i][3] = fast_exp2(fmaf(s[i][3], c2, -shift.y));
            }

            if (problem.causal && first < key + kWarpRows)
            {
                // Query first + 8 i + 2 t sees key + g where it is not before it.
                int hidden = key + (fresh_lane() >> 2) - first - 2 * t;
                int hidden_high = hidden + 8;
#pragma unroll
                for (int i = 0; i < kCount; i++)
                {
                    s[i][0] = 8 * i < hidden ? 0.0f : s[i][0];
                    s[i][1] = 8 * i + 1 < hidden ? 0.0f : s[i][1];
                    s[i][2] = 8 * i < hidden_high ? 0.0f : s[i][2];
                    s[i][3] = 8 * i + 1 < hidden_high ? 0.0f : s[i][3];
                }
            }

            // The values' gradient first, so that what it takes is free again before dp is there.
            unsigned weights[kCount / 2][4];
            pack_rows(weights, s);
            if (problem.dropout.tokens != nullptr)
            {
                drop_weights(weights, bits);
            }

            multiply_add<D>(dv, weights, q_tile + (unsigned)kTile, lanes);

            float dp[kCount][4];
            multiply_rows<D>(dp, shared_address(v_tile), q_tile + (unsigned)kTile, lanes);
            if (problem.dropout.tokens != nullptr)
            {
                drop_queries(dp, bits, problem.dropout.scale);
            }

            t = fresh_lane() & 3;
#pragma unroll
            for (int i = 0; i < kCount; i++)
            {
                float2 mean = *reinterpret_cast<const float2*>(values + N + 8 * i + 2 * t);
                s[i][0] *= dp[i][0] - mean.x;
                s[i][1] *= dp[i][1] - mean.y;
                s[i][2] *= dp[i][2] - mean.x;
                s[i][3] *= dp[i][3] - mean.y;
            }

            unsigned ds[kCount / 2][4];
            pack_rows(ds, s);
            multiply_add<D>(dk, ds, q_tile, lanes);
        }

        __syncthreads(); // before the next round overwrites the tiles
    }

    if (key < rows.length)
    {
        head = find_head(qkv, rows, problem);
        bf16* destination = dqkv + (head.keys - qkv + key * head.stride);
        float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
        put_rows<D>(dk, problem.scale, problem.scale, shared);
        put_rows<D>(dv, kept, kept, v_tile);
        store_rows<bf16, D>(shared, destination, head.stride, rows.length - key, head.size, head.wide);
        store_rows<bf16, D>(v_tile, destination + head.width, head.stride, rows.length - key, head.size, head.wide);
    }
}
