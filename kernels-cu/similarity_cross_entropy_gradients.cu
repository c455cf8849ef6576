// The second pass of the fused contrastive loss (see similarity_cross_entropy.cu): gradients with respect to the logits, a super-tile of
// them in the workspace, where two products of matmul.cu read them. A variant is a few lines of softmax_gradient or sigmoid_gradient.
//
// The sigmoid's only pass, a tile of depth E: sectors of 32 bytes 8 E an element's byte of operands, 432 (128 of the columns' norms, 256 of
// the rows' norms and coefficients, 32 of partials, 16 of scalars) and 512 an element's byte of gradients; an exponential and two
// reciprocals an element. The softmax's are counted in similarity_cross_entropy.cu.
#include "similarity_plain.cuh"

namespace
{

constexpr int kWarps = kTileThreads / kWarpSize;

// Rows of kept logits that a warp takes, whose columns' coefficients it loads once.
constexpr int kKeptRows = 8;

// The super-tile of gradients: float32 or bfloat16, rows `stride` apart, zeros behind the columns.
struct GradientTile
{
    void* data;
    int stride;
    int is_bf16;
};

// The coefficients of a lane's columns.
struct ColumnCoefficients
{
    float max[kLaneColumns], factor[kLaneColumns], positive[kLaneColumns], smoothing[kLaneColumns], threshold[kLaneColumns];
};

__device__ __forceinline__ void load_coefficients(ColumnCoefficients& b, const Similarity& s, const LaneColumns& c)
{
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        bool used = has(s, kColumnsActive) && is_inside(c, k);
        b.max[k] = used ? of_columns(s, kMax)[column_at(c, k)] : 0.0f;
        b.factor[k] = used ? of_columns(s, kSum)[column_at(c, k)] : 0.0f;
        b.positive[k] = used ? of_columns(s, kPositive)[column_at(c, k)] : 0.0f;
        b.smoothing[k] = used && has(s, kSmoothing) ? of_columns(s, kLogits)[column_at(c, k)] : 0.0f;
        b.threshold[k] = used && has(s, kMargin) ? of_columns(s, kThreshold)[column_at(c, k)] : positive_infinity();
    }
}

// The exponential of the tile's epilogue: kept logits become gradients with the bits of those that are made again.
template <bool Plain>
__device__ __forceinline__ float exponential(float x)
{
    if constexpr (Plain)
    {
        return exp_below(x);
    }
    else
    {
        return fast_exp(x);
    }
}

// a exp(z - max) + b_j exp(z - max_j), less what smoothing and the positives take off; 0 of a line without a coefficient, whatever z.
template <bool Plain>
__device__ __forceinline__ void softmax_gradient(
    const Similarity& s, const SimilarityRow& r, const LaneColumns& c, const ColumnCoefficients& b, int row, float (&z)[kLaneColumns])
{
    bool rows = has(s, kRowsActive);
    float max = rows ? of_rows(s, kMax)[row] : 0.0f;
    float factor = rows ? of_rows(s, kSum)[row] : 0.0f;
    float positive = rows ? of_rows(s, kPositive)[row] : 0.0f;
    float smoothing = rows && has(s, kSmoothing) ? of_rows(s, kLogits)[row] : 0.0f;
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        bool is_target = is_positive(s, r, c, k);
        float g = 0.0f;
        if (rows)
        {
            float x = exceeds(c.scale, z[k], r.threshold) && !is_target ? nothing() : z[k];
            g = factor == 0.0f ? 0.0f : factor * exponential<Plain>(x - max);
            g -= x > nothing() ? smoothing : 0.0f;
        }

        if (has(s, kColumnsActive))
        {
            float x = exceeds(c.scale, z[k], b.threshold[k]) && !is_target ? nothing() : z[k];
            g = b.factor[k] == 0.0f ? g : fmaf(b.factor[k], exponential<Plain>(x - b.max[k]), g);
            g -= x > nothing() ? b.smoothing[k] : 0.0f;
        }

        z[k] = is_target ? g - (positive + b.positive[k]) : g;
    }
}

// ln(1 + t) for t in [0, 1]: 2 artanh(t / (2 + t)), exact to a few units in the last place also for tiny t.
__device__ __forceinline__ float log_one_plus(float t)
{
    float s = t * reciprocal(2.0f + t);
    float s2 = s * s;
    float series = 1.0f / 17.0f;
    series = fmaf(series, s2, 1.0f / 15.0f);
    series = fmaf(series, s2, 1.0f / 13.0f);
    series = fmaf(series, s2, 1.0f / 11.0f);
    series = fmaf(series, s2, 1.0f / 9.0f);
    series = fmaf(series, s2, 1.0f / 7.0f);
    series = fmaf(series, s2, 1.0f / 5.0f);
    series = fmaf(series, s2, 1.0f / 3.0f);
    return 2.0f * fmaf(s * s2, series, s);
}

