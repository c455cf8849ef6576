// What the fused contrastive loss does with its statistics (see similarity_cross_entropy.cu): losses and the gradient's coefficients of
// the merged pairs of each line. O(B), in double, in one order.
//
// Sums over all lines are taken by one block: a thread adds every kThreadsPerBlock-th line, then the threads' sums are added in order.
//
// Bytes a line of the plain symmetric loss: reset 20 of either side, softmax_lines 28 a row and 36 a column (two double logarithms a pair of
// them), sum 8, divisors 8 a column; and a sector of 32 bytes or more a warp for numbers of the call: one in reset, five in softmax_lines.
#include "doubles.cuh"
#include "similarity.cuh"

namespace
{

constexpr int kThreadsPerBlock = 256;
constexpr int kWarps = kThreadsPerBlock / kWarpSize;

// Doubles of the call, on the device.
enum : int
{
    kLoss = 0,
    kScaleByRows = 1,
    kScaleByColumns = 2,
    kRowDivisor = 4,
    kColumnDivisor = 5,
    kBiasGradient = 6,
    kInvalid = 7,
    kNumbers = 8,
};

// 2^-100: logits keep the similarities' bits, and their exponentials are 1.
__device__ __forceinline__ float tiny_scale() { return 7.8886090522101181e-31f; }

__device__ __forceinline__ float row_positives(const Similarity& s, int row)
{
    return is_ignored(s, row) ? 0.0f : has(s, kSharedGroups) ? of_rows(s, kCount)[row] : 1.0f;
}

__device__ __forceinline__ float column_positives(const Similarity& s, int column)
{
    return column >= s.image_count ? 0.0f : of_columns(s, kCount)[column];
}

__device__ __forceinline__ float column_weight(const Similarity& s, int column)
{
    float positives = column_positives(s, column);
    return positives == 0.0f ? 0.0f : of_columns(s, kWeight)[column] / positives;
}

} // namespace

// How many lines count: all that there is room for, or, in a captured graph, as many as the device's memory says; and how many of each piece
// of a side, `length` lines from piece to piece. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_counts(
    int* counts, const int* live_captions, const int* live_images, const int* live_extras, int rows, int images, int extras, int columns,
    int row_length, int image_length, int extra_length, int row_pieces, int image_pieces, int extra_pieces)
{
    int row_count = live_rows(live_captions, rows);
    int image_count = live_rows(live_images, images);
    int extra_count = live_rows(live_extras, extras);
    if (threadIdx.x == 0)
    {
        counts[kRowCount] = row_count;
        counts[kImageCount] = image_count;
        counts[kExtraCount] = extra_count;
        counts[kColumnCount] = columns;
    }

    for (int i = (int)threadIdx.x; i < row_pieces + image_pieces + extra_pieces; i += kThreadsPerBlock)
    {
        int j = i - row_pieces;
        int k = j - image_pieces;
        int length = j < 0 ? row_length : k < 0 ? image_length : extra_length;
        int left = (j < 0 ? row_count : k < 0 ? image_count : extra_count) - (j < 0 ? i : k < 0 ? j : k) * length;
        counts[kPieceCounts + i] = max(0, min(length, left));
    }
}

// The scale out of what the tensor holds, the bias, empty sums; and a not-a-number for the loss where a target is out of range or a
// weight negative or not finite. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_begin(
    CROSSALIGN_SIMILARITY_PARAMETERS, const float* scale, const float* bias, float max_scale, float* values, double* numbers)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    __shared__ double sums[kWarps];
    double invalid = 0.0;
    for (int i = (int)threadIdx.x; i < s.row_count; i += kThreadsPerBlock)
    {
        bool outside = targets != nullptr ? targets[i] != kIgnored && (targets[i] < 0 || targets[i] >= s.image_count)
                                          : !has(s, kSharedGroups) && i >= s.image_count;
        bool weightless = row_weights != nullptr && !(row_weights[i] >= 0.0f && row_weights[i] <= -lowest());
        invalid += outside || weightless ? 1.0 : 0.0;
    }

    invalid = block_sum_double(invalid, sums);
    if (threadIdx.x == 0)
    {
        double exponential = exp_double((double)*scale);
        float given = has(s, kLogarithm) ? (float)(exponential > (double)max_scale ? (double)max_scale : exponential) : *scale;
        values[kScaleScalar] = has(s, kMargin) && given == 0.0f ? tiny_scale() : given;
        values[kGradientScalar] = given;
        values[kBiasScalar] = bias == nullptr ? 0.0f : *bias;
        for (int i = 0; i < kNumbers; i++)
        {
            numbers[i] = 0.0;
        }

        numbers[kInvalid] = invalid;
    }
}

