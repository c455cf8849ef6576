// Dropout of packed token vectors; forward and backward multiply by the same factors, which are drawn anew each time.
// Source: N. Srivastava et al., "Dropout", 2014, section 4, scaled when training. The counters are laid down by
// CrossAlign.Kernels.DropoutSite: (channel / 4, position, example, site * 1024 + 1023), word channel % 4.
//
// One warp a row. A draw gives the factors of four channels; an access of 16 bytes, where the host finds rows and addresses whole numbers
// of them (`wide`), takes one draw, or two for bfloat16.
#include "philox.cuh"

namespace
{

constexpr int kWarpsPerBlock = 4;
constexpr int kThreadsPerBlock = kWarpsPerBlock * kWarpSize;
constexpr int kChannelsPerDraw = 4;

struct Mask
{
    unsigned long long key;
    unsigned site;
    unsigned threshold;
    float scale;
    unsigned example;
    unsigned position;
};

__device__ __forceinline__ void draw(const Mask& mask, int channel, float (&f)[kChannelsPerDraw])
{
    uint4 words = philox(mask.key, (unsigned)channel / kChannelsPerDraw, mask.position, mask.example, mask.site);
    f[0] = dropout_factor(words.x, mask.threshold, mask.scale);
    f[1] = dropout_factor(words.y, mask.threshold, mask.scale);
    f[2] = dropout_factor(words.z, mask.threshold, mask.scale);
    f[3] = dropout_factor(words.w, mask.threshold, mask.scale);
}

template <typename T>
__device__ __forceinline__ void aligned_row(const T* x, T* y, const Mask& mask, int c)
{
    constexpr int W = kVector<T>;
    for (int i = lane_index() * W; i < c; i += kWarpSize * W)
    {
        float v[W];
        load_floats(x + i, v);
#pragma unroll
        for (int first = 0; first < W; first += kChannelsPerDraw)
        {
            float f[kChannelsPerDraw];
            draw(mask, i + first, f);
#pragma unroll
            for (int k = 0; k < kChannelsPerDraw; k++)
            {
                v[first + k] *= f[k];
            }
        }

        store_floats(y + i, v);
    }
}

template <typename T>
__device__ __forceinline__ void ragged_row(const T* x, T* y, const Mask& mask, int c)
{
    for (int i = lane_index() * kChannelsPerDraw; i < c; i += kWarpSize * kChannelsPerDraw)
    {
        float f[kChannelsPerDraw];
        draw(mask, i, f);
#pragma unroll
        for (int k = 0; k < kChannelsPerDraw; k++)
        {
            if (k < c - i)
            {
                y[i + k] = from_float<T>(to_float(x[i + k]) * f[k]);
            }
        }
    }
}

template <typename T>
__device__ __forceinline__ void apply(
    const T* x, T* y, const int* tokens, const int* live, int n, int c, const int* stored_key, unsigned long long key, unsigned site, unsigned threshold, float scale,
    int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, n))
    {
        return;
    }

    const int* name = tokens + 2LL * row;
    Mask mask = {dropout_key(stored_key, key), site, threshold, scale, (unsigned)name[0], (unsigned)name[1]};
    long long offset = (long long)row * c;
    if (wide != 0)
    {
        aligned_row(x + offset, y + offset, mask, c);
    }
    else
    {
        ragged_row(x + offset, y + offset, mask, c);
    }
}

} // namespace

// x, y (n, c); tokens (n, 2): example and position. y may be x. `site` is already site * 1024 + 1023.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) dropout_f32(
    const float* x, float* y, const int* tokens, const int* live, int n, int c, const int* stored_key, unsigned long long key, unsigned site, unsigned threshold, float scale,
    int wide)
{
    apply(x, y, tokens, live, n, c, stored_key, key, site, threshold, scale, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) dropout_bf16(
    const bf16* x, bf16* y, const int* tokens, const int* live, int n, int c, const int* stored_key, unsigned long long key, unsigned site, unsigned threshold, float scale,
    int wide)
{
    apply(x, y, tokens, live, n, c, stored_key, key, site, threshold, scale, wide);
}
