// The fused contrastive loss, tile by tile: one product of similarities feeds an epilogue that keeps no similarity.
//
//   stats      logits of a tile -> (maximum, sum of exponentials) of each of its rows and columns, one partial a tile; then merge:
//              one thread a line adds the tiles' partials to the line's running pair, in the tiles' order.
//   gradients  the logits again, to the same bits -> gradients with respect to them, with the norms folded in, into the workspace,
//              where two products of matmul.cu read them. The sigmoid has this pass alone and leaves its rows' losses on the way.
//   kept       the same of logits that stats has kept (a larger memory budget): 3 products instead of 4.
//
// Sources: A. Radford et al. 2021 (CLIP), figure 3; X. Zhai et al. 2023 (SigLIP), algorithm 1; M. Milakov, N. Gimelshein 2018 (online
// softmax), algorithm 3. No atomics: every number has one writer, and what is merged is merged in a fixed order.
//
// The epilogue of the plain softmax stays in the tensor cores' registers (similarity_plain.cuh). Any other variant, tiles at an edge and the
// plain cores lay the sums in shared memory; a warp then takes a row at a time, a lane four columns of it, and a thread half of a column
// down the rows: few registers for any variant, and whole sectors in every access.
// Work a tile of depth E: 2 * 128 * 128 * E operations and one exponential an element and active direction, in each pass. Sectors of 32
// bytes: its operands' 8 E an element's byte; for the plain symmetric loss, stats beside them 112 for norms (272 by way of shared memory)
// and 144 of partials, gradients 432 (1040) for norms and coefficients, and 512 an element's byte for the tile that the two products read
// (a test counts them). docs/kernels.md has what follows for a large batch, by resource.
#include "similarity_plain.cuh"

namespace
{

constexpr int kWarps = kTileThreads / kWarpSize;

// Lines that a block merges: super-tiles are whole tiles, so that none of its threads is idle.
constexpr int kMergeThreads = kTile;

struct Tile
{
    int rows; // of the super-tile
    int columns;
    int first_row; // of the super-tile in the whole matrix
    int first_column;
    float* row_partials;
    float* column_partials;
    int partial_stride;
};

// Partial `kind` of tile `tile`, of all lines.
__device__ __forceinline__ float* partial(float* partials, int stride, int tiles, int kind, int tile)
{
    return partials + ((long long)kind * tiles + tile) * stride;
}

// The statistics of one column over some rows.
struct ColumnStats
{
    float max, sum, positive, count, weight, logits, participants;
};

// One row's part: its partials to shared memory (one a row and kind), its logits back to the staged rows.
__device__ __forceinline__ void row_stats(
    const Similarity& s, const LaneColumns& c, unsigned tiles, int staged_row, int row, float* kept)
{
    SimilarityRow r = load_row(s, c.scale, row);
    float z[kLaneColumns];
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        z[k] = load_shared(tiles + staged_word(staged_row, k * kWarpSize + lane_index()));
    }

    make_logits(s, r, c, z);
    float max = lowest();
    float positive = 0.0f;
    float count = 0.0f;
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        store_shared(tiles + staged_word(staged_row, k * kWarpSize + lane_index()), z[k]);
        if (kept != nullptr && is_inside(c, k))
        {
            kept[k * kWarpSize + lane_index()] = z[k];
        }

        bool is_target = is_positive(s, r, c, k);
        positive += is_target ? z[k] : 0.0f;
        count += is_target ? 1.0f : 0.0f;

        // The positive is never dropped, however its threshold was rounded.
        z[k] = exceeds(c.scale, z[k], r.threshold) && !is_target ? nothing() : z[k];
        max = z[k] > max ? z[k] : max;
    }

    max = warp_max(max);
    float sum = 0.0f;
    float logits = 0.0f;
    float participants = 0.0f;
