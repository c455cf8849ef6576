// One vector for each sequence of a packed batch: a mean of its tokens, its first or its last, or the columns' maxima; sequence s holds the
// tokens ends[s] to ends[s + 1] - 1. Sources: N. Reimers, I. Gurevych, "Sentence-BERT", 2019, section 3; N. Muennighoff, "SGPT", 2022
// (the weighted mean).
//
// A thread has W columns of one sequence and goes down its tokens, so a sequence's vector does not depend on its batch mates. Means
// are taken over sums of kBlockRows tokens, which are added with what the additions round away. Of equal maxima the first token's counts;
// `chosen` keeps its row for the backward pass. The number of live rows is that of
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
    kEos = 2,
    kMax = 3,
    kMeanSqrtLength = 4,
    kWeightedMean = 5,
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

template <int W>
__device__ __forceinline__ void load_ints(const int* p, int (&v)[W])
{
    if constexpr (W == 1)
    {
        v[0] = *p;
    }
    else
    {
#pragma unroll
        for (int i = 0; i < W; i += 4)
        {
            int4 q = *reinterpret_cast<const int4*>(p + i);
            v[i] = q.x;
            v[i + 1] = q.y;
            v[i + 2] = q.z;
            v[i + 3] = q.w;
        }
    }
}

template <int W>
__device__ __forceinline__ void store_ints(int* p, const int (&v)[W])
{
    if constexpr (W == 1)
    {
        *p = v[0];
    }
    else
    {
#pragma unroll
        for (int i = 0; i < W; i += 4)
        {
            *reinterpret_cast<int4*>(p + i) = make_int4(v[i], v[i + 1], v[i + 2], v[i + 3]);
        }
    }
}

// What the sum of a sequence is divided by.
__device__ __forceinline__ float divisor(int kind, int length)
{
    int n = max(length, 1);
    return kind == kMeanSqrtLength ? sqrtf((float)n) : kind == kWeightedMean ? (float)((long long)n * (n + 1) / 2) : (float)n;
}

template <typename T, int W>
__device__ __forceinline__ void mean_columns(const T* x, int start, int end, int c, int kind, float (&mean)[W])
{
    // 1 times a number is that number: one loop serves all means.
    float weight = 1.0f;
    float step = kind == kWeightedMean ? 1.0f : 0.0f;
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
                sum[k] = fmaf(weight, v[k], sum[k]);
            }

            weight += step;
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

    float d = divisor(kind, end - start);
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        mean[k] = (mean[k] + low[k]) / d;
    }
}

// The first of the largest, and the first NaN before them all. An empty sequence has zeros, and no row.
template <typename T, int W>
__device__ __forceinline__ void max_columns(const T* x, int start, int end, int c, float (&best)[W], int (&place)[W])
{
    clear(best);
    if (start < end)
    {
        load_floats(x + (long long)start * c, best);
    }

#pragma unroll
    for (int k = 0; k < W; k++)
    {
        place[k] = start < end ? start : -1;
    }

    for (int row = start + 1; row < end; row++)
    {
        float v[W];
        load_floats(x + (long long)row * c, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            bool more = v[k] > best[k] || (v[k] != v[k] && best[k] == best[k]);
            best[k] = more ? v[k] : best[k];
            place[k] = more ? row : place[k];
        }
    }
}

template <typename T, typename TPooled, int W>
__device__ __forceinline__ void forward_columns(const T* x, const int* ends, TPooled* y, int* chosen, int c, int kind)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    int sequence = (int)blockIdx.x;
    int start = ends[sequence];
    int end = ends[sequence + 1];
    long long at = (long long)sequence * c + column;
    float v[W];
    if (kind == kMax)
    {
        int place[W];
        max_columns(x + column, start, end, c, v, place);
        if (chosen != nullptr)
        {
            store_ints(chosen + at, place);
        }
    }
    else if ((kind == kCls || kind == kEos) && start < end)
    {
        load_floats(x + (long long)(kind == kCls ? start : end - 1) * c + column, v);
    }
    else
    {
        mean_columns(x + column, start, end, c, kind, v);
    }

    store_floats(y + at, v);
}

