// What the fused contrastive loss does with its statistics (see similarity_cross_entropy.cu): losses and the gradient's coefficients of
// the merged pairs of each line. O(B), in double, in one order.
//
// Sums over all lines are taken in two steps: a term of the sum is that of a fixed number of neighbouring lines, wherever super-tiles end; of the
// terms one block takes every kThreadsPerBlock-th a thread, then the threads' sums are added in order.
//
// Bytes a line of the plain symmetric loss: reset 12 of either side, columns 28, softmax_lines 20 a row and 16 a column (a double logarithm a row
// here and a column in columns); and a sector of 32 bytes or more a warp for numbers of the call: one in reset, two in columns and softmax_lines.
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

// Columns whose losses make a term of their sum: as many as a tile has, since pieces of them are whole tiles. Of rows kThreadsPerBlock do.
constexpr int kColumnsPerTerm = kTile;

__device__ __forceinline__ int terms_of(int lines, int lines_per_term) { return (lines + lines_per_term - 1) / lines_per_term; }

// A line's loss, of its statistics; e: the label smoothing.
__device__ __forceinline__ double line_loss(const Similarity& s, const float* side, long long stride, double positives, double e)
{
    double loss = (double)side[kMax * stride] + log_double((double)side[kSum * stride]) - (1.0 - e) * (double)side[kPositive * stride] / positives;
    return has(s, kSmoothing) ? loss - e * (double)side[kLogits * stride] / (double)side[kParticipants * stride] : loss;
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
    if (by_rows && has(s, kSharedGroups))
    {
        side[kCount * stride] = 0.0f;
    }

    if (has(s, kSmoothing))
    {
        side[kLogits * stride] = 0.0f;
        side[kParticipants * stride] = 0.0f;
    }
}

// Softmax, when all rows were merged into a piece of the images, whose first is `first`: the columns' losses, and in place of their statistics what
// needs only the columns' divisor: kPositive the mean weight over the number of positives, kSum and kParticipants divided by that number. terms and
// weights: of each kColumnsPerTerm columns the sum of losses times weights, and of weights (or of columns that count). losses may be null. A thread a column.
extern "C" __global__ void __launch_bounds__(kTile) similarity_columns(
    CROSSALIGN_SIMILARITY_PARAMETERS, const int* piece, int first, const float* at_hand, int at_hand_stride, float smoothing, double* terms,
    double* weights, float* losses)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    __shared__ double sums[kTile / kWarpSize];
    int line = (int)blockIdx.x * kTile + (int)threadIdx.x;
    double term = 0.0;
    double weight = 0.0;
    if (line < *piece)
    {
        float* side = column_side + first + line;
        long long stride = column_stride;
        float positives = at_hand[line];
        float mean = positives == 0.0f ? 0.0f : at_hand[at_hand_stride + line] / positives;
        double loss = 0.0;
        if (mean > 0.0f)
        {
            loss = line_loss(s, side, stride, (double)positives, (double)smoothing);
            side[kSum * stride] /= positives;
            if (has(s, kSmoothing))
            {
                side[kParticipants * stride] /= positives;
            }
        }

        side[kPositive * stride] = positives == 0.0f ? 0.0f : mean / positives;
        term = (double)mean * loss;
        weight = !(positives > 0.0f) ? 0.0 : has(s, kDivideByRowCount) ? 1.0 : (double)mean;
        if (losses != nullptr)
        {
            losses[first + line] = (float)loss;
        }
    }

    term = block_sum_double(term, sums);
    weight = block_sum_double(weight, sums);
    if (threadIdx.x == 0)
    {
        int at = first / kColumnsPerTerm + (int)blockIdx.x;
        terms[at] = term;
        weights[at] = weight;
    }
}