// Empties the statistics of rows (blockIdx.y = 0) and columns.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_reset(CROSSALIGN_SIMILARITY_PARAMETERS, int columns)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    int line = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    bool by_rows = blockIdx.y == 0;
    if (line >= (by_rows ? s.row_count : columns))
    {
        return;
    }

    float* side = (by_rows ? row_side : column_side) + line;
    long long stride = by_rows ? row_stride : column_stride;
    side[kMax * stride] = has(s, kSigmoid) ? 0.0f : lowest();
    side[kSum * stride] = 0.0f;
    side[kPositive * stride] = 0.0f;
    side[kCount * stride] = 0.0f;
    side[kWeight * stride] = 0.0f;
    if (has(s, kSmoothing))
    {
        side[kLogits * stride] = 0.0f;
        side[kParticipants * stride] = 0.0f;
    }
}

// 1 / sum of the weights (or number) of the lines that count, of rows and of columns; 0 where nothing counts. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_divisors(
    CROSSALIGN_SIMILARITY_PARAMETERS, double* numbers)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    __shared__ double sums[kWarps];
    double rows = 0.0;
    for (int i = (int)threadIdx.x; i < s.row_count; i += kThreadsPerBlock)
    {
        bool has_loss = !is_ignored(s, i) && (has(s, kSigmoid) || row_positives(s, i) > 0.0f);
        rows += !has_loss ? 0.0 : has(s, kDivideByRowCount) ? 1.0 : (double)weight_of(s, i);
    }

    rows = block_sum_double(rows, sums);
    double columns = 0.0;
    if (has(s, kColumnsActive))
    {
        for (int j = (int)threadIdx.x; j < s.image_count; j += kThreadsPerBlock)
        {
            columns += !(column_positives(s, j) > 0.0f) ? 0.0 : has(s, kDivideByRowCount) ? 1.0 : (double)column_weight(s, j);
        }
    }

    columns = block_sum_double(columns, sums);
    if (threadIdx.x == 0)
    {
        numbers[kRowDivisor] = rows > 0.0 ? 1.0 / rows : 0.0;
        numbers[kColumnDivisor] = columns > 0.0 ? 1.0 / columns : 0.0;
    }
}

// Sigmoid, before its only pass: the rows' coefficients.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_sigmoid_rows(
    CROSSALIGN_SIMILARITY_PARAMETERS, const double* numbers, float prefix_weight)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    int row = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (row < s.row_count)
    {
        float coefficient = (float)((double)weight_of(s, row) * numbers[kRowDivisor] * (double)prefix_weight);
        of_rows(s, kPositive)[row] = coefficient;
        if (coefficient == 0.0f)
        {
            of_rows(s, kRstd)[row] = 0.0f;
        }
    }
}

