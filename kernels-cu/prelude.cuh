// What every kernel includes: the CUDA vocabulary for a compiler without a toolkit, 16-byte types, bfloat16, fast mathematics,
// warp reductions and one wrapper for each instruction that CUDA C++ has no name for.
//
// clang 14 compiles the kernels with no toolkit (see clang.flags); nvcc and NVRTC must take the same sources, so compiler builtins
// stand in this file alone. Everything here exists in PTX ISA 7.0 for sm_80.
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
#define CROSSALIGN_RSQRT(x) __nvvm_rsqrt_approx_f(x)
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
#define CROSSALIGN_RSQRT(x) rsqrtf(x)
#define CROSSALIGN_RCP(x) __frcp_rn(x)
#define CROSSALIGN_SHARED_ADDRESS(p) ((unsigned)__cvta_generic_to_shared(p))

#endif

// Dynamic shared memory: one name and one type in every kernel, or two kernels of one file clash.
#define CROSSALIGN_DYNAMIC_SHARED(NAME) extern __shared__ __align__(16) unsigned char NAME[]

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return (int)(threadIdx.x & 31u); }
__device__ __forceinline__ int warp_index() { return (int)(threadIdx.x >> 5); }

// Rows that count: those of the tensor, or, in a captured graph, as many as the device's memory says (the tensor is then a capacity).
__device__ __forceinline__ int live_rows(const int* live, int capacity) { return live == nullptr ? capacity : min(*live, capacity); }

// ---- fast mathematics: relative error about 2^-22 each; results below 2^-126 are zero ----

__device__ __forceinline__ float fast_exp2(float x) { return CROSSALIGN_EX2(x); }
__device__ __forceinline__ float fast_log2(float x) { return CROSSALIGN_LG2(x); }
__device__ __forceinline__ float fast_rsqrt(float x) { return CROSSALIGN_RSQRT(x); }
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

// ---- instructions without a name in CUDA C++ ----

// The 32-bit address of a shared variable, as cp.async and ldmatrix want it.
__device__ __forceinline__ unsigned shared_address(const void* p) { return CROSSALIGN_SHARED_ADDRESS(p); }

// Copies 16 bytes to shared memory in the background; both addresses are multiples of 16.
__device__ __forceinline__ void cp_async_16(unsigned destination, const void* source)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(destination), "l"(source) : "memory");
}

// The same for `count` bytes (0..16); the rest of the 16 is filled with zeros. With 0 the source is not read.
__device__ __forceinline__ void cp_async_16_zfill(unsigned destination, const void* source, int count)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(destination), "l"(source), "r"(count) : "memory");
}

__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `Pending` of this thread's committed groups are unfinished. Other threads' copies need a barrier after it.
template <int Pending>
__device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Four 8 x 8 matrices of 16-bit elements: lanes 8i..8i+7 give the addresses of the rows of matrix i (multiples of 16).
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}

__device__ __forceinline__ void ldmatrix_x2_trans(unsigned (&r)[2], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
}

// d += a b: a (16 x 16, row-major) and b (16 x 8, column-major) in bfloat16, d (16 x 8) in float32.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d += a b: a (16 x 8, row-major) and b (8 x 8, column-major) in TF32 (float32 whose low 13 bits are ignored), d (16 x 8) in float32.
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Rounds to TF32's 10 bits of fraction, to nearest, ties away from zero.
__device__ __forceinline__ unsigned to_tf32(float x)
{
    unsigned y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}

// ---- pointers that kernels read from memory ----

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
