// The Gaussian error linear unit of x + bias, in three forms, and its gradients.
// Source: D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units", 2016, equations 2 and 3.
//
// A thread has W columns and goes down the rows of its chunk, so that it reads its part of the bias once. The bias's gradient is taken
// in two stages with a fixed order and no atomics: each block sums its chunk of kRowsPerChunk rows and every kMostPartials-th chunk behind
// it, then one thread a column adds the blocks' sums in order. The formulas are those of the CPU's kernel: one exponential an element.
//
// W is four where the host finds rows and addresses multiples of four elements (`wide`), else one; also for bfloat16, as the float32 bias
// is read beside it (see layernorm.cu).
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 128;
constexpr int kRowsPerChunk = 32;
constexpr int kMostPartials = 1024;
constexpr int kRowsPerForwardBlock = 8;
constexpr int kRowVector = 4;

// As CrossAlign.Kernels.GeluKind.
enum : int
{
    kErf = 0,
    kTanh = 1,
    kQuick = 2,
};

// The normal distribution function, with relative accuracy in the lower tail; `bell` is exp(-x^2 / 2).
__device__ __forceinline__ float normal_cdf(float x, float bell)
{
    float t = reciprocal(fmaf(fabsf(x), 0.266f, 1.0f));
    float p = fmaf(0.0305258804f, t, -0.14092084f);
    p = fmaf(p, t, 0.208319052f);
    p = fmaf(p, t, -0.106726763f);
    p = fmaf(p, t, 0.131644528f);
    p = fmaf(p, t, 0.0628366168f);
    p = fmaf(p, t, 0.102470011f);
    p = fmaf(p, t, 0.105714721f);
    p = fmaf(p, t, 0.106136801f);
    float lower = bell * (p * t);
    return x < 0.0f ? lower : 1.0f - lower;
}

// The tanh form is x sigmoid(v) with v = linear x + cubic x^3: (1 + tanh(u)) / 2 = sigmoid(2 u).
__device__ __forceinline__ float tanh_linear() { return 1.5957691f; }
__device__ __forceinline__ float tanh_cubic() { return 0.071354814f; }
__device__ __forceinline__ float quick_linear() { return 1.702f; }

template <int Kind>
__device__ __forceinline__ float argument(float x)
{
    return Kind == kTanh ? x * fmaf(x * x, tanh_cubic(), tanh_linear()) : x * quick_linear();
}

template <int Kind>
__device__ __forceinline__ float value(float x)
{
    if constexpr (Kind == kErf)
    {
        return x * normal_cdf(x, fast_exp(x * x * -0.5f));
    }
    else
    {
        float v = argument<Kind>(x);
        float e = fast_exp(-fabsf(v));
        float s = reciprocal(1.0f + e);
        return x * (v < 0.0f ? e * s : s);
    }
}

// Phi(x) + x phi(x); else s + x s (1 - s) v', with 1 - s taken from the other tail.
template <int Kind>
__device__ __forceinline__ float slope(float x)
{
    if constexpr (Kind == kErf)
    {
        float bell = fast_exp(x * x * -0.5f);
        return fmaf(x * 0.39894228f, bell, normal_cdf(x, bell));
    }
    else
    {
        float dv = Kind == kTanh ? fmaf(x * x, 3.0f * tanh_cubic(), tanh_linear()) : quick_linear();
        float v = argument<Kind>(x);
        float e = fast_exp(-fabsf(v));
        float large = reciprocal(1.0f + e);
        float small = e * large;
        return fmaf(x * (large * small), dv, v < 0.0f ? small : large);
    }
}

template <int W>
__device__ __forceinline__ void load_bias(const float* bias, int column, float (&b)[W])
{
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        b[k] = 0.0f;
    }

    if (bias != nullptr)
    {
        load_parameters(bias + column, b);
    }
}

template <int Kind, typename T, int W>
__device__ __forceinline__ void forward_columns(const T* x, const float* bias, T* y, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    int first = (int)blockIdx.y * kRowsPerForwardBlock;
    if (column >= c || first >= n)
    {
        return;
    }

    float b[W];
    load_bias(bias, column, b);
    for (; first < n; first += (int)gridDim.y * kRowsPerForwardBlock)
    {
        int end = min(first + kRowsPerForwardBlock, n);
        for (int row = first; row < end; row++)
        {
            float v[W];
            long long offset = (long long)row * c + column;
            load_floats(x + offset, v);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] = value<Kind>(v[k] + b[k]);
            }

            store_floats(y + offset, v);
        }
    }
}

