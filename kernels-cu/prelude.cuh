// What every kernel includes: 16-byte types, bfloat16, fast mathematics and warp reductions. What the tensor cores take besides is in
// tensor_core.cuh. Everything here exists in PTX ISA 7.0 for sm_80.
#pragma once

#include "compiler.cuh"

// Dynamic shared memory: one name and one type in every kernel, or two kernels of one file clash.
#define CROSSALIGN_DYNAMIC_SHARED(NAME) extern __shared__ __align__(128) unsigned char NAME[]

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return (int)(threadIdx.x % (unsigned)kWarpSize); }
__device__ __forceinline__ int warp_index() { return (int)(threadIdx.x / (unsigned)kWarpSize); }

// The compiler knows nothing of the value behind this: what is computed from it is computed here again, and not kept in registers over a
// whole loop. (Without it clang 14 carries so many addresses through the rounds that the driver's compiler would have to spill.)
__device__ __forceinline__ void forget(int& x) { asm volatile("" : "+r"(x)); }
__device__ __forceinline__ void forget(long long& x) { asm volatile("" : "+l"(x)); }

// The thread's and the lane's number, of which it knows nothing either.
__device__ __forceinline__ int fresh_thread()
{
    int thread = (int)threadIdx.x;
    forget(thread);
    return thread;
}

__device__ __forceinline__ int fresh_lane() { return fresh_thread() & (kWarpSize - 1); }

// Rows that count: those of the tensor, or, in a captured graph, as many as the device's memory says (the tensor is then a capacity).
__device__ __forceinline__ int live_rows(const int* live, int capacity) { return live == nullptr ? capacity : min(*live, capacity); }

__device__ __forceinline__ float positive_infinity() { return __uint_as_float(0x7f800000u); }

// ---- fast mathematics: relative error about 2^-22 each; results below 2^-126 are zero ----

__device__ __forceinline__ float fast_exp2(float x) { return CROSSALIGN_EX2(x); }
__device__ __forceinline__ float fast_log2(float x) { return CROSSALIGN_LG2(x); }
__device__ __forceinline__ float reciprocal(float x) { return CROSSALIGN_RCP(x); }

// exp(x) = 2^(x log2 e). The rounding of the product alone would cost |x| 2^-24 of relative error: it is added to first order.
// Beyond +-128 the result is infinite or zero; the clamp keeps infinity minus infinity out (comparisons let NaN through).
__device__ __forceinline__ float fast_exp(float x)
{
    x = x < -128.0f ? -128.0f : x;
    x = x > 128.0f ? 128.0f : x;
    float product = x * 1.44269502f;
    float rest = fmaf(x, 1.92596299e-8f, fmaf(x, 1.44269502f, -product));
    return fast_exp2(product) * fmaf(rest, 0.693147182f, 1.0f);
}

__device__ __forceinline__ float fast_log(float x) { return fast_log2(x) * 0.693147182f; }

// ---- bfloat16: a storage type; arithmetic is done in float32 ----

struct __align__(2) bf16
{
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// Two floats to two bfloat16, rounded to nearest even: `low` in bits 0..15.
__device__ __forceinline__ unsigned pack_bf16(float low, float high)
{
    unsigned packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ float unpack_low(unsigned packed) { return __uint_as_float(packed << 16); }
__device__ __forceinline__ float unpack_high(unsigned packed) { return __uint_as_float(packed & 0xffff0000u); }

template <typename T>
__device__ __forceinline__ T from_float(float x);

template <>
__device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}

template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x)
{
    return bf16{(unsigned short)pack_bf16(x, 0.0f)};
}

// ---- a few consecutive elements as floats: one 16-byte access (kVector elements), four elements, or a single one ----

template <typename T>
constexpr int kVector = 16 / (int)sizeof(T);

template <int W>
__device__ __forceinline__ void load_floats(const float* p, float (&v)[W])
{
    static_assert(W == 1 || W == 4, "one element or 16 bytes");
    if constexpr (W == 1)
    {
        v[0] = *p;
    }
    else
    {
        float4 q = *reinterpret_cast<const float4*>(p);
        v[0] = q.x;
        v[1] = q.y;
        v[2] = q.z;
        v[3] = q.w;
    }
}

template <int W>
__device__ __forceinline__ void load_floats(const bf16* p, float (&v)[W])
{
    static_assert(W == 1 || W == 4 || W == 8, "one element, 8 or 16 bytes");
    if constexpr (W == 1)
    {
        v[0] = to_float(*p);
    }
    else if constexpr (W == 4)
    {
        uint2 q = *reinterpret_cast<const uint2*>(p);
        v[0] = unpack_low(q.x);
        v[1] = unpack_high(q.x);
        v[2] = unpack_low(q.y);
        v[3] = unpack_high(q.y);
    }
    else
    {
        uint4 q = *reinterpret_cast<const uint4*>(p);
        v[0] = unpack_low(q.x);
        v[1] = unpack_high(q.x);
        v[2] = unpack_low(q.y);
        v[3] = unpack_high(q.y);
        v[4] = unpack_low(q.z);
        v[5] = unpack_high(q.z);
        v[6] = unpack_low(q.w);
        v[7] = unpack_high(q.w);
    }
}

// As many float32 values as a 16-byte access of another type covers: 4 or 8, in accesses of 16 bytes, or one.
template <int W>
__device__ __forceinline__ void load_parameters(const float* p, float (&v)[W])
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
            float4 q = *reinterpret_cast<const float4*>(p + i);
            v[i] = q.x;
            v[i + 1] = q.y;
            v[i + 2] = q.z;
            v[i + 3] = q.w;
        }
    }
}

template <int W>
__device__ __forceinline__ void store_parameters(float* p, const float (&v)[W])
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
            *reinterpret_cast<float4*>(p + i) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
        }
    }
}

template <int W>
__device__ __forceinline__ void store_floats(float* p, const float (&v)[W])
{
    static_assert(W == 1 || W == 4, "one element or 16 bytes");
    store_parameters(p, v);
}

template <int W>
__device__ __forceinline__ void store_floats(bf16* p, const float (&v)[W])
{
    static_assert(W == 1 || W == 4 || W == 8, "one element, 8 or 16 bytes");
    if constexpr (W == 1)
    {
        *p = from_float<bf16>(v[0]);
    }
    else if constexpr (W == 4)
    {
        *reinterpret_cast<uint2*>(p) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
    }
    else
    {
        *reinterpret_cast<uint4*>(p) =
            make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    }
}

// ---- reductions over the 32 lanes; every lane gets the result, the order is fixed ----

__device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int m = 16; m > 0; m >>= 1)
    {
        x += __shfl_xor_sync(kAllLanes, x, m);
    }

    return x;
}

__device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int m = 16; m > 0; m >>= 1)
    {
        x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, m));
    }

    return x;
}