// 1 / sum of the weights (or number) of the lines that count, of rows and of columns; 0 where nothing counts. share: of the columns' mean in the
// loss, to which it is added. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_divisors(
    CROSSALIGN_SIMILARITY_PARAMETERS, double* numbers, const double* column_terms, const double* column_weights, float share)
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
    double loss = 0.0;
    for (int i = (int)threadIdx.x; has(s, kColumnsActive) && i < terms_of(s.image_count, kColumnsPerTerm); i += kThreadsPerBlock)
    {
        columns += column_weights[i];
        loss += column_terms[i];
    }

    columns = block_sum_double(columns, sums);
    loss = block_sum_double(loss, sums);
    if (threadIdx.x == 0)
    {
        numbers[kRowDivisor] = rows > 0.0 ? 1.0 / rows : 0.0;
        numbers[kColumnDivisor] = columns > 0.0 ? 1.0 / columns : 0.0;
        numbers[kLoss] += loss * numbers[kColumnDivisor] * (double)share;
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

// Softmax, after the first pass: coefficients in place of statistics, and of rows (blockIdx.y = 0; blockIdx.y = 1: columns) the losses and, of each
// kThreadsPerBlock of them, their share of the whole loss. losses may be null.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_softmax_lines(
    CROSSALIGN_SIMILARITY_PARAMETERS, const double* numbers, float prefix_weight, float smoothing, int columns, double* row_terms, float* losses)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    __shared__ double sums[kWarps];
    int line = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    bool by_rows = blockIdx.y == 0;
    int lines = by_rows ? s.row_count : columns;
    if ((int)blockIdx.x * kThreadsPerBlock >= lines || !has(s, by_rows ? kRowsActive : kColumnsActive))
    {
        return;
    }

    double term = 0.0;
    if (line < lines)
    {
        float* side = (by_rows ? row_side : column_side) + line;
        long long stride = by_rows ? row_stride : column_stride;
        double share = has(s, kRowsActive) && has(s, kColumnsActive) ? 0.5 : 1.0;
        double e = (double)smoothing;

        // Of a column everything is divided by its number of positives already.
        double positives = by_rows ? (double)row_positives(s, line) : 1.0;
        float given = by_rows ? weight_of(s, line) : side[kPositive * stride];
        double weight = positives == 0.0 ? 0.0 : (double)given * numbers[by_rows ? kRowDivisor : kColumnDivisor];
        double loss = 0.0;
        if (weight > 0.0)
        {
            loss = by_rows ? line_loss(s, side, stride, positives, e) : 0.0;
            double coefficient = weight * share * (double)prefix_weight;
            side[kSum * stride] = (float)(coefficient / (double)side[kSum * stride]);
            side[kPositive * stride] = (float)((1.0 - e) * coefficient / positives);
            if (has(s, kSmoothing))
            {
                side[kLogits * stride] = (float)(e * coefficient / (double)side[kParticipants * stride]);
            }
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

        term = weight * loss * share * (double)prefix_weight;
        if (by_rows && losses != nullptr)
        {
            losses[line] = (float)loss;
        }
    }

    term = block_sum_double(term, sums);
    if (by_rows && threadIdx.x == 0)
    {
        row_terms[blockIdx.x] = term;
    }
}

// Sigmoid, after its pass: the rows' losses and, of each kThreadsPerBlock of them, their shares of the whole loss and of the bias's gradient.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_sigmoid_lines(
    CROSSALIGN_SIMILARITY_PARAMETERS, double* loss_terms, double* bias_terms, float* row_losses)
{
    Similarity s = CROSSALIGN_SIMILARITY;
    __shared__ double sums[kWarps];
    int row = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    double term = 0.0;
    double bias_term = 0.0;
    if (row < s.row_count)
    {
        float coefficient = of_rows(s, kPositive)[row];
        bool has_loss = coefficient > 0.0f;
        float loss = of_rows(s, kSum)[row];
        term = has_loss ? (double)coefficient * (double)loss : 0.0;
        bias_term = has_loss ? (double)of_rows(s, kMax)[row] : 0.0;
        if (row_losses != nullptr)
        {
            row_losses[row] = has_loss ? loss : 0.0f;
        }
    }

    term = block_sum_double(term, sums);
    bias_term = block_sum_double(bias_term, sums);
    if (threadIdx.x == 0)
    {
        loss_terms[blockIdx.x] = term;
        bias_terms[blockIdx.x] = bias_term;
    }
}

// numbers[to] += the sum of the terms of so many lines, and numbers[magnitude_to] += that of their magnitudes, unless it is negative. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) similarity_sum(
    const double* terms, const int* lines, int lines_per_term, double* numbers, int to, int magnitude_to)
{
    __shared__ double sums[kWarps];
    double sum = 0.0;
    double magnitude = 0.0;
    int count = terms_of(*lines, lines_per_term);
    for (int i = (int)threadIdx.x; i < count; i += kThreadsPerBlock)
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
