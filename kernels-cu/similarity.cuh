// What the kernels of the fused loss know: the problem, the variant, where the statistics of each row and column lie, and how a
// logit is made of a dot product. Both passes make it by the same function, so that what takes part is decided alike to the bit.
#pragma once
#include "tile_product.cuh"

// The variant (see CudaSimilarityCall.cs).
enum : int
{
    kRowsActive = 1,
    kColumnsActive = 2,
    kSigmoid = 4,
    kNormalize = 8,
    kMaskedGroups = 16,
    kSharedGroups = 32,
    kSmoothing = 64,
    kMargin = 128,
    kDivideByRowCount = 256,
    kLogarithm = 512,
    kRoundToBFloat16 = 1024,
    kStoreGradients = 2048,
};

// A side keeps an array each, `stride` apart. The first three are statistics until the lines are merged, then coefficients. A column's number of
// positives and sum of their weights are kept for the columns at hand alone, between their first super-tile and their last.
enum : int
{
    kMax = 0,          // running maximum of the participants; sigmoid: running sum of the row's gradients
    kSum = 1,          // running sum of exp(z - max), then w / (W sum); sigmoid: running loss of the row
    kPositive = 2,     // sum of the positives' logits, then the weight of a positive; sigmoid: w / W
    kRstd = 3,         // 1 / max(norm, epsilon); after the merge 0 for a line that has no part in the loss
    kThreshold = 4,    // the logit above which a negative is dropped; for a negative scale that of the opposite numbers
    kCount = 4,        // rows of shared groups, which have no threshold: how many positives
    kLogits = 5,       // smoothing: running sum of the participants' logits, then e w / (W participants)
    kParticipants = 6, // smoothing: how many
};

// A tile leaves a partial of these of each line; sigmoid: kMax and kSum alone.
enum : int
{
    kPartialMax = 0,
    kPartialSum = 1,
    kPartialPositive = 2,
    kPartialCount = 3,
    kPartialWeight = 4,
    kPartialLogits = 5,
    kPartialParticipants = 6,
    kPartials = 7,
};

constexpr int kIgnored = -100;

// No logit is lower.
__device__ __forceinline__ float lowest() { return -3.402823466e38f; }

// The logit of what takes no part.
__device__ __forceinline__ float nothing() { return -positive_infinity(); }

// Floats of the call, on the device: the scale and the bias, and the scale that gradients are multiplied by. The false-negative mask compares
// similarities by their logits: with a scale of 0 they are made of a tiny one, whose softmax is the same to the bit.
enum : int
{
    kScaleScalar = 0,
    kBiasScalar = 1,
    kGradientScalar = 2,
};

// Whole numbers of the call, on the device: how many lines there are of each kind (in a captured graph they vary from launch to launch),
// how many columns a side has room for, then how many lines each piece of the rows, the images and the extra negatives has. Every kernel
// takes what is beyond these for absent.
enum : int
{
    kRowCount = 0,
    kImageCount = 1,
    kExtraCount = 2,
    kColumnCount = 3,
    kPieceCounts = 4,
};

struct Similarity
{
    int flags;
    int row_count;
    int image_count; // extra negatives are columns behind the room for images
    const float* scalars;
    const int* targets;
    const float* row_weights;
    const int* caption_groups;
    const int* image_groups;
    float* row_side;
    int row_stride;
    float* column_side;
    int column_stride;
};

__device__ __forceinline__ bool has(const Similarity& s, int flag) { return (s.flags & flag) != 0; }

__device__ __forceinline__ float* of_rows(const Similarity& s, int array) { return s.row_side + (long long)array * s.row_stride; }

__device__ __forceinline__ float* of_columns(const Similarity& s, int array) { return s.column_side + (long long)array * s.column_stride; }

__device__ __forceinline__ bool is_ignored(const Similarity& s, int row) { return s.targets != nullptr && s.targets[row] == kIgnored; }

// The column that is a row's positive; -1 for an ignored row and where groups decide.
__device__ __forceinline__ int target_of(const Similarity& s, int row)
{
    if (has(s, kSharedGroups))
    {
        return -1;
    }

    return s.targets == nullptr ? row : max(s.targets[row], -1);
}

__device__ __forceinline__ float weight_of(const Similarity& s, int row)
{
    return is_ignored(s, row) ? 0.0f : s.row_weights == nullptr ? 1.0f : s.row_weights[row];
}

// What both passes know of a row.
struct SimilarityRow
{
    float factor; // scale and 1 / norm
    float rstd;
    float threshold;
    int target;
    int group;
    int is_grouped; // has a group whose members are its positives, or masked
};

