// The bias's gradient of a linear layer: db += the sums of the columns of dy, in two stages of a fixed order without atomics. The
// layer's products are matmul.cu's.
//
// Stage one: a thread sums W columns over the kRowsPerChunk rows of a chunk, and of every kMostPartials-th chunk behind it; stage two: one
// thread a column adds these sums in order. W is four where the host finds rows and addresses multiples of four elements (`wide`), else
// one.
// Bytes: dy once, at most 4 c / kRowsPerChunk a row written and read again, db twice. Operations: n c.
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 128;
constexpr int kRowsPerChunk = 32;
constexpr int kMostPartials = 1024;
constexpr int kRowVector = 4;

template <typename T, int W>
__device__ __forceinline__ void partial_columns(const T* dy, float* partials, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    int first = (int)blockIdx.y * kRowsPerChunk;
    if (column >= c || first >= n)
    {
        return;
    }

    float sum[W];
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        sum[k] = 0.0f;
    }

    for (; first < n; first += kMostPartials * kRowsPerChunk)
    {
        int end = min(first + kRowsPerChunk, n);
        for (int row = first; row < end; row++)
        {
            float v[W];
            load_floats(dy + (long long)row * c + column, v);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                sum[k] += v[k];
            }
        }
    }

    store_parameters(partials + (long long)blockIdx.y * c + column, sum);
}

template <typename T>
__device__ __forceinline__ void partial(const T* dy, float* partials, const int* live, int n, int c, int wide)
{
    int rows = live_rows(live, n);
    if (wide != 0)
    {
        partial_columns<T, kRowVector>(dy, partials, rows, c);
    }
    else
    {
        partial_columns<T, 1>(dy, partials, rows, c);
    }
}

} // namespace

// dy (n, c); partials (chunks or kMostPartials, c). One block a strip of columns (x) and a partial (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) linear_bwd_bias_partial_f32(
    const float* dy, float* partials, const int* live, int n, int c, int wide)
{
    partial(dy, partials, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) linear_bwd_bias_partial_bf16(
    const bf16* dy, float* partials, const int* live, int n, int c, int wide)
{
    partial(dy, partials, live, n, c, wide);
}

// db += the partials, in order. One thread a column.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) linear_bwd_bias_merge(
    const float* partials, float* db, const int* live, int n, int c)
{
    int column = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= c)
    {
        return;
    }

    int count = min((live_rows(live, n) + kRowsPerChunk - 1) / kRowsPerChunk, kMostPartials);
    float bias = 0.0f;
    for (int i = 0; i < count; i++)
    {
        bias += partials[(long long)i * c + column];
    }

    db[column] += bias;
}
