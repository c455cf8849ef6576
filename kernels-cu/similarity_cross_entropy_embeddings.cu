// What the fused contrastive loss does with each embedding before and behind the tiles (see similarity_cross_entropy.cu): norms,
// thresholds, the norm's part of the gradients, and the inner products whose sum is the scale's gradient. Sums in double, in one order.
//
// A warp a line. Sectors of 32 bytes a line of E elements of s bytes: norms 2 E s / 32 + 2 (each element is loaded twice, the second time
// from the cache), keep (E s + 4 E) / 32 + 2, finish (2 E s + 12 E) / 32 + 4 (embedding and gradient twice, the gradient written), one more
// with a further prefix. Two operations in double an element and inner product.
#include "doubles.cuh"
#include "similarity.cuh"

namespace
{

constexpr int kThreadsPerBlock = 256;
constexpr int kWarps = kThreadsPerBlock / kWarpSize;

__device__ __forceinline__ float load_element(const void* data, long long at, int is_bf16, bool rounds)
{
    if (is_bf16 != 0)
    {
        return to_float(static_cast<const bf16*>(data)[at]);
    }

    float x = static_cast<const float*>(data)[at];
    return rounds ? to_float(from_float<bf16>(x)) : x;
}

__device__ __forceinline__ double dot(
    const void* left, long long left_at, const void* right, long long right_at, int width, int is_bf16, bool rounds)
{
    double sum = 0.0;
    for (int e = lane_index(); e < width; e += kWarpSize)
    {
        sum += (double)load_element(left, left_at + e, is_bf16, rounds) * (double)load_element(right, right_at + e, is_bf16, rounds);
    }

    return warp_sum_double(sum);
}

// Of an inner product of a line and its gradient: a line that has no part in the loss has no part in a sum, whatever it holds.
__device__ __forceinline__ double part(float x, float gradient) { return gradient == 0.0f ? 0.0 : (double)x * (double)gradient; }

template <typename T>
__device__ __forceinline__ void clear_line(T* line, int stride)
{
    for (int e = lane_index(); e < stride; e += kWarpSize)
    {
        line[e] = from_float<T>(0.0f);
    }
}

} // namespace

// rstd (lines) = 1 / max(|x|, epsilon) over the first `width` of the rows of x, `stride` apart. A line of 2^63 or longer, whose dot products with another
// could overflow, or their norms' product underflow, has not-a-number. A warp a line.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_norms(
    const void* x, float* rstd, const int* lines, int width, int stride, int is_bf16, int flags)
{
    int line = (int)blockIdx.x * kWarps + warp_index();
    if (line >= *lines)
    {
        return;
    }

    long long at = (long long)line * stride;

    // As torch.nn.functional.normalize.
    constexpr double kNormEpsilon = 1e-12;
    constexpr double kLongest = 9223372036854775808.0;
    double norm = square_root(dot(x, at, x, at, width, is_bf16, (flags & kRoundToBFloat16) != 0));
    if (lane_index() == 0)
    {
        rstd[line] = norm < kLongest ? (float)(1.0 / (norm < kNormEpsilon ? kNormEpsilon : norm)) : __uint_as_float(0x7fc00000u);
    }
}

// Rows' thresholds: (similarity with the target + margin) |scale|, and what products round: a negative equal to the positive does not
// exceed it. Infinite where there is no target. A warp a row.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_thresholds(
    CROSSALIGN_SIMILARITY_PARAMETERS, const void* captions, const void* images, int width, int stride, int is_bf16, float margin)
{
    int row = (int)blockIdx.x * kWarps + warp_index();
    Similarity s = CROSSALIGN_SIMILARITY;
    if (row >= s.row_count)
    {
        return;
    }

    int target = target_of(s, row);
    float threshold = positive_infinity();
    if (target >= 0 && target < s.image_count)
    {
        double similarity =
            dot(captions, (long long)row * stride, images, (long long)target * stride, width, is_bf16, has(s, kRoundToBFloat16));
        if (has(s, kNormalize))
        {
            similarity *= (double)of_rows(s, kRstd)[row] * (double)of_columns(s, kRstd)[target];
        }

        double scale = (double)scalars[kScaleScalar];
        double slack = 1e-6 * (has(s, kNormalize) ? 1.0 : similarity < 0.0 ? -similarity : similarity);
        threshold = (float)((similarity + (double)margin + slack) * (scale < 0.0 ? -scale : scale));
    }

    if (lane_index() == 0)
    {
        of_rows(s, kThreshold)[row] = threshold;
    }
}