#pragma unroll
    for (int k = 0; k < kLaneColumns; k++)
    {
        sum += fast_exp(z[k] - max);
        bool takes_part = z[k] > nothing();
        logits += takes_part ? z[k] : 0.0f;
        participants += takes_part ? 1.0f : 0.0f;
    }

    sum = warp_sum(sum);
    positive = warp_sum(positive);
    count = warp_sum(count);
    if (has(s, kSmoothing))
    {
        logits = warp_sum(logits);
        participants = warp_sum(participants);
    }

    if (lane_index() == 0)
    {
        store_shared(tiles + stats_word(kPartialMax, staged_row), max);
        store_shared(tiles + stats_word(kPartialSum, staged_row), sum);
        store_shared(tiles + stats_word(kPartialPositive, staged_row), positive);
        store_shared(tiles + stats_word(kPartialCount, staged_row), count);
        if (has(s, kSmoothing))
        {
            store_shared(tiles + stats_word(kPartialLogits, staged_row), logits);
            store_shared(tiles + stats_word(kPartialParticipants, staged_row), participants);
        }
    }
}

// Adds `rows` staged rows to a column's statistics.
__device__ __forceinline__ void column_stats(
    const Similarity& s, float scale, ColumnStats& t, unsigned tiles, int column, int at, int staged_row, int row, int rows)
{
    float threshold = has(s, kMargin) ? of_columns(s, kThreshold)[at] : positive_infinity();
    bool shared = has(s, kSharedGroups) && at < s.image_count;
    int group = shared ? s.image_groups[at] : 0;
    float max = lowest();
    for (int i = 0; i < rows; i++)
    {
        float z = load_shared(tiles + staged_word(staged_row + i, column));
        bool is_target = shared ? s.caption_groups[row + i] == group && !is_ignored(s, row + i) : target_of(s, row + i) == at;
        if (is_target)
        {
            t.positive += z;
            t.count += 1.0f;
            t.weight += weight_of(s, row + i);
        }

        bool dropped = exceeds(scale, z, threshold) && !is_target;
        max = !dropped && z > max ? z : max;
    }

    float sum = 0.0f;
    for (int i = 0; i < rows; i++)
    {
        float z = load_shared(tiles + staged_word(staged_row + i, column));
        bool dropped = exceeds(scale, z, threshold) && target_of(s, row + i) != at;
        if (!dropped)
        {
            sum += fast_exp(z - max);
            bool takes_part = z > nothing();
            t.logits += takes_part ? z : 0.0f;
            t.participants += takes_part ? 1.0f : 0.0f;
        }
    }

    merge_pair(t.max, t.sum, max, sum);
}

