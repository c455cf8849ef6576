// The residual connection, element by element: z = x + y.
// Source: K. He et al., "Deep Residual Learning for Image Recognition", 2015, equation 1.
//
// One 16-byte access a thread where the three tensors are aligned (views need not be); the elements behind the last whole access are
// taken one by one by the threads behind it.
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 256;

// x, y, z (n, c) in memory without gaps; thread i takes elements i W to i W + W - 1, or, from the whole accesses on, single ones.
template <typename T>
__device__ __forceinline__ void add(const T* x, const T* y, T* z, const int* live, int n, long long c)
{
    constexpr int W = kVector<T>;
    long long count = live_rows(live, n) * c;
    long long thread = (long long)blockIdx.x * kThreadsPerBlock + threadIdx.x;
    unsigned long long addresses = (unsigned long long)x | (unsigned long long)y | (unsigned long long)z;
    long long whole = addresses % 16 == 0 ? count / W : 0;
    long long threads = (long long)gridDim.x * kThreadsPerBlock;
    if (thread < whole)
    {
        float a[W], b[W];
        load_floats(x + thread * W, a);
        load_floats(y + thread * W, b);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            a[k] += b[k];
        }

        store_floats(z + thread * W, a);
    }

    for (long long i = whole * W + thread; i < count; i += threads)
    {
        z[i] = from_float<T>(to_float(x[i]) + to_float(y[i]));
    }
}

} // namespace

// z may be x or y. At least n c / (elements of 16 bytes) threads.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) residual_add_f32(
    const float* x, const float* y, float* z, const int* live, int n, long long c)
{
    add(x, y, z, live, n, c);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) residual_add_bf16(
    const bf16* x, const bf16* y, bf16* z, const int* live, int n, long long c)
{
    add(x, y, z, live, n, c);
}
