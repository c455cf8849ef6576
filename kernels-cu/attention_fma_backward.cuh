// The backward pass of attention on float32 with fused multiply-adds; see attention_fma.cuh.
#pragma once

#include "attention_fma.cuh"

namespace
{

// ---- backward ----

template <int D>
__device__ __forceinline__ void backward_queries_fma(
    unsigned char* shared, const float* dout, const float* qkv, const Rows& rows, const float* out, const float* lse, float* delta, float* dqkv, int n, const Problem& problem)
{
    constexpr int kRows = kFmaRows<D>;
    constexpr int kThreads = kFmaThreads<D>;
    constexpr int P = kPitch<float, D>;
    int head = (int)blockIdx.y;
    int size = problem.size;
    long long c = (long long)problem.heads * size;
    const float* q = qkv + ((rows.start + rows.first) * 3 * c + head * size);
    const float* k = qkv + (rows.start * 3 * c + c + head * size);
    const float* v = k + c;
    unsigned char* dout_tile = shared + kRows * P;
    unsigned char* k_tile = dout_tile + kRows * P;
    unsigned char* v_tile = k_tile + kFmaTokens * P;
    float* exchange = reinterpret_cast<float*>(v_tile + kFmaTokens * P + warp_index() * kExchangeBytes);

    int keys = problem.causal ? min(rows.first + kRows, rows.length) : rows.length;
    load_tile<float, D, kRows, kThreads>(shared, q, 3 * c, rows.length - rows.first, size);
    load_tile<float, D, kRows, kThreads>(
        dout_tile, dout + ((rows.start + rows.first) * c + head * size), c, rows.length - rows.first, size);

    int r = lane_index() >> 3;
    int warp_row = warp_index() * kWarpRows;
    int query = rows.first + warp_row;
    float row_delta[4], row_lse[4];
    make_delta(dout, out, delta, rows, problem, n, row_delta);
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        // Rows behind the end have zeros in their tiles and are not written.
        int row = query + r + 4 * i;
        row_lse[i] = row < rows.length ? lse[(long long)(rows.start + row) * problem.heads + head] : 0.0f;
    }

    float dq[4][D / 8];
    clear_rows(dq);
    for (int first = 0; first < keys; first += kFmaTokens)
    {
        load_tile<float, D, kFmaTokens, kThreads>(k_tile, k + first * 3 * c, 3 * c, keys - first, size);
        load_tile<float, D, kFmaTokens, kThreads>(v_tile, v + first * 3 * c, 3 * c, keys - first, size);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads(); // the other threads' copies
        if (query < rows.length && (!problem.causal || first < query + kWarpRows))
        {
            float s[4][4], dp[4][4];
            dot_rows<D>(s, shared, warp_row, k_tile);
            finish_logits(s, problem.scale, rows.length - first, query + r + 1 - first, problem.causal != 0);
            dot_rows<D>(dp, dout_tile, warp_row, v_tile);
            if (problem.dropout.tokens != nullptr)
            {
                drop_keys(dp, problem.dropout, rows.start + query, rows.start + first, rows.start + rows.length - 1, problem.dropout.scale);
            }

#pragma unroll
            for (int i = 0; i < 4; i++)
            {
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    s[i][j] = fast_exp(s[i][j] - row_lse[i]) * (dp[i][j] - row_delta[i]);
                }
            }

            add_product<D>(dq, s, exchange, k_tile);
        }

        __syncthreads(); // before the next tiles overwrite these
    }

    if (query < rows.length)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            put_columns<D>(dq[i], problem.scale, shared, warp_row + r + 4 * i);
        }

        store_rows<float, D>(shared, dqkv + ((rows.start + query) * 3 * c + head * size), 3 * c, rows.length - query, size);
    }
}

