// Rows of length one: y = x / ||x||, with no epsilon, and the gradient dx = (dy - y (y . dy)) / ||x||. A row of zeros stays zero.
// Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, figure 3.
//
// One warp a row, 16-byte accesses where the host finds rows and addresses whole numbers of them (`wide`). The second sweep over a row comes from the first-level cache.
#include "prelude.cuh"

namespace
{

constexpr int kWarpsPerBlock = 4;
constexpr int kThreadsPerBlock = kWarpsPerBlock * kWarpSize;

template <typename T, int W>
__device__ __forceinline__ float sum_of_squares(const T* x, int e, float scale)
{
    float squares = 0.0f;
    for (int i = lane_index() * W; i < e; i += kWarpSize * W)
    {
        float v[W];
        load_floats(x + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            float s = v[k] * scale;
            squares = fmaf(s, s, squares);
        }
    }

    return warp_sum(squares);
}

template <typename T, int W>
__device__ __forceinline__ void forward_row(const T* x, T* y, float* norm_out, int e)
{
    // Within these bounds a float32 sum of squares has lost nothing to overflow or underflow. Beyond them the row is scaled by 2^96 up or
    // down first: from the smallest subnormal to the largest number the squares then stay in range.
    constexpr float kLeastSquares = 1e-30f;
    constexpr float kMostSquares = 1e30f;
    constexpr float kUp = 7.92281625e28f;
    constexpr float kDown = 1.26217745e-29f;
    float scale = 1.0f;
    float unscale = 1.0f;
    float squares = sum_of_squares<T, W>(x, e, 1.0f);

    // Also taken by a row of zeros, and by one with NaN: neither comes out another.
    if (!(squares > kLeastSquares && squares < kMostSquares))
    {
        scale = squares < 1.0f ? kUp : kDown;
        unscale = squares < 1.0f ? kDown : kUp;
        squares = sum_of_squares<T, W>(x, e, scale);
    }

    float length = sqrtf(squares);
    float inverse = squares == 0.0f ? 0.0f : 1.0f / length;
    if (lane_index() == 0)
    {
        *norm_out = length * unscale;
    }

    for (int i = lane_index() * W; i < e; i += kWarpSize * W)
    {
        float v[W];
        load_floats(x + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            v[k] = v[k] * scale * inverse;
        }

        store_floats(y + i, v);
    }
}

template <typename T>
__device__ __forceinline__ void forward(const T* x, T* y, float* norm, const int* live, int b, int e, int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, b))
    {
        return;
    }

    long long offset = (long long)row * e;
    if (wide != 0)
    {
        forward_row<T, kVector<T>>(x + offset, y + offset, norm + row, e);
    }
    else
    {
        forward_row<T, 1>(x + offset, y + offset, norm + row, e);
    }
}

template <typename T, int W>
__device__ __forceinline__ void backward_row(const T* dy, const T* y, float norm, T* dx, int e)
{
    float dot = 0.0f;
    for (int i = lane_index() * W; i < e; i += kWarpSize * W)
    {
        float g[W], v[W];
        load_floats(dy + i, g);
        load_floats(y + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            dot = fmaf(g[k], v[k], dot);
        }
    }

    dot = warp_sum(dot);
    float inverse = norm == 0.0f ? 0.0f : 1.0f / norm;
    for (int i = lane_index() * W; i < e; i += kWarpSize * W)
    {
        float g[W], v[W];
        load_floats(dy + i, g);
        load_floats(y + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            g[k] = (g[k] - v[k] * dot) * inverse;
        }

        store_floats(dx + i, g);
    }
}

template <typename T>
__device__ __forceinline__ void backward(const T* dy, const T* y, const float* norm, T* dx, const int* live, int b, int e, int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, b))
    {
        return;
    }

    long long offset = (long long)row * e;
    if (wide != 0)
    {
        backward_row<T, kVector<T>>(dy + offset, y + offset, norm[row], dx + offset, e);
    }
    else
    {
        backward_row<T, 1>(dy + offset, y + offset, norm[row], dx + offset, e);
    }
}

} // namespace

// x, y (b, e); norm (b). y may be x.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) l2norm_fwd_f32(
    const float* x, float* y, float* norm, const int* live, int b, int e, int wide)
{
    forward(x, y, norm, live, b, e, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) l2norm_fwd_bf16(
    const bf16* x, bf16* y, float* norm, const int* live, int b, int e, int wide)
{
    forward(x, y, norm, live, b, e, wide);
}

// dx may be dy.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) l2norm_bwd_f32(
    const float* dy, const float* y, const float* norm, float* dx, const int* live, int b, int e, int wide)
{
    backward(dy, y, norm, dx, live, b, e, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) l2norm_bwd_bf16(
    const bf16* dy, const bf16* y, const float* norm, bf16* dx, const int* live, int b, int e, int wide)
{
    backward(dy, y, norm, dx, live, b, e, wide);
}
