// Changes how numbers are stored: float32 to bfloat16, to nearest even, and back.
//
// Four elements a thread where both tensors are aligned (views need not be), so 16 bytes on the float32 side; the elements behind the
// last four are taken one by one. All elements are converted, whatever the number of live rows: what is cast is mostly weights, whose
// rows may happen to be as many as a batch's capacity.
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 256;
constexpr int kElements = 4;

template <typename TFrom, typename TTo>
__device__ __forceinline__ void cast(const TFrom* x, TTo* y, long long count)
{
    long long thread = (long long)blockIdx.x * kThreadsPerBlock + threadIdx.x;
    bool aligned = (unsigned long long)x % (kElements * sizeof(TFrom)) == 0 && (unsigned long long)y % (kElements * sizeof(TTo)) == 0;
    long long whole = aligned ? count / kElements : 0;
    long long threads = (long long)gridDim.x * kThreadsPerBlock;
    if (thread < whole)
    {
        float v[kElements];
        load_floats(x + thread * kElements, v);
        store_floats(y + thread * kElements, v);
    }

    for (long long i = whole * kElements + thread; i < count; i += threads)
    {
        y[i] = from_float<TTo>(to_float(x[i]));
    }
}

} // namespace

// At least count / 4 threads.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) cast_f32_bf16(const float* x, bf16* y, long long count)
{
    cast(x, y, count);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) cast_bf16_f32(const bf16* x, float* y, long long count)
{
    cast(x, y, count);
}
