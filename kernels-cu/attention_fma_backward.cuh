// The backward pass of attention on float32 with fused multiply-adds; see attention_fma.cuh.
#pragma once

#include "attention_fma.cuh"

// ---- backward ----

template <int D>
__device__ __forceinline__ void backward_queries_fma(
    unsigned char* shared, const float* dout, const float* qkv, const Rows& rows, const float* out, const float* lse, float* delta, float* dqkv, int n, const Problem& problem)
{
    constexpr int kRows = kFmaRows<D>;
    constexpr int kThreads = kFmaThreads<D>;
    constexpr int P = kPitch<float, D>;
    unsigned char* dout_tile = shared + kRows * P;
    unsigned char* k_tile = dout_tile + kRows * P;
    unsigned char* v_tile = k_tile + kFmaTokens * P;
    unsigned char* exchange = v_tile + kFmaTokens * P;

    int keys = problem.causal ? min(rows.first + kRows, rows.length) : rows.length;
    Head<float> head = find_head(qkv, rows, problem);
    load_tile<float, D, kRows, kThreads>(
        shared, head.queries + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);
    load_tile<float, D, kRows, kThreads>(
        dout_tile, dout + (head.begin + rows.first * head.width), head.width, rows.length - rows.first, head.size, head.wide);

    int query = rows.first + warp_row();
    float row_delta[4], row_lse[4];
    make_delta(dout, out, delta, rows, head, n, row_delta);
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        // Rows behind the end have zeros in their tiles and are not written.
        int row = query + (lane_index() >> 3) + 4 * i;
        row_lse[i] = row < rows.length ? lse[(long long)(rows.start + row) * head.count + head.index] : 0.0f;
    }

    float dq[4][D / 8];
    clear_rows(dq);
    for (int first = 0; first < keys; first += kFmaTokens)
    {
        load_keys_and_values<float, D, kFmaTokens, kThreads>(k_tile, v_tile, qkv, rows, problem, first, keys);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads(); // the other threads' copies
        if (query < rows.length && (!problem.causal || first < query + kWarpRows))
        {
            float s[4][4], dp[4][4];
            dot_rows<D>(s, shared, k_tile);
            finish_logits(s, problem.scale, rows.length - first, query + (fresh_lane() >> 3) + 1 - first, problem.causal != 0);
            dot_rows<D>(dp, dout_tile, v_tile);
            if (problem.dropout.tokens != nullptr)
            {
                drop_keys(dp, problem.dropout, rows, query, first, problem.dropout.scale);
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
        head = find_head(qkv, rows, problem);
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            put_columns<D>(dq[i], problem.scale, shared, warp_row() + (lane_index() >> 3) + 4 * i);
        }

        store_rows<float, D>(shared, dqkv + (head.queries - qkv + query * head.stride), head.stride, rows.length - query, head.size, head.wide);
    }
}

// kept = x where the pair of key (row) and query (column) is not dropped, times `scale`, else zero; `bits` are those of the lane's query.
__device__ __forceinline__ void keep_queries(float (&kept)[4][4], const float (&x)[4][4], unsigned bits, float scale)
{
    int lane = fresh_lane();
#pragma unroll
    for (int j = 0; j < 4; j++)
    {
        unsigned query_bits = (unsigned)__shfl_sync(kAllLanes, (int)bits, (lane & 7) + 8 * j) >> (lane >> 3);
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            kept[i][j] = (query_bits >> (4 * i)) & 1 ? x[i][j] * scale : 0.0f;
        }
    }
}

template <int D>
__device__ __forceinline__ void backward_keys_fma(
    unsigned char* shared, const float* dout, const float* qkv, const Rows& rows, const float* lse, const float* delta, float* dqkv, int n, const Problem& problem)
{
    constexpr int kRows = kFmaRows<D>;
    constexpr int kThreads = kFmaThreads<D>;
    constexpr int P = kPitch<float, D>;
    unsigned char* v_tile = shared + kRows * P;
    unsigned char* q_tile = v_tile + kRows * P;
    unsigned char* dout_tile = q_tile + kFmaTokens * P;
    float* values = reinterpret_cast<float*>(dout_tile + kFmaTokens * P);
    unsigned char* exchange = dout_tile + kFmaTokens * P + 2 * kFmaTokens * (int)sizeof(float);
    Head<float> head = find_head(qkv, rows, problem);
    load_tile<float, D, kRows, kThreads>(
        shared, head.keys + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);
    load_tile<float, D, kRows, kThreads>(
        v_tile, head.values + rows.first * head.stride, head.stride, rows.length - rows.first, head.size, head.wide);

    int key = rows.first + warp_row();
    float kept = problem.dropout.tokens != nullptr ? problem.dropout.scale : 1.0f;
    float dk[4][D / 8], dv[4][D / 8];
    clear_rows(dk);
    clear_rows(dv);

    // With later keys hidden the queries before the block's keys see none of them.
    for (int first = problem.causal ? rows.first / kFmaTokens * kFmaTokens : 0; first < rows.length; first += kFmaTokens)
    {
        load_queries<float, D, kFmaTokens, kThreads>(q_tile, dout_tile, values, qkv, dout, lse, delta, n, rows, problem, first, 1.0f);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads(); // the other threads' copies
        if (key < rows.length && (!problem.causal || first + kFmaTokens > key))
        {
            // A lane draws for one query all 16 keys of the warp; before anything else is kept.
            unsigned bits = ~0u;
            if (problem.dropout.tokens != nullptr)
            {
                bits = kept_keys<kWarpRows>(problem.dropout, rows, first + fresh_lane(), key);
            }

            float s[4][4];
            dot_rows<D>(s, shared, q_tile);
            int lane = fresh_lane();
            int column = lane & 7;

            // Query first + column + 8 j sees key + r + 4 i where it is not before it.
            int hidden = problem.causal ? key + (lane >> 3) - first - column : -kFmaTokens;
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

            // The values' gradient first, so that what it takes is free again before the other product is there.
            float part[4][4];
            keep_queries(part, s, bits, 1.0f);
            add_product<D>(dv, part, exchange, dout_tile);
            dot_rows<D>(part, v_tile, dout_tile);
            keep_queries(part, part, bits, kept);
            column = fresh_lane() & 7;
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                float mean = values[kFmaTokens + column + 8 * j];
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    s[i][j] *= part[i][j] - mean;
                }
            }

            add_product<D>(dk, s, exchange, q_tile);
        }

        __syncthreads(); // before the next tiles overwrite these
    }

    if (key < rows.length)
    {
        head = find_head(qkv, rows, problem);
        int row = warp_row() + (lane_index() >> 3);
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            put_columns<D>(dk[i], problem.scale, shared, row + 4 * i);
            put_columns<D>(dv[i], kept, v_tile, row + 4 * i);
        }

        float* destination = dqkv + (head.keys - qkv + key * head.stride);
        store_rows<float, D>(shared, destination, head.stride, rows.length - key, head.size, head.wide);
        store_rows<float, D>(v_tile, destination + head.width, head.stride, rows.length - key, head.size, head.wide);
    }
}