// The epilogue of the first pass. row_tiles and column_tiles: tiles of the super-tile; row_tile and column_tile: this one.
template <int Unit>
__device__ __forceinline__ void stats_tile(
    const Similarity& s, const Tile& t, unsigned char* tiles, const float (&sum)[kSums][kSums], int row_tile, int column_tile,
    int row_tiles, int column_tiles, float* kept, int kept_stride)
{
    int first_row = row_tile * kTile;
    int first_column = column_tile * kTile;
    int rows = min(kTile, t.rows - first_row);
    unsigned base = shared_address(tiles);
    stage_tile<Unit>(tiles, sum);
    __syncthreads();
    LaneColumns c;
    load_columns(c, s, t.first_column + first_column, t.columns - first_column);
    for (int i = warp_index(); i < rows; i += kWarps)
    {
        float* keep = kept == nullptr ? nullptr : kept + (long long)(first_row + i) * kept_stride + first_column;
        row_stats(s, c, base, i, t.first_row + first_row + i, keep);
    }

    // Logits and rows' statistics are there, of all warps.
    __syncthreads();
    if (has(s, kRowsActive))
    {
        for (int i = (int)threadIdx.x; i < kPartials * kTile; i += kTileThreads)
        {
            int kind = i / kTile;
            int row = i % kTile;
            if (row < rows && (kind <= kPartialCount || (has(s, kSmoothing) && kind >= kPartialLogits)))
            {
                partial(t.row_partials, t.partial_stride, column_tiles, kind, column_tile)[first_row + row] =
                    load_shared(base + stats_word(kind, row));
            }
        }
    }

    if (!has(s, kColumnsActive))
    {
        return;
    }

    // All rows' statistics are read before the columns' take their place.
    __syncthreads();
    ColumnStats own = {lowest(), 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    int column = (int)threadIdx.x & (kTile - 1);
    int from = (int)threadIdx.x / kTile * kStagedRows;
    bool has_column = first_column + column < t.columns;
    if (has_column && from < rows)
    {
        column_stats(
            s, c.scale, own, base, column, t.first_column + first_column + column, from, t.first_row + first_row + from,
            min(kStagedRows, rows - from));
    }

    if (from > 0)
    {
        store_shared(base + stats_word(kPartialMax, column), own.max);
        store_shared(base + stats_word(kPartialSum, column), own.sum);
        store_shared(base + stats_word(kPartialPositive, column), own.positive);
        store_shared(base + stats_word(kPartialCount, column), own.count);
        store_shared(base + stats_word(kPartialWeight, column), own.weight);
        store_shared(base + stats_word(kPartialLogits, column), own.logits);
        store_shared(base + stats_word(kPartialParticipants, column), own.participants);
    }

    // The lower rows' part is there.
    __syncthreads();
    if (from == 0 && has_column)
    {
        merge_pair(own.max, own.sum, load_shared(base + stats_word(kPartialMax, column)), load_shared(base + stats_word(kPartialSum, column)));
        float values[kPartials] = {own.max,    own.sum,    own.positive,    own.count,
                                   own.weight, own.logits, own.participants};
        int at = first_column + column;
#pragma unroll
        for (int kind = 0; kind < kPartials; kind++)
        {
            if (kind < kPartialLogits || has(s, kSmoothing))
            {
                float more = kind <= kPartialSum ? 0.0f : load_shared(base + stats_word(kind, column));
                partial(t.column_partials, t.partial_stride, row_tiles, kind, row_tile)[at] = values[kind] + more;
            }
        }
    }
}

template <int Unit>
__device__ __forceinline__ void stats(
    const Similarity& s, const Tile& t, unsigned char* tiles, const unsigned char* captions, const unsigned char* images, int depth,
    int caption_stride, int image_stride, float* kept, int kept_stride)
{
    int row_tiles = (t.rows + kTile - 1) / kTile;
    int column_tiles = (t.columns + kTile - 1) / kTile;
    if ((int)blockIdx.x >= row_tiles * column_tiles)
    {
        return;
    }

    int row_tile = (int)blockIdx.x / column_tiles;
    int column_tile = (int)blockIdx.x % column_tiles;
    TileOperand left = {captions, (long long)caption_stride * kElementBytes<Unit>, t.rows, depth};
    TileOperand right = {images, (long long)image_stride * kElementBytes<Unit>, t.columns, depth};
    float sum[kSums][kSums];
    tile_product<Unit, true, true>(sum, tiles, left, right, row_tile * kTile, column_tile * kTile, 0, 1, depth_steps<Unit>(depth));
    if constexpr (Unit != kFloat32)
    {
        if (is_plain(s, t.rows - row_tile * kTile, t.columns - column_tile * kTile))
        {
            float* keep = kept == nullptr ? nullptr : kept + (long long)row_tile * kTile * kept_stride + column_tile * kTile;
            plain_stats<Unit>(
                s, sum, tiles, keep, kept_stride, t.first_row + row_tile * kTile, t.first_column + column_tile * kTile,
                partial(t.row_partials, t.partial_stride, column_tiles, 0, column_tile) + row_tile * kTile, (long long)column_tiles * t.partial_stride,
                partial(t.column_partials, t.partial_stride, row_tiles, 0, row_tile) + column_tile * kTile, (long long)row_tiles * t.partial_stride);
            return;
        }
    }

    stats_tile<Unit>(s, t, tiles, sum, row_tile, column_tile, row_tiles, column_tiles, kept, kept_stride);
}

} // namespace

// One block a tile of the super-tile's room; images may be extra negatives. kept (rows, kept_stride) may be null.
#define CROSSALIGN_STATS(NAME, UNIT)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(kTileThreads) NAME(                                                                 \
        CROSSALIGN_SIMILARITY_PARAMETERS, const unsigned char* captions, const unsigned char* images, int depth, int caption_stride, \
        int image_stride, const int* rows, const int* columns, int first_row, int first_column, float* row_partials,                 \
        float* column_partials, int partial_stride, float* kept, int kept_stride)                                                    \
    {                                                                                                                                \
        CROSSALIGN_DYNAMIC_SHARED(tiles);                                                                                            \
        Similarity s = CROSSALIGN_SIMILARITY;                                                                                        \
        Tile t = {*rows, *columns, first_row, first_column, row_partials, column_partials, partial_stride};                          \
        stats<UNIT>(s, t, tiles, captions, images, depth, caption_stride, image_stride, kept, kept_stride);                          \
    }

