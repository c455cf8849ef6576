// One vector for each sequence of a packed batch: the mean of its tokens, its first or its last; sequence s holds the tokens
// ends[s] to ends[s + 1] - 1. Source: N. Reimers, I. Gurevych, "Sentence-BERT", 2019, section 3.
//
// A thread has W columns of one sequence and goes down its tokens, so a sequence's vector does not depend on its batch mates. The mean
// is taken over sums of kBlockRows tokens, which are added with what the additions round away. The number of live rows is that of
// sequences; their ends bound the tokens. Vectors may be float32 where the tokens are bfloat16. Accesses are of 16 bytes (or 8 of bfloat16
// beside 16 of float32) where the host finds rows and addresses whole numbers of them (`wide`).
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 128;
constexpr int kBlockRows = 32;

// As CrossAlign.Kernels.PoolingKind.
enum : int
{
    kMean = 0,
    kCls = 1,
};

// Elements of an access: 16 bytes where tokens and vectors are of one type; else 16 of the float32 and 8 of the bfloat16.
template <typename T, typename TPooled>
constexpr int kAccess = sizeof(T) == sizeof(TPooled) ? kVector<T> : kVector<float>;

template <int W>
__device__ __forceinline__ void clear(float (&v)[W])
{
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        v[k] = 0.0f;
    }
}

template <typename T, int W>
__device__ __forceinline__ void mean_columns(const T* x, int start, int end, int c, float (&mean)[W])
{
    float low[W];
    clear(mean);
    clear(low);
    for (int block = start; block < end; block += kBlockRows)
    {
        float sum[W];
        clear(sum);
        int block_end = min(block + kBlockRows, end);
        for (int row = block; row < block_end; row++)
        {
            float v[W];
            load_floats(x + (long long)row * c, v);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                sum[k] += v[k];
            }
        }

        // D. E. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            float total = mean[k] + sum[k];
            float part = total - mean[k];
            low[k] += (mean[k] - (total - part)) + (sum[k] - part);
            mean[k] = total;
        }
    }

    float count = (float)max(end - start, 1);
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        mean[k] = (mean[k] + low[k]) / count;
    }
}

template <typename T, typename TPooled, int W>
__device__ __forceinline__ void forward_columns(const T* x, const int* ends, TPooled* y, int c, int kind)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    int sequence = (int)blockIdx.x;
    int start = ends[sequence];
    int end = ends[sequence + 1];
    float v[W];
    if (kind == kMean || end == start)
    {
        mean_columns(x + column, start, end, c, v);
    }
    else
    {
        load_floats(x + (long long)(kind == kCls ? start : end - 1) * c + column, v);
    }

    store_floats(y + (long long)sequence * c + column, v);
}

template <typename T, typename TPooled>
__device__ __forceinline__ void forward(const T* x, const int* ends, TPooled* y, const int* live, int s, int c, int kind, int wide)
{
    if ((int)blockIdx.x >= live_rows(live, s))
    {
        return;
    }

    if (wide != 0)
    {
        forward_columns<T, TPooled, kAccess<T, TPooled>>(x, ends, y, c, kind);
    }
    else
    {
        forward_columns<T, TPooled, 1>(x, ends, y, c, kind);
    }
}

template <typename T, typename TPooled, int W>
__device__ __forceinline__ void backward_columns(const TPooled* dy, const int* ends, T* dx, int c, int kind)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    int sequence = (int)blockIdx.x;
    int start = ends[sequence];
    int end = ends[sequence + 1];
    int chosen = kind == kCls ? start : end - 1;
    float count = (float)(end - start);
    float g[W], zero[W];
    clear(zero);
    load_floats(dy + (long long)sequence * c + column, g);
    if (kind == kMean)
    {
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            g[k] /= count;
        }
    }

    for (int row = start; row < end; row++)
    {
        T* p = dx + (long long)row * c + column;
        if (kind == kMean || row == chosen)
        {
            store_floats(p, g);
        }
        else
        {
            store_floats(p, zero);
        }
    }
}

template <typename T, typename TPooled>
__device__ __forceinline__ void backward(const TPooled* dy, const int* ends, T* dx, const int* live, int s, int c, int kind, int wide)
{
    if ((int)blockIdx.x >= live_rows(live, s))
    {
        return;
    }

    if (wide != 0)
    {
        backward_columns<T, TPooled, kAccess<T, TPooled>>(dy, ends, dx, c, kind);
    }
    else
    {
        backward_columns<T, TPooled, 1>(dy, ends, dx, c, kind);
    }
}

} // namespace

// x (n, c), ends (s + 1), y (s, c). One block a sequence (x) and a strip of columns (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_f32(
    const float* x, const int* ends, float* y, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_bf16(
    const bf16* x, const int* ends, bf16* y, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_bf16_f32(
    const bf16* x, const int* ends, float* y, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, live, s, c, kind, wide);
}

// dx (n, c) = the share of each token; zero for those that were not pooled.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_f32(
    const float* dy, const int* ends, float* dx, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_bf16(
    const bf16* dy, const int* ends, bf16* dx, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_f32_bf16(
    const float* dy, const int* ends, bf16* dx, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, live, s, c, kind, wide);
}