// A positive's loss is softplus(-z), its gradient -sigmoid(-z): a negative's but for two changes of sign.
__device__ __forceinline__ void sigmoid_gradient(
    const Similarity& s, const SimilarityRow& r, const LaneColumns& c, int row, float (&z)[kLaneColumns], float& loss, float& sum)
{
    float factor = of_rows(s, kPositive)[row];
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        bool is_target = is_positive(s, r, c, k);
        float x = is_target ? -z[k] : z[k];
        float t = fast_exp(-fabsf(x));
        float larger = reciprocal(1.0f + t);
        loss += (x > 0.0f ? x : 0.0f) + log_one_plus(t);
        float g = factor * (x < 0.0f ? t * larger : larger);
        z[k] = is_target ? -g : g;
        sum += is_inside(c, k) ? z[k] : 0.0f;
    }
}

// One row: logits to gradients, which are written; the sigmoid's loss and sum of gradients go to `stats`.
template <bool Plain>
__device__ __forceinline__ void gradient_row(
    const Similarity& s, const LaneColumns& c, const ColumnCoefficients& b, const GradientTile& tile, int row, int tile_row,
    int first_column, const SimilarityRow& r, float (&z)[kLaneColumns], unsigned stats)
{
    if (has(s, kSigmoid))
    {
        float loss = 0.0f;
        float sum = 0.0f;
        sigmoid_gradient(s, r, c, row, z, loss, sum);
        loss = warp_sum(loss);
        sum = warp_sum(sum);
        if (lane_index() == 0)
        {
            store_shared(stats + stats_word(kPartialMax, 0), sum);
            store_shared(stats + stats_word(kPartialSum, 0), loss);
        }
    }
    else
    {
        softmax_gradient<Plain>(s, r, c, b, row, z);
    }

    if (!has(s, kStoreGradients))
    {
        return;
    }

#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        int column = first_column + k * kWarpSize + lane_index();
        float g = is_inside(c, k) ? z[k] * r.rstd * c.rstd[k] : 0.0f;
        long long at = (long long)tile_row * tile.stride + column;
        if (column < tile.stride)
        {
            if (tile.is_bf16 != 0)
            {
                static_cast<bf16*>(tile.data)[at] = from_float<bf16>(g);
            }
            else
            {
                static_cast<float*>(tile.data)[at] = g;
            }
        }
    }
}

// A column without a loss in this pass takes no part: a masked pair's logit is minus infinity, whose softplus is zero.
template <int Unit>
__device__ __forceinline__ void gradients(
    const Similarity& s, unsigned char* tiles, const TileOperand& left, const TileOperand& right, int first_row, int first_column,
    const GradientTile& tile, float* row_partials, int partial_stride)
{
    int column_tiles = (right.lines + kTile - 1) / kTile;
    if ((int)blockIdx.x >= (left.lines + kTile - 1) / kTile * column_tiles)
    {
        return;
    }

    int row_tile = (int)blockIdx.x / column_tiles;
    int column_tile = (int)blockIdx.x % column_tiles;
    int tile_column = column_tile * kTile;
    float sum[kSums][kSums];
    tile_product<Unit, true, true>(sum, tiles, left, right, row_tile * kTile, tile_column, 0, 1, depth_steps<Unit>(left.depth));
    if constexpr (Unit != kFloat32)
    {
        if (has(s, kStoreGradients) && (tile.is_bf16 != 0) == (Unit == kBFloat16) && is_plain(s, left.lines - row_tile * kTile, right.lines - tile_column))
        {
            long long first = (long long)row_tile * kTile * tile.stride + tile_column;
            plain_gradients<Unit>(
                s, sum, first_row + row_tile * kTile, first_column + tile_column, static_cast<unsigned char*>(tile.data) + first * kElementBytes<Unit>, tile.stride);
            return;
        }
    }

    unsigned base = shared_address(tiles);
    stage_tile<Unit>(tiles, sum);
    __syncthreads();
    LaneColumns c;
    ColumnCoefficients b;
    load_columns(c, s, first_column + tile_column, right.lines - tile_column);
    load_coefficients(b, s, c);
    int first = row_tile * kTile;
    int rows = min(kTile, left.lines - first);
    for (int i = warp_index(); i < rows; i += kWarps)
    {
        int row = first_row + first + i;
        SimilarityRow r = load_row(s, c.scale, row);
        float z[kLaneColumns];
#pragma unroll
        for (int k = 0; k < kLaneColumns; k++)
        {
            z[k] = load_shared(base + staged_word(i, k * kWarpSize + lane_index()));
        }

        make_logits(s, r, c, z);
        gradient_row<false>(s, c, b, tile, row, first + i, tile_column, r, z, base + stats_word(0, i) - stats_word(0, 0));
    }

    if (!has(s, kSigmoid))
    {
        return;
    }

    // The rows' sums are there, of all warps.
    __syncthreads();
    int kind = (int)threadIdx.x / kTile;
    int row = (int)threadIdx.x % kTile;
    if (row < rows)
    {
        row_partials[((long long)kind * column_tiles + column_tile) * partial_stride + first + row] = load_shared(base + stats_word(kind, row));
    }
}

} // namespace