CROSSALIGN_STATS(similarity_stats_bf16, kBFloat16)
CROSSALIGN_STATS(similarity_stats_tf32, kTf32)
CROSSALIGN_STATS(similarity_stats_f32, kFloat32)

// Adds the tiles' partials to the running statistics: one thread a line; rows (blockIdx.y = 0) by their column tiles, columns by their
// row tiles, in order. at_hand: the columns' numbers of positives and, `partial_stride` behind, sums of their weights, which begin with the first
// rows. Bytes, without smoothing, with T tiles across the line: 24 + 12 T a row (32 + 16 T with shared groups), 40 + 20 T a column (of the first rows 32 + 20 T;
// the sigmoid 16 + 8 T a row), and two sectors of 32 bytes a warp for the numbers of lines; two exponentials a line and tile.
extern "C" __global__ void __launch_bounds__(kMergeThreads) similarity_merge(
    CROSSALIGN_SIMILARITY_PARAMETERS, const int* row_piece, const int* column_piece, int first_row, int first_column,
    const float* row_partials, const float* column_partials, int partial_stride, float* at_hand)
{
    bool by_rows = blockIdx.y == 0;
    int line = (int)blockIdx.x * kMergeThreads + (int)threadIdx.x;
    int lines = by_rows ? *row_piece : *column_piece;
    if (line >= lines || (flags & (by_rows ? kRowsActive | kSigmoid : (int)kColumnsActive)) == 0)
    {
        return;
    }

    Similarity s = CROSSALIGN_SIMILARITY;
    const float* partials = by_rows ? row_partials : column_partials;
    int tile_count = ((by_rows ? *column_piece : *row_piece) + kTile - 1) / kTile;
    float* side = by_rows ? row_side + first_row + line : column_side + first_column + line;
    long long stride = by_rows ? row_stride : column_stride;
    long long step = partial_stride;
    float max = side[kMax * stride];
    float sum = side[kSum * stride];
    if (has(s, kSigmoid))
    {
        for (int t = 0; t < tile_count; t++)
        {
            max += partials[((long long)kPartialMax * tile_count + t) * step + line];
            sum += partials[((long long)kPartialSum * tile_count + t) * step + line];
        }

        side[kMax * stride] = max;
        side[kSum * stride] = sum;
        return;
    }

    float positive = side[kPositive * stride];
    for (int t = 0; t < tile_count; t++)
    {
        const float* p = partials + t * step + line;
        merge_pair(max, sum, p[kPartialMax * tile_count * step], p[kPartialSum * tile_count * step]);
        positive += p[kPartialPositive * tile_count * step];
    }

    side[kMax * stride] = max;
    side[kSum * stride] = sum;
    side[kPositive * stride] = positive;
    if (!by_rows)
    {
        float count = first_row == 0 ? 0.0f : at_hand[line];
        float weight = first_row == 0 ? 0.0f : at_hand[step + line];
        for (int t = 0; t < tile_count; t++)
        {
            count += partials[((long long)kPartialCount * tile_count + t) * step + line];
            weight += partials[((long long)kPartialWeight * tile_count + t) * step + line];
        }

        at_hand[line] = count;
        at_hand[step + line] = weight;
    }
    else if (has(s, kSharedGroups))
    {
        float count = side[kCount * stride];
        for (int t = 0; t < tile_count; t++)
        {
            count += partials[((long long)kPartialCount * tile_count + t) * step + line];
        }

        side[kCount * stride] = count;
    }

    if (has(s, kSmoothing))
    {
        float logits = side[kLogits * stride];
        float participants = side[kParticipants * stride];
        for (int t = 0; t < tile_count; t++)
        {
            logits += partials[((long long)kPartialLogits * tile_count + t) * step + line];
            participants += partials[((long long)kPartialParticipants * tile_count + t) * step + line];
        }

        side[kLogits * stride] = logits;
        side[kParticipants * stride] = participants;
    }
}