template <int D>
__device__ __forceinline__ void backward_keys_fma(
    unsigned char* shared, const float* dout, const float* qkv, const Rows& rows, const float* lse, const float* delta, float* dqkv, int n, const Problem& problem)
{
    constexpr int kRows = kFmaRows<D>;
    constexpr int kThreads = kFmaThreads<D>;
    constexpr int P = kPitch<float, D>;
    int head = (int)blockIdx.y;
    int size = problem.size;
    long long c = (long long)problem.heads * size;
    const float* q = qkv + (rows.start * 3 * c + head * size);
    const float* k = q + (rows.first * 3 * c + c);
    const float* d_out = dout + (rows.start * c + head * size);
    const float* row_lse = lse + (long long)rows.start * problem.heads + head;
    const float* row_delta = delta + (long long)head * n + rows.start;
    unsigned char* v_tile = shared + kRows * P;
    unsigned char* q_tile = v_tile + kRows * P;
    unsigned char* dout_tile = q_tile + kFmaTokens * P;
    float* values = reinterpret_cast<float*>(dout_tile + kFmaTokens * P);
    float* exchange = reinterpret_cast<float*>(dout_tile + kFmaTokens * P + 2 * kFmaTokens * (int)sizeof(float) + warp_index() * kExchangeBytes);
    load_tile<float, D, kRows, kThreads>(shared, k, 3 * c, rows.length - rows.first, size);
    load_tile<float, D, kRows, kThreads>(v_tile, k + c, 3 * c, rows.length - rows.first, size);

    int lane = lane_index();
    int r = lane >> 3;
    int column = lane & 7;
    int warp_row = warp_index() * kWarpRows;
    int key = rows.first + warp_row;
    float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
    float dk[4][D / 8], dv[4][D / 8];
    clear_rows(dk);
    clear_rows(dv);

    // With later keys hidden the queries before the block's keys see none of them.
    for (int first = problem.causal ? rows.first / kFmaTokens * kFmaTokens : 0; first < rows.length; first += kFmaTokens)
    {
        load_tile<float, D, kFmaTokens, kThreads>(q_tile, q + first * 3 * c, 3 * c, rows.length - first, size);
        load_tile<float, D, kFmaTokens, kThreads>(dout_tile, d_out + first * c, c, rows.length - first, size);
        cp_async_commit();
        if ((int)threadIdx.x < kFmaTokens)
        {
            // Queries behind the end: their rows of q and dout are zeros, so what they give is zero.
            int row = first + (int)threadIdx.x;
            values[threadIdx.x] = row < rows.length ? row_lse[(long long)row * problem.heads] : 0.0f;
            values[kFmaTokens + threadIdx.x] = row < rows.length ? row_delta[row] : 0.0f;
        }

        cp_async_wait<0>();
        __syncthreads(); // the other threads' copies
        if (key < rows.length && (!problem.causal || first + kFmaTokens > key))
        {
            float s[4][4], dp[4][4];
            dot_rows<D>(s, shared, warp_row, q_tile);

            // Query first + column + 8 j sees key + r + 4 i where it is not before it.
            int hidden = problem.causal ? key + r - first - column : -kFmaTokens;
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                float shift = values[column + 8 * j];
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    float p = fast_exp(s[i][j] * problem.scale - shift);
                    s[i][j] = 8 * j - 4 * i < hidden ? 0.0f : p;
                }
            }

            dot_rows<D>(dp, v_tile, warp_row, dout_tile);
            float weights[4][4];
            unsigned bits = ~0u;
            if (problem.dropout.tokens != nullptr)
            {
                // A lane draws for one query all 16 keys of the warp.
                bits = kept_keys<kWarpRows>(problem.dropout, head, rows.start + first + lane, rows.start + key, rows.start + rows.length - 1);
            }

            int source = column;
            forget(source);
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                unsigned query_bits = (unsigned)__shfl_sync(kAllLanes, (int)bits, source + 8 * j) >> r;
                float mean = values[kFmaTokens + column + 8 * j];
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    bool is_kept = (query_bits >> (4 * i)) & 1;
                    weights[i][j] = is_kept ? s[i][j] : 0.0f;
                    s[i][j] *= (is_kept ? dp[i][j] * kept : 0.0f) - mean;
                }
            }

            add_product<D>(dv, weights, exchange, dout_tile);
            add_product<D>(dk, s, exchange, q_tile);
        }

        __syncthreads(); // before the next tiles overwrite these
    }

    if (key < rows.length)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            put_columns<D>(dk[i], problem.scale, shared, warp_row + r + 4 * i);
            put_columns<D>(dv[i], kept, v_tile, warp_row + r + 4 * i);
        }

        float* destination = dqkv + ((rows.start + key) * 3 * c + c + head * size);
        store_rows<float, D>(shared, destination, 3 * c, rows.length - key, size);
        store_rows<float, D>(v_tile, destination + c, 3 * c, rows.length - key, size);
    }
}

} // namespace