// One block a tile of the super-tile's room. tile (rows, tile_stride): tile_stride at least the columns, a multiple of 16 bytes.
#define CROSSALIGN_GRADIENTS(NAME, UNIT)                                                                                             \
    extern "C" __global__ void __launch_bounds__(kTileThreads) NAME(                                                                 \
        CROSSALIGN_SIMILARITY_PARAMETERS, const unsigned char* captions, const unsigned char* images, int depth, int caption_stride, \
        int image_stride, const int* rows, const int* columns, int first_row, int first_column, float* row_partials,                 \
        int partial_stride, void* tile, int tile_stride, int tile_is_bf16)                                                           \
    {                                                                                                                                \
        CROSSALIGN_DYNAMIC_SHARED(tiles);                                                                                            \
        Similarity s = CROSSALIGN_SIMILARITY;                                                                                        \
        TileOperand left = {captions, (long long)caption_stride * kElementBytes<UNIT>, *rows, depth};                                \
        TileOperand right = {images, (long long)image_stride * kElementBytes<UNIT>, *columns, depth};                                \
        GradientTile target = {tile, tile_stride, tile_is_bf16};                                                                     \
        gradients<UNIT>(s, tiles, left, right, first_row, first_column, target, row_partials, partial_stride);                       \
    }

CROSSALIGN_GRADIENTS(similarity_gradients_bf16, kBFloat16)
CROSSALIGN_GRADIENTS(similarity_gradients_tf32, kTf32)
CROSSALIGN_GRADIENTS(similarity_gradients_f32, kFloat32)

// The same of logits that the first pass has kept (softmax only), to the same bits: by_registers says that the pass took the plain tiles'
// way, which has an exponential of its own. One block 128 columns (x) of kWarps * kKeptRows rows (y).
//
// Sectors of 32 bytes a tile of 128 x 128 of the plain symmetric loss: 2048 of logits, 512 an element's byte of gradients, 1024 of the
// columns' norms and coefficients (64 for each warp), 512 of the rows' (4 a row). One exponential an element and active direction.
extern "C" __global__ void __launch_bounds__(kTileThreads) similarity_gradients_kept(
    CROSSALIGN_SIMILARITY_PARAMETERS, const float* kept, int kept_stride, const int* row_piece, const int* column_piece, int first_row,
    int first_column, void* tile, int tile_stride, int tile_is_bf16, int by_registers)
{
    int rows = *row_piece;
    int columns = *column_piece;
    int tile_row = (int)blockIdx.y * kWarps * kKeptRows + warp_index();
    int tile_column = (int)blockIdx.x * kTile;
    if (tile_row >= rows || tile_column >= columns)
    {
        return;
    }

    Similarity s = CROSSALIGN_SIMILARITY;
    GradientTile target = {tile, tile_stride, tile_is_bf16};
    LaneColumns c;
    ColumnCoefficients b;
    load_columns(c, s, first_column + tile_column, columns - tile_column);
    load_coefficients(b, s, c);
    bool plain = by_registers != 0 && is_plain(s, rows - tile_row / kTile * kTile, columns - tile_column);
    for (int i = 0; i < kKeptRows && tile_row < rows; i++, tile_row += kWarps)
    {
        SimilarityRow r = load_row(s, c.scale, first_row + tile_row);
        float z[kLaneColumns];
#pragma unroll
        for (int k = 0; k < kLaneColumns; k++)
        {
            z[k] = is_inside(c, k) ? kept[(long long)tile_row * kept_stride + tile_column + k * kWarpSize + lane_index()] : nothing();
        }

        if (plain)
        {
            gradient_row<true>(s, c, b, target, first_row + tile_row, tile_row, tile_column, r, z, 0);
        }
        else
        {
            gradient_row<false>(s, c, b, target, first_row + tile_row, tile_row, tile_column, r, z, 0);
        }
    }
}
