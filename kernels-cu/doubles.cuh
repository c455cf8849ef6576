// Double precision for what is O(B) and must not be rounded on the way: sums of losses, norms, inner products. There is no device
// library, so logarithm and exponential are short series here; each is exact to about 1e-15 relative, and exact at 1 and at 0.
#pragma once
#include "prelude.cuh"

__device__ __forceinline__ double square_root(double x)
{
    double y;
    asm("sqrt.rn.f64 %0, %1;" : "=d"(y) : "d"(x));
    return y;
}

__device__ __forceinline__ void split_double(double x, int& low, int& high)
{
    asm("mov.b64 {%0, %1}, %2;" : "=r"(low), "=r"(high) : "d"(x));
}

__device__ __forceinline__ double join_double(int low, int high)
{
    double x;
    asm("mov.b64 %0, {%1, %2};" : "=d"(x) : "r"(low), "r"(high));
    return x;
}

// ln x for normal x: x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)). NaN and infinity pass.
__device__ __forceinline__ double log_double(double x)
{
    if (!(x > 0.0 && x < 1e300))
    {
        return x == 0.0 ? -1e300 : x;
    }

    int low, high;
    split_double(x, low, high);
    int exponent = (high >> 20) - 1023;
    double m = join_double(low, (high & 0xfffff) | 0x3ff00000);
    if (m > 1.4142135623730951)
    {
        m *= 0.5;
        exponent++;
    }

    double s = (m - 1.0) / (m + 1.0);
    double s2 = s * s;
    double series = 0.0;
#pragma unroll
    for (int k = 23; k >= 1; k -= 2)
    {
        series = series * s2 + 1.0 / k;
    }

    return exponent * 0.693147180559945309 + 2.0 * s * series;
}

// e^x, x cut at +-700; NaN passes.
__device__ __forceinline__ double exp_double(double x)
{
    x = x < -700.0 ? -700.0 : x;
    x = x > 700.0 ? 700.0 : x;
    int k = (int)(x * 1.44269504088896341 + (x < 0.0 ? -0.5 : 0.5));
    double r = (x - k * 0.69314718036912382) - k * 1.9082149292705877e-10;
    double series = 1.0;
#pragma unroll
    for (int i = 16; i >= 1; i--)
    {
        series = series * (r * (1.0 / i)) + 1.0;
    }

    return series * join_double(0, (k + 1023) << 20);
}

// The sum over the 32 lanes, in every lane.
__device__ __forceinline__ double warp_sum_double(double x)
{
#pragma unroll
    for (int m = 16; m > 0; m >>= 1)
    {
        int low, high;
        split_double(x, low, high);
        x += join_double(__shfl_xor_sync(kAllLanes, low, m), __shfl_xor_sync(kAllLanes, high, m));
    }

    return x;
}

// The sum over a block of whole warps, in every thread; `sums` has room for one a warp and is free behind a barrier.
__device__ __forceinline__ double block_sum_double(double x, double* sums)
{
    x = warp_sum_double(x);
    if (lane_index() == 0)
    {
        sums[warp_index()] = x;
    }

    __syncthreads();
    double total = 0.0;
    for (int w = 0; w < (int)(blockDim.x >> 5); w++)
    {
        total += sums[w];
    }

    // All have read before the next sum is written.
    __syncthreads();
    return total;
}