// A column compares with the highest of its positives; one without a positive drops nothing. A thread a column goes through all rows: a
// fixed order needs no atomics, and the rows' targets are read by all threads at once.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_column_thresholds(CROSSALIGN_SIMILARITY_PARAMETERS, int columns)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    int column = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= columns)
    {
        return;
    }

    const float* thresholds = of_rows(s, kThreshold);
    float highest = nothing();
    for (int row = 0; row < s.row_count; row++)
    {
        if (target_of(s, row) == column)
        {
            highest = thresholds[row] > highest ? thresholds[row] : highest;
        }
    }

    of_columns(s, kThreshold)[column] = highest > nothing() && column < s.image_count ? highest : positive_infinity();
}

// Zeros in those of a piece's packed lines, `stride` apart, that have no part in the loss: their coefficients are zero, and so are products with
// them then, whatever the embeddings hold. first: the piece's first line of the whole matrix. A warp a line, which writes E s / 32 sectors or none.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_clear_absent(
    CROSSALIGN_SIMILARITY_PARAMETERS, void* packed, const int* lines, int first, int stride, int is_bf16, int by_rows)
{
    int line = (int)blockIdx.x * kWarps + warp_index();
    if (line >= *lines)
    {
        return;
    }

    Similarity s = CROSSALIGN_SIMILARITY;
    float positive = (by_rows != 0 ? of_rows(s, kPositive) : of_columns(s, kPositive))[first + line];
    float sum = (by_rows != 0 ? of_rows(s, kSum) : of_columns(s, kSum))[first + line];
    if (positive != 0.0f || (sum != 0.0f && !has(s, kSigmoid)))
    {
        return;
    }

    if (is_bf16 != 0)
    {
        clear_line(static_cast<bf16*>(packed) + (long long)line * stride, stride);
    }
    else
    {
        clear_line(static_cast<float*>(packed) + (long long)line * stride, stride);
    }
}

// Before a further prefix: inner (lines) = the inner product of a line with its gradient as it is already. A warp a line.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_keep(
    const void* x, const float* dx, double* inner, const int* lines, int width, int stride, int is_bf16, int flags)
{
    int line = (int)blockIdx.x * kWarps + warp_index();
    if (line >= *lines)
    {
        return;
    }

    long long at = (long long)line * stride;
    double sum = 0.0;
    for (int e = lane_index(); e < width; e += kWarpSize)
    {
        sum += part(load_element(x, at + e, is_bf16, (flags & kRoundToBFloat16) != 0), dx[at + e]);
    }

    sum = warp_sum_double(sum);
    if (lane_index() == 0)
    {
        inner[line] = sum;
    }
}

// After a prefix: terms (lines) = what it added to the inner products (before: as similarity_keep says, or null for zeros); the norm's
// part of the gradient, dx -= x (x . dx) rstd^2 with rstd folded into dx already; and on the last prefix dx *= scale. A warp a line.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_finish(
    const void* x, float* dx, const double* before, double* terms, const float* rstd, const float* scalars, const int* lines, int width,
    int stride, int is_bf16, int flags, int is_last)
{
    int line = (int)blockIdx.x * kWarps + warp_index();
    if (line >= *lines)
    {
        return;
    }

    bool rounds = (flags & kRoundToBFloat16) != 0;
    long long at = (long long)line * stride;
    double sum = 0.0;
    for (int e = lane_index(); e < width; e += kWarpSize)
    {
        sum += part(load_element(x, at + e, is_bf16, rounds), dx[at + e]);
    }

    double inner = warp_sum_double(sum) - (before == nullptr ? 0.0 : before[line]);
    if (lane_index() == 0)
    {
        terms[line] = inner;
    }

    // A row shorter than epsilon was divided by a constant.
    float r = rstd == nullptr ? 0.0f : rstd[line];
    float along = r < 1e12f ? (float)(-inner * (double)r * (double)r) : 0.0f;
    float factor = is_last != 0 ? scalars[kGradientScalar] : 1.0f;
    for (int e = lane_index(); e < stride; e += kWarpSize)
    {
        float g = dx[at + e];
        g = e < width && along != 0.0f ? fmaf(load_element(x, at + e, is_bf16, rounds), along, g) : g;
        dx[at + e] = g * factor;
    }
}