// Softmax, after the first pass: a line's loss, its share of the whole loss, and coefficients in place of statistics. Rows
// (blockIdx.y = 0) and columns. losses may be null: of the rows, or of the images.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_softmax_lines(
    CROSSALIGN_SIMILARITY_PARAMETERS, const double* numbers, float prefix_weight, float smoothing, int columns, double* row_terms,
    double* column_terms, float* row_losses, float* column_losses)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    int line = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    bool by_rows = blockIdx.y == 0;
    if (line >= (by_rows ? s.row_count : columns) || !has(s, by_rows ? kRowsActive : kColumnsActive))
    {
        return;
    }

    float* side = (by_rows ? row_side : column_side) + line;
    long long stride = by_rows ? row_stride : column_stride;
    double share = has(s, kRowsActive) && has(s, kColumnsActive) ? 0.5 : 1.0;
    double positives = (double)(by_rows ? row_positives(s, line) : column_positives(s, line));
    double weight = positives == 0.0 ? 0.0
                                     : (double)(by_rows ? weight_of(s, line) : column_weight(s, line)) *
                                           numbers[by_rows ? kRowDivisor : kColumnDivisor];
    double loss = 0.0;
    if (weight > 0.0)
    {
        double sum = (double)side[kSum * stride];
        double e = (double)smoothing;
        loss = (double)side[kMax * stride] + log_double(sum) - (1.0 - e) * (double)side[kPositive * stride] / positives;
        double coefficient = weight * share * (double)prefix_weight;
        if (has(s, kSmoothing))
        {
            double participants = (double)side[kParticipants * stride];
            loss -= e * (double)side[kLogits * stride] / participants;
            side[kLogits * stride] = (float)(e * coefficient / participants);
        }

        side[kSum * stride] = (float)(coefficient / sum);
        side[kPositive * stride] = (float)((1.0 - e) * coefficient / positives);
    }
    else
    {
        // A line without loss: exp(x - this) is zero, and so is its coefficient.
        side[kMax * stride] = 1e30f;
        side[kSum * stride] = 0.0f;
        side[kPositive * stride] = 0.0f;
        if (has(s, kSmoothing))
        {
            side[kLogits * stride] = 0.0f;
        }

        // Where the other side has no loss, such a line is nobody's negative either: what it holds must not come into products.
        if (!has(s, by_rows ? kColumnsActive : kRowsActive))
        {
            side[kRstd * stride] = 0.0f;
        }
    }

    (by_rows ? row_terms : column_terms)[line] = weight * loss * share * (double)prefix_weight;
    float* losses = by_rows ? row_losses : column_losses;
    if (losses != nullptr && line < (by_rows ? s.row_count : s.image_count))
    {
        losses[line] = (float)loss;
    }
}

// Sigmoid, after its pass: the rows' losses and their shares of the whole loss and of the bias's gradient.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_sigmoid_lines(
    CROSSALIGN_SIMILARITY_PARAMETERS, double* loss_terms, double* bias_terms, float* row_losses)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    int row = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (row >= s.row_count)
    {
        return;
    }

    float coefficient = of_rows(s, kPositive)[row];
    bool has_loss = coefficient > 0.0f;
    float loss = of_rows(s, kSum)[row];
    loss_terms[row] = has_loss ? (double)coefficient * (double)loss : 0.0;
    bias_terms[row] = has_loss ? (double)of_rows(s, kMax)[row] : 0.0;
    if (row_losses != nullptr)
    {
        row_losses[row] = has_loss ? loss : 0.0f;
    }
}

// numbers[to] += the sum of the terms, and numbers[magnitude_to] += that of their magnitudes, unless it is negative. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_sum(
    const double* terms, const int* count, double* numbers, int to, int magnitude_to)
{
    __shared__ double sums[kWarps];
    double sum = 0.0;
    double magnitude = 0.0;
    for (int i = (int)threadIdx.x; i < *count; i += kThreadsPerBlock)
    {
        sum += terms[i];
        magnitude += terms[i] < 0.0 ? -terms[i] : terms[i];
    }

    sum = block_sum_double(sum, sums);
    magnitude = block_sum_double(magnitude, sums);
    if (threadIdx.x == 0)
    {
        numbers[to] += sum;
        if (magnitude_to >= 0)
        {
            numbers[magnitude_to] += magnitude;
        }
    }
}

// The loss; d_scale += and d_bias += where they are not null. One thread.
extern "C" __global__ void __launch_bounds__(kWarpSize) similarity_end(
    const double* numbers, const float* scale, int flags, float max_scale, float log_max_scale, int by_rows, float* loss, float* d_scale,
    float* d_bias)
{
    if (threadIdx.x != 0)
    {
        return;
    }

    *loss = numbers[kInvalid] > 0.0 ? __uint_as_float(0x7fc00000u) : (float)numbers[kLoss];
    if (d_scale != nullptr)
    {
        double derivative = 1.0;
        if ((flags & kLogarithm) != 0)
        {
            // Rounding of the logarithm must not stop a scale that stands at its bound: CLIP clamps the parameter itself to ln 100.
            double exponential = exp_double((double)*scale);
            derivative = *scale > log_max_scale ? 0.0 : exponential > (double)max_scale ? (double)max_scale : exponential;
        }

        *d_scale += (float)(numbers[by_rows != 0 ? kScaleByRows : kScaleByColumns] * derivative);
    }

    if (d_bias != nullptr)
    {
        *d_bias += (float)numbers[kBiasGradient];
    }
}
