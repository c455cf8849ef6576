// The kernels of one padded head size D; a file attention_<D>.cu is this and nothing else, so that a driver compiles and loads those of
// the head sizes that a model has.
//
// qkv, dqkv (n, 3c); out, dout (n, c); lse (n, heads), float32; delta (heads, n), float32; ends (sequences + 1); c = heads size with
// size <= D. tokens (n, 2) or null: example and position of each token, for the dropout of probabilities (`site` is site * 1024;
// the head is added; stored_key: see dropout_key). In a captured graph n is a capacity: what counts ends at ends[sequences]. Grid: (n / rows + sequences, heads) for the rows of a block.
#pragma once

#include "attention_fma_backward.cuh"
#include "attention_mma_backward.cuh"

#define CROSSALIGN_ATTENTION_TAIL                                                                                                    \
    const int *tokens, int sequences, int heads, int size, int causal, int wide, float scale, const int *stored_key,                 \
        unsigned long long key, unsigned site, unsigned threshold, float keep_scale

#define CROSSALIGN_ATTENTION_BODY(ROWS, RUN)                                                                                         \
    CROSSALIGN_DYNAMIC_SHARED(shared);                                                                                               \
    Rows rows;                                                                                                                       \
    if (find_rows<ROWS>(ends, sequences, rows))                                                                                      \
    {                                                                                                                                \
        Problem problem = {heads, size, causal, wide, scale, {tokens, stored_key, key, site, threshold, keep_scale}};                \
        RUN;                                                                                                                         \
    }

#define CROSSALIGN_ATTENTION_KERNELS(D, TYPE, T, WAY, ROWS, THREADS)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_fwd_##TYPE##_##D(                                                \
        const T* qkv, const int* ends, T* out, float* lse, CROSSALIGN_ATTENTION_TAIL)                                                \
    {                                                                                                                                \
        CROSSALIGN_ATTENTION_BODY(ROWS, forward_##WAY<D>(shared, qkv, rows, out, lse, problem))                                      \
    }                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_bwd_queries_##TYPE##_##D(                                        \
        const T* dout, const T* qkv, const int* ends, const T* out, const float* lse, float* delta, T* dqkv, int n, CROSSALIGN_ATTENTION_TAIL) \
    {                                                                                                                                \
        CROSSALIGN_ATTENTION_BODY(ROWS, backward_queries_##WAY<D>(shared, dout, qkv, rows, out, lse, delta, dqkv, n, problem))       \
    }                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_bwd_keys_##TYPE##_##D(                                           \
        const T* dout, const T* qkv, const int* ends, const float* lse, const float* delta, T* dqkv, int n, CROSSALIGN_ATTENTION_TAIL) \
    {                                                                                                                                \
        CROSSALIGN_ATTENTION_BODY(ROWS, backward_keys_##WAY<D>(shared, dout, qkv, rows, lse, delta, dqkv, n, problem))               \
    }

#define CROSSALIGN_ATTENTION(D)                                                                                                      \
    CROSSALIGN_ATTENTION_KERNELS(D, f32, float, fma, kFmaRows<D>, kFmaThreads<D>)                                                    \
    CROSSALIGN_ATTENTION_KERNELS(D, bf16, bf16, mma, kMmaRows, kMmaThreads)