__device__ __forceinline__ SimilarityRow load_row(const Similarity& s, float scale, int row)
{
    SimilarityRow r;
    r.rstd = has(s, kNormalize) ? of_rows(s, kRstd)[row] : 1.0f;
    r.factor = scale * r.rstd;
    r.threshold = has(s, kMargin) ? of_rows(s, kThreshold)[row] : positive_infinity();
    r.target = target_of(s, row);
    r.group = 0;
    r.is_grouped = 0;
    if (has(s, kMaskedGroups | kSharedGroups))
    {
        r.group = s.caption_groups[row];
        r.is_grouped = has(s, kMaskedGroups) || !is_ignored(s, row) ? 1 : 0;
    }

    return r;
}

// A lane's four columns of a tile: lane, lane + 32, lane + 64 and lane + 96, so that each access of the warp is 128 bytes.
constexpr int kLaneColumns = 4;

struct LaneColumns
{
    float scale; // of all logits
    float bias;
    int first; // in the whole matrix
    int end;   // of the super-tile's columns, likewise
    float rstd[kLaneColumns];
    int group[kLaneColumns];
};

__device__ __forceinline__ int column_at(const LaneColumns& c, int k) { return c.first + k * kWarpSize; }

__device__ __forceinline__ bool is_inside(const LaneColumns& c, int k) { return column_at(c, k) < c.end; }

__device__ __forceinline__ void load_columns(LaneColumns& c, const Similarity& s, int first_column, int left)
{
    c.scale = s.scalars[kScaleScalar];
    c.bias = s.scalars[kBiasScalar];
    c.first = first_column + lane_index();
    c.end = first_column + left;
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        c.rstd[k] = has(s, kNormalize) && is_inside(c, k) ? of_columns(s, kRstd)[column_at(c, k)] : 1.0f;
        c.group[k] = has(s, kMaskedGroups | kSharedGroups) && is_inside(c, k) && column_at(c, k) < s.image_count ? s.image_groups[column_at(c, k)] : 0;
    }
}

__device__ __forceinline__ bool same_group(const Similarity& s, const SimilarityRow& r, const LaneColumns& c, int k)
{
    return r.is_grouped != 0 && is_inside(c, k) && column_at(c, k) < s.image_count && c.group[k] == r.group;
}

__device__ __forceinline__ bool is_positive(const Similarity& s, const SimilarityRow& r, const LaneColumns& c, int k)
{
    return has(s, kSharedGroups) ? same_group(s, r, c, k) : is_inside(c, k) && column_at(c, k) == r.target;
}

// Dot products become logits; what takes no part is minus infinity.
__device__ __forceinline__ void make_logits(const Similarity& s, const SimilarityRow& r, const LaneColumns& c, float (&z)[kLaneColumns])
{
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        float x = z[k] * r.factor * c.rstd[k] + c.bias;
        bool masked = has(s, kMaskedGroups) && same_group(s, r, c, k) && column_at(c, k) != r.target;
        z[k] = masked || !is_inside(c, k) ? nothing() : x;
    }
}

// Whether a negative's similarity is above the threshold: the greater it is, the lower its logit with a negative scale.
__device__ __forceinline__ bool exceeds(float scale, float z, float threshold) { return (scale < 0.0f ? -z : z) > threshold; }

// Shared memory of a block: the staged tile, and behind it a word a kind of partial and line.
__device__ __forceinline__ unsigned staged_word(int row, int column)
{
    return (unsigned)(staged_place(row, column >> 2) + (column & 3) * 4);
}

__device__ __forceinline__ unsigned stats_word(int kind, int line) { return (unsigned)((kTile + kind) * kTile + line) * 4; }

// (max, sum) and another pair: the running pair of both.
__device__ __forceinline__ void merge_pair(float& max, float& sum, float more_max, float more_sum)
{
    float larger = more_max > max ? more_max : max;
    sum = sum * fast_exp(max - larger) + more_sum * fast_exp(more_max - larger);
    max = larger;
}

#define CROSSALIGN_SIMILARITY_PARAMETERS                                                                                             \
    int flags, const int *counts, const float *scalars, const int *targets, const float *row_weights,                                \
        const int *caption_groups, const int *image_groups, float *row_side, int row_stride, float *column_side, int column_stride

#define CROSSALIGN_SIMILARITY                                                                                                        \
    {                                                                                                                                \
        flags, counts[kRowCount], counts[kImageCount], scalars, targets, row_weights, caption_groups, image_groups, row_side,        \
            row_stride, column_side, column_stride                                                                                   \
    }
