// What nvcc puts before every source, as far as the kernels use it: the toolkit's declarations, with its types (plain aggregates) and all
// overloads that a call could mean, and functions of the host's C headers whose names a kernel might take. A test has clang read the
// kernels with this in place of kernels-cu/compiler.cuh's own vocabulary, so that the way of nvcc and NVRTC is compiled, too.
// Source: CUDA C++ Programming Guide 12, "C++ Language Extensions"; CUDA Math API Reference.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __forceinline__ __inline__ __attribute__((always_inline))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __align__(n) __attribute__((aligned(n)))

typedef unsigned long size_t;

struct uint3
{
    unsigned x, y, z;
};

struct dim3
{
    unsigned x, y, z;
};

#include <__clang_cuda_builtin_vars.h>

#define TOOLKIT_VECTORS(TYPE, ELEMENT)                                                                                               \
    struct __align__(8) TYPE##2                                                                                                      \
    {                                                                                                                                \
        ELEMENT x, y;                                                                                                                \
    };                                                                                                                               \
    struct __align__(16) TYPE##4                                                                                                     \
    {                                                                                                                                \
        ELEMENT x, y, z, w;                                                                                                          \
    };                                                                                                                               \
    __device__ TYPE##2 make_##TYPE##2(ELEMENT x, ELEMENT y);                                                                         \
    __device__ TYPE##4 make_##TYPE##4(ELEMENT x, ELEMENT y, ELEMENT z, ELEMENT w);

TOOLKIT_VECTORS(int, int)
TOOLKIT_VECTORS(uint, unsigned)
TOOLKIT_VECTORS(float, float)

#define TOOLKIT_EXTREMES(TYPE)                                                                                                       \
    __device__ TYPE min(TYPE a, TYPE b);                                                                                             \
    __device__ TYPE max(TYPE a, TYPE b);

TOOLKIT_EXTREMES(int)
TOOLKIT_EXTREMES(unsigned)
TOOLKIT_EXTREMES(long)
TOOLKIT_EXTREMES(unsigned long)
TOOLKIT_EXTREMES(long long)
TOOLKIT_EXTREMES(unsigned long long)
TOOLKIT_EXTREMES(float)
TOOLKIT_EXTREMES(double)

#define TOOLKIT_SHUFFLES(TYPE)                                                                                                       \
    __device__ TYPE __shfl_sync(unsigned mask, TYPE value, int lane, int width = 32);                                                \
    __device__ TYPE __shfl_xor_sync(unsigned mask, TYPE value, int lanes, int width = 32);                                           \
    __device__ TYPE __shfl_up_sync(unsigned mask, TYPE value, unsigned delta, int width = 32);                                       \
    __device__ TYPE __shfl_down_sync(unsigned mask, TYPE value, unsigned delta, int width = 32);

TOOLKIT_SHUFFLES(int)
TOOLKIT_SHUFFLES(unsigned)
TOOLKIT_SHUFFLES(long)
TOOLKIT_SHUFFLES(unsigned long)
TOOLKIT_SHUFFLES(long long)
TOOLKIT_SHUFFLES(unsigned long long)
TOOLKIT_SHUFFLES(float)
TOOLKIT_SHUFFLES(double)

__device__ float fmaf(float a, float b, float c);
__device__ float fmaxf(float a, float b);
__device__ float fminf(float a, float b);
__device__ float fabsf(float a);
__device__ float sqrtf(float a);
__device__ double sqrt(double a);
__device__ float rsqrtf(float a);
__device__ float __frcp_rn(float a);
__device__ unsigned __float_as_uint(float a);
__device__ float __uint_as_float(unsigned a);
__device__ int __float_as_int(float a);
__device__ float __int_as_float(int a);
__device__ unsigned __umulhi(unsigned a, unsigned b);
__device__ int __popc(unsigned a);
__device__ int __clz(int a);
__device__ void __syncwarp(unsigned mask = 0xffffffffu);
__device__ void __threadfence();
__device__ unsigned __ballot_sync(unsigned mask, int predicate);
__device__ int __any_sync(unsigned mask, int predicate);
__device__ int __all_sync(unsigned mask, int predicate);
__device__ int atomicAdd(int* address, int value);
__device__ unsigned atomicAdd(unsigned* address, unsigned value);
__device__ unsigned atomicOr(unsigned* address, unsigned value);
__device__ size_t __cvta_generic_to_shared(const void* p);
__device__ size_t __cvta_generic_to_global(const void* p);
__device__ void* __cvta_global_to_generic(size_t address);

// Names of the mathematical functions and of the host's headers.
__device__ double exp2(double a);
__device__ double log2(double a);
__device__ double erf(double a);
__device__ double rsqrt(double a);
__device__ double norm3d(double a, double b, double c);
extern "C"
{
    long write(int file, const void* buffer, size_t count);
    int rename(const char* from, const char* to);
    int remove(const char* path);
    char* index(const char* text, int character);
    double j0(double a);
    double y1(double a);
    double gamma(double a);
    int abs(int a);
}