template <typename T, typename TPooled>
__device__ __forceinline__ void forward(const T* x, const int* ends, TPooled* y, int* chosen, const int* live, int s, int c, int kind, int wide)
{
    if ((int)blockIdx.x >= live_rows(live, s))
    {
        return;
    }

    if (wide != 0)
    {
        forward_columns<T, TPooled, kAccess<T, TPooled>>(x, ends, y, chosen, c, kind);
    }
    else
    {
        forward_columns<T, TPooled, 1>(x, ends, y, chosen, c, kind);
    }
}

template <typename T, typename TPooled, int W>
__device__ __forceinline__ void backward_columns(const TPooled* dy, const int* ends, T* dx, const int* chosen, int c, int kind)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    int sequence = (int)blockIdx.x;
    int start = ends[sequence];
    int end = ends[sequence + 1];
    long long at = (long long)sequence * c + column;
    float g[W];
    load_floats(dy + at, g);
    if (kind == kMax)
    {
        int place[W];
        load_ints(chosen + at, place);
        for (int row = start; row < end; row++)
        {
            float v[W];
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] = place[k] == row ? g[k] : 0.0f;
            }

            store_floats(dx + (long long)row * c + column, v);
        }

        return;
    }

    T* rows = dx + column;
    if (kind == kCls || kind == kEos)
    {
        int only = kind == kCls ? start : end - 1;

        // One store for either: zeros of their own would be written in halves, each half touching every sector.
        for (int row = start; row < end; row++)
        {
            float v[W];
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] = row == only ? g[k] : 0.0f;
            }

            store_floats(rows + (long long)row * c, v);
        }

        return;
    }

    float d = divisor(kind, end - start);
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        g[k] /= d;
    }

    if (kind == kWeightedMean)
    {
        float weight = 0.0f;
        for (int row = start; row < end; row++)
        {
            weight += 1.0f;
            float v[W];
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] = weight * g[k];
            }

            store_floats(rows + (long long)row * c, v);
        }

        return;
    }

    for (int row = start; row < end; row++)
    {
        store_floats(rows + (long long)row * c, g);
    }
}

template <typename T, typename TPooled>
__device__ __forceinline__ void backward(const TPooled* dy, const int* ends, T* dx, const int* chosen, const int* live, int s, int c, int kind, int wide)
{
    if ((int)blockIdx.x >= live_rows(live, s))
    {
        return;
    }

    if (wide != 0)
    {
        backward_columns<T, TPooled, kAccess<T, TPooled>>(dy, ends, dx, chosen, c, kind);
    }
    else
    {
        backward_columns<T, TPooled, 1>(dy, ends, dx, chosen, c, kind);
    }
}

} // namespace

// x (n, c), ends (s + 1), y (s, c), chosen (s, c) or absent. One block a sequence (x) and a strip of columns (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_f32(
    const float* x, const int* ends, float* y, int* chosen, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, chosen, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_bf16(
    const bf16* x, const int* ends, bf16* y, int* chosen, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, chosen, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_fwd_bf16_f32(
    const bf16* x, const int* ends, float* y, int* chosen, const int* live, int s, int c, int kind, int wide)
{
    forward(x, ends, y, chosen, live, s, c, kind, wide);
}

// dx (n, c) = the share of each token; zero for those that were not pooled. chosen: as the forward pass wrote it, of maxima alone.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_f32(
    const float* dy, const int* ends, float* dx, const int* chosen, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, chosen, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_bf16(
    const bf16* dy, const int* ends, bf16* dx, const int* chosen, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, chosen, live, s, c, kind, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) pooling_bwd_f32_bf16(
    const float* dy, const int* ends, bf16* dx, const int* chosen, const int* live, int s, int c, int kind, int wide)
{
    backward(dy, ends, dx, chosen, live, s, c, kind, wide);
}
