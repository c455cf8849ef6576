// The CUDA vocabulary for a compiler without a toolkit, and the few things that compilers name differently.
//
// clang 14 compiles the kernels with no toolkit (see clang.flags); nvcc and NVRTC must take the same sources, so compiler builtins
// stand in this file alone.
#pragma once

#if defined(__clang__) && !defined(__CUDACC_VER_MAJOR__)

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __align__(n) __attribute__((aligned(n)))

struct uint3
{
    unsigned x, y, z;
};

struct dim3
{
    unsigned x, y, z;
};

#include <__clang_cuda_builtin_vars.h>

// Member-wise copies: with the compiler's own, clang 14 copies such a struct as two 8-byte halves.
#define CROSSALIGN_VECTOR4(NAME, ELEMENT)                                                                                            \
    struct __align__(16) NAME                                                                                                        \
    {                                                                                                                                \
        ELEMENT x, y, z, w;                                                                                                          \
        __device__ NAME() = default;                                                                                                 \
        __device__ __forceinline__ NAME(ELEMENT a, ELEMENT b, ELEMENT c, ELEMENT d) : x(a), y(b), z(c), w(d) {}                      \
        __device__ __forceinline__ NAME(const NAME& other) : x(other.x), y(other.y), z(other.z), w(other.w) {}                       \
        __device__ __forceinline__ NAME& operator=(const NAME& other)                                                                \
        {                                                                                                                            \
            x = other.x;                                                                                                             \
            y = other.y;                                                                                                             \
            z = other.z;                                                                                                             \
            w = other.w;                                                                                                             \
            return *this;                                                                                                            \
        }                                                                                                                            \
    };                                                                                                                               \
    __device__ __forceinline__ NAME make_##NAME(ELEMENT a, ELEMENT b, ELEMENT c, ELEMENT d) { return NAME(a, b, c, d); }

#define CROSSALIGN_VECTOR2(NAME, ELEMENT)                                                                                            \
    struct __align__(8) NAME                                                                                                         \
    {                                                                                                                                \
        ELEMENT x, y;                                                                                                                \
        __device__ NAME() = default;                                                                                                 \
        __device__ __forceinline__ NAME(ELEMENT a, ELEMENT b) : x(a), y(b) {}                                                        \
        __device__ __forceinline__ NAME(const NAME& other) : x(other.x), y(other.y) {}                                               \
        __device__ __forceinline__ NAME& operator=(const NAME& other)                                                                \
        {                                                                                                                            \
            x = other.x;                                                                                                             \
            y = other.y;                                                                                                             \
            return *this;                                                                                                            \
        }                                                                                                                            \
    };                                                                                                                               \
    __device__ __forceinline__ NAME make_##NAME(ELEMENT a, ELEMENT b) { return NAME(a, b); }

CROSSALIGN_VECTOR4(float4, float)
CROSSALIGN_VECTOR4(int4, int)
CROSSALIGN_VECTOR4(uint4, unsigned)
CROSSALIGN_VECTOR2(float2, float)
CROSSALIGN_VECTOR2(int2, int)
CROSSALIGN_VECTOR2(uint2, unsigned)

