// The backward pass of attention on bfloat16 with the tensor cores; see attention_mma.cuh.
#pragma once

#include "attention_mma.cuh"

namespace
{

// ---- backward: with p the probabilities, f the dropout factors and dp = dout v^T: ds = p (f dp - delta) ----

// dq = scale ds k. Leaves delta for the pass over the keys.
template <int D>
__device__ __forceinline__ void backward_queries_mma(
    unsigned char* shared, const bf16* dout, const bf16* qkv, const Rows& rows, const bf16* out, const float* lse, float* delta, bf16* dqkv, int n, const Problem& problem)
{
    constexpr int N = kBackwardTokens<D>;
    constexpr int kTile = N * kPitch<bf16, D>;
    constexpr int kCount = N / 8;
    int head = (int)blockIdx.y;
    int size = problem.size;
    long long c = (long long)problem.heads * size;
    const bf16* q = qkv + ((rows.start + rows.first) * 3 * c + head * size);
    const bf16* k = qkv + (rows.start * 3 * c + c + head * size);
    const bf16* v = k + c;
    unsigned char* dout_tile = shared + kMmaRows * kPitch<bf16, D>;
    unsigned char* stages = dout_tile + kMmaRows * kPitch<bf16, D>;

    int keys = problem.causal ? min(rows.first + kMmaRows, rows.length) : rows.length;
    load_tile<bf16, D, kMmaRows, kMmaThreads>(shared, q, 3 * c, rows.length - rows.first, size);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(
        dout_tile, dout + ((rows.start + rows.first) * c + head * size), c, rows.length - rows.first, size);

    Lanes lanes = make_lanes<D>();
    int g = lane_index() >> 2;
    int warp_row = warp_index() * kWarpRows;
    int query = rows.first + warp_row;
    float sums[4];
    make_delta(dout, out, delta, rows, problem, n, sums);
    float below = __shfl_sync(kAllLanes, sums[0], (g & 3) * 8);
    float above = __shfl_sync(kAllLanes, sums[1], (g & 3) * 8);
    float row_delta = g < 4 ? below : above;
    below = __shfl_sync(kAllLanes, sums[2], (g & 3) * 8);
    above = __shfl_sync(kAllLanes, sums[3], (g & 3) * 8);
    float row_delta_high = g < 4 ? below : above;

    // Rows behind the end have zeros in their tiles and are not written.
    const float* p = lse + (long long)(rows.start + query) * problem.heads + head;
    float row_lse = g < rows.length - query ? p[(long long)g * problem.heads] * kLog2e : 0.0f;
    float row_lse_high = g + 8 < rows.length - query ? p[(long long)(g + 8) * problem.heads] * kLog2e : 0.0f;
    float c2 = problem.scale * kLog2e;
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
            load_tile<bf16, D, N, kMmaThreads>(tiles, k + next * 3 * c, 3 * c, keys - next, size);
            load_tile<bf16, D, N, kMmaThreads>(tiles + kTile, v + next * 3 * c, 3 * c, keys - next, size);
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
            multiply_rows<D>(s, shared_address(shared), warp_row, k_tile, lanes);
            multiply_rows<D>(dp, shared_address(dout_tile), warp_row, k_tile + (unsigned)kTile, lanes);
            if (first + N > rows.length || (problem.causal && first + N > query + 1))
            {
                int left = rows.length - first;
                hide_keys(
                    s,
                    problem.causal ? min(left, query + g + 1 - first) : left,
                    problem.causal ? min(left, query + g + 9 - first) : left);
            }

            if (problem.dropout.tokens != nullptr)
            {
                unsigned bits = draw_rows<kCount>(problem.dropout, rows.start + query, rows.start + first, rows.start + rows.length - 1);
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
        put_rows<D>(dq, problem.scale, problem.scale, shared);
        store_rows<bf16, D>(shared, dqkv + ((rows.start + query) * 3 * c + head * size), 3 * c, rows.length - query, size);
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
    int head = (int)blockIdx.y;
    int size = problem.size;
    long long c = (long long)problem.heads * size;
    const bf16* q = qkv + (rows.start * 3 * c + head * size);
    const bf16* k = q + (rows.first * 3 * c + c);
    const bf16* d_out = dout + (rows.start * c + head * size);
    const float* row_lse = lse + (long long)rows.start * problem.heads + head;
    const float* row_delta = delta + (long long)head * n + rows.start;
    unsigned char* v_tile = shared + kMmaRows * kPitch<bf16, D>;
    unsigned char* stages = v_tile + kMmaRows * kPitch<bf16, D>;
    load_tile<bf16, D, kMmaRows, kMmaThreads>(shared, k, 3 * c, rows.length - rows.first, size);
    load_tile<bf16, D, kMmaRows, kMmaThreads>(v_tile, k + c, 3 * c, rows.length - rows.first, size);

    Lanes lanes = make_lanes<D>();
    int g = lane_index() >> 2;
    int t = lane_index() & 3;
    int warp_row = warp_index() * kWarpRows;
    int key = rows.first + warp_row;
    float c2 = problem.scale * kLog2e;
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
            load_tile<bf16, D, N, kMmaThreads>(tiles, q + next * 3 * c, 3 * c, rows.length - next, size);
            load_tile<bf16, D, N, kMmaThreads>(tiles + kTile, d_out + next * c, c, rows.length - next, size);
            float* values = reinterpret_cast<float*>(tiles + 2 * kTile);
            if ((int)threadIdx.x < N)
            {
                // Queries behind the end: their rows of q and dout are zeros, so what they give is zero.
                int row = next + (int)threadIdx.x;
                values[threadIdx.x] = row < rows.length ? row_lse[(long long)row * problem.heads] * kLog2e : 0.0f;
                values[N + threadIdx.x] = row < rows.length ? row_delta[row] : 0.0f;
            }
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
            float s[kCount][4];
            float dp[kCount][4];
            multiply_rows<D>(s, shared_address(shared), warp_row, q_tile, lanes);
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
                int hidden = key + g - first - 2 * t;
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

            multiply_rows<D>(dp, shared_address(v_tile), warp_row, q_tile + (unsigned)kTile, lanes);
            unsigned weights[kCount / 2][4];
            if (problem.dropout.tokens != nullptr)
            {
                float dropped[kCount][4];
#pragma unroll
                for (int part = 0; part < N / 32; part++)
                {
                    // A lane draws for one query all 16 keys of the warp.
                    unsigned bits = kept_keys<kWarpRows>(
                        problem.dropout, head, rows.start + first + 32 * part + lane_index(), rows.start + key, rows.start + rows.length - 1);
                    int source = 2 * t;
                    forget(source);
#pragma unroll
                    for (int i = 0; i < 4; i++)
                    {
                        int at = 4 * part + i;
                        unsigned left = (unsigned)__shfl_sync(kAllLanes, (int)bits, 8 * i + source) >> g;
                        unsigned right = (unsigned)__shfl_sync(kAllLanes, (int)bits, 8 * i + source + 1) >> g;
                        float f = problem.dropout.scale;
                        dropped[at][0] = left & 1 ? s[at][0] : 0.0f;
                        dropped[at][1] = right & 1 ? s[at][1] : 0.0f;
                        dropped[at][2] = left & 256 ? s[at][2] : 0.0f;
                        dropped[at][3] = right & 256 ? s[at][3] : 0.0f;
                        dp[at][0] = left & 1 ? dp[at][0] * f : 0.0f;
                        dp[at][1] = right & 1 ? dp[at][1] * f : 0.0f;
                        dp[at][2] = left & 256 ? dp[at][2] * f : 0.0f;
                        dp[at][3] = right & 256 ? dp[at][3] * f : 0.0f;
                    }
                }

                pack_rows(weights, dropped);
            }
            else
            {
                pack_rows(weights, s);
            }

            multiply_add<D>(dv, weights, q_tile + (unsigned)kTile, lanes);

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
        bf16* destination = dqkv + ((rows.start + key) * 3 * c + c + head * size);
        float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
        put_rows<D>(dk, problem.scale, problem.scale, shared);
        put_rows<D>(dv, kept, kept, v_tile);
        store_rows<bf16, D>(shared, destination, 3 * c, rows.length - key, size);
        store_rows<bf16, D>(v_tile, destination + c, 3 * c, rows.length - key, size);
    }
}

} // namespace