// partials (chunks or kMostPartials, c): the sums of dx, before it is rounded, over the rows of a chunk and of the kMostPartials-th ones
// behind; may be null.
template <int Kind, typename T, int W>
__device__ __forceinline__ void backward_columns(const T* dy, const T* x, const float* bias, T* dx, float* partials, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    int first = (int)blockIdx.y * kRowsPerChunk;
    if (column >= c || first >= n)
    {
        return;
    }

    float b[W], sums[W];
    load_bias(bias, column, b);
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        sums[k] = 0.0f;
    }

    for (; first < n; first += kMostPartials * kRowsPerChunk)
    {
        int end = min(first + kRowsPerChunk, n);
        for (int row = first; row < end; row++)
        {
            float g[W], v[W];
            long long offset = (long long)row * c + column;
            load_floats(dy + offset, g);
            load_floats(x + offset, v);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                g[k] *= slope<Kind>(v[k] + b[k]);
                sums[k] += g[k];
            }

            store_floats(dx + offset, g);
        }
    }

    if (partials != nullptr)
    {
        store_parameters(partials + (long long)blockIdx.y * c + column, sums);
    }
}

template <int Kind, typename T>
__device__ __forceinline__ void forward_kind(const T* x, const float* bias, T* y, int n, int c, int wide)
{
    if (wide != 0)
    {
        forward_columns<Kind, T, kRowVector>(x, bias, y, n, c);
    }
    else
    {
        forward_columns<Kind, T, 1>(x, bias, y, n, c);
    }
}

template <typename T>
__device__ __forceinline__ void forward(const T* x, const float* bias, T* y, const int* live, int n, int c, int kind, int wide)
{
    int rows = live_rows(live, n);
    if (kind == kErf)
    {
        forward_kind<kErf>(x, bias, y, rows, c, wide);
    }
    else if (kind == kTanh)
    {
        forward_kind<kTanh>(x, bias, y, rows, c, wide);
    }
    else
    {
        forward_kind<kQuick>(x, bias, y, rows, c, wide);
    }
}

template <int Kind, typename T>
__device__ __forceinline__ void backward_kind(const T* dy, const T* x, const float* bias, T* dx, float* partials, int n, int c, int wide)
{
    if (wide != 0)
    {
        backward_columns<Kind, T, kRowVector>(dy, x, bias, dx, partials, n, c);
    }
    else
    {
        backward_columns<Kind, T, 1>(dy, x, bias, dx, partials, n, c);
    }
}

template <typename T>
__device__ __forceinline__ void backward(
    const T* dy, const T* x, const float* bias, T* dx, float* partials, const int* live, int n, int c, int kind, int wide)
{
    int rows = live_rows(live, n);
    if (kind == kErf)
    {
        backward_kind<kErf>(dy, x, bias, dx, partials, rows, c, wide);
    }
    else if (kind == kTanh)
    {
        backward_kind<kTanh>(dy, x, bias, dx, partials, rows, c, wide);
    }
    else
    {
        backward_kind<kQuick>(dy, x, bias, dx, partials, rows, c, wide);
    }
}

} // namespace

// x, y (n, c); bias (c), may be null; y may be x. One block a strip of columns (x) and kRowsPerForwardBlock rows, and
// every gridDim.y-th such rows behind them (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) gelu_fwd_f32(
    const float* x, const float* bias, float* y, const int* live, int n, int c, int kind, int wide)
{
    forward(x, bias, y, live, n, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) gelu_fwd_bf16(
    const bf16* x, const float* bias, bf16* y, const int* live, int n, int c, int kind, int wide)
{
    forward(x, bias, y, live, n, c, kind, wide);
}

// dx = dy slope(x + bias), may be dy; partials, may be null. One block a strip of columns (x) and a partial (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) gelu_bwd_f32(
    const float* dy, const float* x, const float* bias, float* dx, float* partials, const int* live, int n, int c, int kind,
    int wide)
{
    backward(dy, x, bias, dx, partials, live, n, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) gelu_bwd_bf16(
    const bf16* dy, const bf16* x, const float* bias, bf16* dx, float* partials, const int* live, int n, int c, int kind,
    int wide)
{
    backward(dy, x, bias, dx, partials, live, n, c, kind, wide);
}

// db += the partials, in order. One thread a column.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) gelu_bwd_merge(
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