__device__ __forceinline__ float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ __forceinline__ float fmaxf(float a, float b) { return __builtin_fmaxf(a, b); }
__device__ __forceinline__ float fminf(float a, float b) { return __builtin_fminf(a, b); }
__device__ __forceinline__ float fabsf(float a) { return __builtin_fabsf(a); }
__device__ __forceinline__ float sqrtf(float a) { return __nvvm_sqrt_rn_f(a); }
__device__ __forceinline__ int min(int a, int b) { return a < b ? a : b; }
__device__ __forceinline__ int max(int a, int b) { return a > b ? a : b; }
__device__ __forceinline__ unsigned __float_as_uint(float a) { return __builtin_bit_cast(unsigned, a); }
__device__ __forceinline__ float __uint_as_float(unsigned a) { return __builtin_bit_cast(float, a); }
__device__ __forceinline__ int __float_as_int(float a) { return __builtin_bit_cast(int, a); }
__device__ __forceinline__ float __int_as_float(int a) { return __builtin_bit_cast(float, a); }
__device__ __forceinline__ unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
__device__ __forceinline__ int __popc(unsigned a) { return __builtin_popcount(a); }
__device__ __forceinline__ int __clz(int a) { return a == 0 ? 32 : __builtin_clz((unsigned)a); }
__device__ __forceinline__ void __syncwarp(unsigned mask = 0xffffffffu) { __nvvm_bar_warp_sync(mask); }
__device__ __forceinline__ void __threadfence() { __nvvm_membar_gl(); }
__device__ __forceinline__ void __threadfence_block() { __nvvm_membar_cta(); }
__device__ __forceinline__ unsigned __ballot_sync(unsigned mask, int p) { return __nvvm_vote_ballot_sync(mask, p); }
__device__ __forceinline__ int __any_sync(unsigned mask, int p) { return __nvvm_vote_any_sync(mask, p); }
__device__ __forceinline__ int __all_sync(unsigned mask, int p) { return __nvvm_vote_all_sync(mask, p); }
__device__ __forceinline__ float __shfl_sync(unsigned mask, float v, int lane) { return __nvvm_shfl_sync_idx_f32(mask, v, lane, 31); }
__device__ __forceinline__ int __shfl_sync(unsigned mask, int v, int lane) { return __nvvm_shfl_sync_idx_i32(mask, v, lane, 31); }
__device__ __forceinline__ float __shfl_xor_sync(unsigned mask, float v, int m) { return __nvvm_shfl_sync_bfly_f32(mask, v, m, 31); }
__device__ __forceinline__ int __shfl_xor_sync(unsigned mask, int v, int m) { return __nvvm_shfl_sync_bfly_i32(mask, v, m, 31); }
__device__ __forceinline__ float __shfl_up_sync(unsigned mask, float v, unsigned d) { return __nvvm_shfl_sync_up_f32(mask, v, d, 0); }
__device__ __forceinline__ int __shfl_up_sync(unsigned mask, int v, unsigned d) { return __nvvm_shfl_sync_up_i32(mask, v, d, 0); }
__device__ __forceinline__ float __shfl_down_sync(unsigned mask, float v, unsigned d) { return __nvvm_shfl_sync_down_f32(mask, v, d, 31); }
__device__ __forceinline__ int __shfl_down_sync(unsigned mask, int v, unsigned d) { return __nvvm_shfl_sync_down_i32(mask, v, d, 31); }
__device__ __forceinline__ unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
__device__ __forceinline__ int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
__device__ __forceinline__ unsigned atomicOr(unsigned* p, unsigned v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }

#define CROSSALIGN_EX2(x) __nvvm_ex2_approx_ftz_f(x)
#define CROSSALIGN_LG2(x) __nvvm_lg2_approx_ftz_f(x)
#define CROSSALIGN_RCP(x) __nvvm_rcp_rn_f(x)
#define CROSSALIGN_SHARED_ADDRESS(p) ((unsigned)(unsigned long long)(const __attribute__((address_space(3))) void*)(p))

#else

__device__ __forceinline__ float crossalign_ex2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float crossalign_lg2(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#define CROSSALIGN_EX2(x) crossalign_ex2(x)
#define CROSSALIGN_LG2(x) crossalign_lg2(x)
#define CROSSALIGN_RCP(x) __frcp_rn(x)
#define CROSSALIGN_SHARED_ADDRESS(p) ((unsigned)__cvta_generic_to_shared(p))

#endif

// Of a pointer that is an argument the compiler sees that it points to global memory; of one that was read from memory it must be told,
// or it makes generic accesses. By way of an integer: the compiler takes two casts of a pointer that undo each other away.
template <typename T>
__device__ __forceinline__ T* global_pointer(T* p)
{
#if defined(__clang__) && !defined(__CUDACC_VER_MAJOR__)
    return (T*)(__attribute__((address_space(1))) T*)(unsigned long long)p;
#else
    return (T*)__cvta_global_to_generic(__cvta_generic_to_global(p));
#endif
}
