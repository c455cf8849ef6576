// Layer normalisation of rows: y = (x - mean) rstd w + b, rstd = 1 / sqrt(var + eps) with the population variance.
// Source: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer Normalization", 2016, equation 4.
//
// Forward: one warp a row. The row is read three times (mean, variance about it, result); from the second time on it comes from the
// first-level cache. With a residual the sum is stored first and read back by the lane that stored it, so that what is normalised has
// the rounding of what the backward pass reads.
// Backward: dx by one warp a row; dw and db in two stages with a fixed order and no atomics: each block sums kRowsPerChunk rows of
// its columns, and those of every kMostPartials-th chunk behind them, then one thread a column adds the blocks' sums in order.
//
// W is the number of elements of one access: four where the host finds rows and addresses multiples of four elements (`wide`), else one.
// Four also for bfloat16: with eight the float32 weights beside them would be read in two 16-byte halves, each touching every sector.
#include "prelude.cuh"

namespace
{

constexpr int kWarpsPerBlock = 4;
constexpr int kThreadsPerBlock = kWarpsPerBlock * kWarpSize;
constexpr int kRowsPerChunk = 32;
constexpr int kMostPartials = 1024;
constexpr int kRowVector = 4;

template <typename T, int W>
__device__ __forceinline__ void forward_row(
    const T* x, const T* residual, T* sum, const float* w, const float* b, T* y, float* mean_out, float* rstd_out, int c, float eps)
{
    int first = lane_index() * W;
    int step = kWarpSize * W;
    float total = 0.0f;
    for (int i = first; i < c; i += step)
    {
        float v[W];
        load_floats(x + i, v);
        if (residual != nullptr)
        {
            float r[W];
            load_floats(residual + i, r);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] = to_float(from_float<T>(v[k] + r[k]));
            }

            store_floats(sum + i, v);
        }

#pragma unroll
        for (int k = 0; k < W; k++)
        {
            total += v[k];
        }
    }

    const T* source = residual != nullptr ? sum : x;
    float mean = warp_sum(total) / (float)c;
    float squares = 0.0f;
    for (int i = first; i < c; i += step)
    {
        float v[W];
        load_floats(source + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            float d = v[k] - mean;
            squares = fmaf(d, d, squares);
        }
    }

    float rstd = 1.0f / sqrtf(warp_sum(squares) / (float)c + eps);
    if (lane_index() == 0)
    {
        *mean_out = mean;
        *rstd_out = rstd;
    }

    for (int i = first; i < c; i += step)
    {
        float v[W], weight[W], bias[W];
        load_floats(source + i, v);
        load_parameters(w + i, weight);
        load_parameters(b + i, bias);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            v[k] = fmaf((v[k] - mean) * rstd, weight[k], bias[k]);
        }

        store_floats(y + i, v);
    }
}

template <typename T>
__device__ __forceinline__ void forward(
    const T* x, const T* residual, T* sum, const float* w, const float* b, T* y, float* mean, float* rstd, const int* live, int n, int c, float eps,
    int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, n))
    {
        return;
    }

    long long offset = (long long)row * c;
    const T* r = residual == nullptr ? nullptr : residual + offset;
    T* s = residual == nullptr ? nullptr : sum + offset;
    if (wide != 0)
    {
        forward_row<T, kRowVector>(x + offset, r, s, w, b, y + offset, mean + row, rstd + row, c, eps);
    }
    else
    {
        forward_row<T, 1>(x + offset, r, s, w, b, y + offset, mean + row, rstd + row, c, eps);
    }
}

template <typename T, int W>
__device__ __forceinline__ void backward_row(const T* dy, const T* x, const float* w, float mean, float rstd, T* dx, int c, int accumulate)
{
    int first = lane_index() * W;
    int step = kWarpSize * W;

    // a = mean(g), e = mean(g xhat) with g = dy w; dx = rstd (g - a - xhat e).
    float a = 0.0f;
    float e = 0.0f;
    for (int i = first; i < c; i += step)
    {
        float g[W], v[W], weight[W];
        load_floats(dy + i, g);
        load_floats(x + i, v);
        load_parameters(w + i, weight);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            float t = g[k] * weight[k];
            a += t;
            e = fmaf(t, (v[k] - mean) * rstd, e);
        }
    }

    a = warp_sum(a) / (float)c;
    e = warp_sum(e) / (float)c;
    for (int i = first; i < c; i += step)
    {
        float g[W], v[W], weight[W];
        load_floats(dy + i, g);
        load_floats(x + i, v);
        load_parameters(w + i, weight);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            g[k] = rstd * (g[k] * weight[k] - a - (v[k] - mean) * rstd * e);
        }

        if (accumulate)
        {
            load_floats(dx + i, v);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                g[k] += v[k];
            }
        }

        store_floats(dx + i, g);
    }
}

