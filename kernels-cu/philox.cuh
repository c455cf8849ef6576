// Counter-based random numbers: Philox-4x32 with 10 rounds, the stream of CrossAlign.Runtime.CounterRng.
// Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
#pragma once

#include "prelude.cuh"

// Four words, each uniform over all 32-bit values, of a key and a counter.
__device__ __forceinline__ uint4 philox(unsigned long long key, unsigned c0, unsigned c1, unsigned c2, unsigned c3)
{
    unsigned k0 = (unsigned)key;
    unsigned k1 = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++)
    {
        unsigned high0 = __umulhi(0xD2511F53u, c0);
        unsigned low0 = 0xD2511F53u * c0;
        unsigned high1 = __umulhi(0xCD9E8D57u, c2);
        unsigned low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }

    return make_uint4(c0, c1, c2, c3);
}

// The key of a step: two words of the device's memory, lower first, or, where there are none, the argument of the launch.
__device__ __forceinline__ unsigned long long dropout_key(const int* stored, unsigned long long key)
{
    return stored == nullptr ? key : (unsigned)stored[0] | ((unsigned long long)(unsigned)stored[1] << 32);
}

// What dropout multiplies by: `scale` where the word's upper 24 bits reach the threshold ceil(rate 2^24), else zero.
__device__ __forceinline__ float dropout_factor(unsigned word, unsigned threshold, float scale)
{
    return (word >> 8) >= threshold ? scale : 0.0f;
}