template <typename T>
__device__ __forceinline__ void backward(
    const T* dy, const T* x, const float* w, const float* mean, const float* rstd, T* dx, const int* live, int n, int c, int accumulate, int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, n))
    {
        return;
    }

    long long offset = (long long)row * c;
    if (wide != 0)
    {
        backward_row<T, kRowVector>(dy + offset, x + offset, w, mean[row], rstd[row], dx + offset, c, accumulate);
    }
    else
    {
        backward_row<T, 1>(dy + offset, x + offset, w, mean[row], rstd[row], dx + offset, c, accumulate);
    }
}

// partials (chunks or kMostPartials, 2, c): the sums of dy xhat and of dy over the rows of a chunk and of the kMostPartials-th ones behind.
template <typename T, int W>
__device__ __forceinline__ void partial_columns(
    const T* dy, const T* x, const float* mean, const float* rstd, float* partials, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    int first = (int)blockIdx.y * kRowsPerChunk;
    if (column >= c || first >= n)
    {
        return;
    }

    float dw[W], db[W];
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        dw[k] = 0.0f;
        db[k] = 0.0f;
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
            float m = mean[row];
            float r = rstd[row];
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                dw[k] = fmaf(g[k], (v[k] - m) * r, dw[k]);
                db[k] += g[k];
            }
        }
    }

    float* p = partials + (long long)blockIdx.y * 2 * c + column;
    store_parameters(p, dw);
    store_parameters(p + c, db);
}

template <typename T>
__device__ __forceinline__ void partial(
    const T* dy, const T* x, const float* mean, const float* rstd, float* partials, const int* live, int n, int c, int wide)
{
    int rows = live_rows(live, n);
    if (wide != 0)
    {
        partial_columns<T, kRowVector>(dy, x, mean, rstd, partials, rows, c);
    }
    else
    {
        partial_columns<T, 1>(dy, x, mean, rstd, partials, rows, c);
    }
}

} // namespace

// x, residual, sum, y (n, c); w, b (c); mean, rstd (n). residual and sum may be null; sum may be x or residual, y may be x.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_fwd_f32(
    const float* x, const float* residual, float* sum, const float* w, const float* b, float* y, float* mean, float* rstd, const int* live, int n, int c, float eps,
    int wide)
{
    forward(x, residual, sum, w, b, y, mean, rstd, live, n, c, eps, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_fwd_bf16(
    const bf16* x, const bf16* residual, bf16* sum, const float* w, const float* b, bf16* y, float* mean, float* rstd, const int* live, int n, int c, float eps,
    int wide)
{
    forward(x, residual, sum, w, b, y, mean, rstd, live, n, c, eps, wide);
}

// dx = (or += with accumulate); dx may be dy where it is overwritten, and then the weights' gradient must be taken first.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_bwd_f32(
    const float* dy, const float* x, const float* w, const float* mean, const float* rstd, float* dx, const int* live, int n, int c, int accumulate,
    int wide)
{
    backward(dy, x, w, mean, rstd, dx, live, n, c, accumulate, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_bwd_bf16(
    const bf16* dy, const bf16* x, const float* w, const float* mean, const float* rstd, bf16* dx, const int* live, int n, int c, int accumulate,
    int wide)
{
    backward(dy, x, w, mean, rstd, dx, live, n, c, accumulate, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_bwd_partial_f32(
    const float* dy, const float* x, const float* mean, const float* rstd, float* partials, const int* live, int n, int c, int wide)
{
    partial(dy, x, mean, rstd, partials, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_bwd_partial_bf16(
    const bf16* dy, const bf16* x, const float* mean, const float* rstd, float* partials, const int* live, int n, int c, int wide)
{
    partial(dy, x, mean, rstd, partials, live, n, c, wide);
}

// dw += and db += the partials, in order. One thread a column.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) layernorm_bwd_merge(
    const float* partials, float* dw, float* db, const int* live, int n, int c)
{
    int column = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= c)
    {
        return;
    }

    int count = min((live_rows(live, n) + kRowsPerChunk - 1) / kRowsPerChunk, kMostPartials);
    float weight = 0.0f;
    float bias = 0.0f;
    for (int i = 0; i < count; i++)
    {
        const float* p = partials + (long long)i * 2 * c + column;
        weight += p[0];
        bias += p[c];
    }

    dw[column] += weight;
    db[column] += bias;
}
