// Embedding of packed tokens: y[n] = word[ids[n]] + position[positions[n]] + type[types[n]], and the gradients of the tables.
// Source: J. Devlin et al., "BERT", 2019, figure 2.
//
// Forward: one warp a token. Accesses are of 16 bytes (or 8 of bfloat16 beside 16 of float32) where the host finds rows and addresses whole
// numbers of them (`wide`).
// Backward, for each table: no atomics, a fixed order. The tokens are sorted stably by their numbers (number_sort.cuh). The sorted tokens are
// cut into chunks of kChunk: a block sums the runs of equal numbers of its chunk, adds those that lie within it to the table, and leaves
// the sums of the runs that reach over a border; the chunk where such a run begins then adds its pieces in order.
#include "number_sort.cuh"

namespace
{

constexpr int kWarpsPerBlock = 4;
constexpr int kThreadsPerBlock = kWarpsPerBlock * kWarpSize;
constexpr int kChunk = 32;
constexpr int kRowVector = 4;

template <typename TTable, typename T, int W>
__device__ __forceinline__ void gather_row(const TTable* word, const TTable* position, const TTable* type, T* y, int c)
{
    for (int i = lane_index() * W; i < c; i += kWarpSize * W)
    {
        float v[W], p[W];
        load_floats(word + i, v);
        load_floats(position + i, p);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            v[k] += p[k];
        }

        if (type != nullptr)
        {
            load_floats(type + i, p);
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                v[k] += p[k];
            }
        }

        store_floats(y + i, v);
    }
}

template <typename TTable, typename T>
__device__ __forceinline__ void gather(
    const int* ids, const int* positions, const int* types, const TTable* word, const TTable* position, const TTable* type, T* y, const int* live, int n, int c,
    int wide)
{
    int row = (int)blockIdx.x * kWarpsPerBlock + warp_index();
    if (row >= live_rows(live, n))
    {
        return;
    }

    // 16 bytes where table and result are of one type; else 16 of the float32 and 8 of the bfloat16.
    constexpr int W = sizeof(TTable) == sizeof(T) ? kVector<T> : kRowVector;
    const TTable* w = word + (long long)ids[row] * c;
    const TTable* p = position + (long long)positions[row] * c;
    const TTable* t = type == nullptr || types == nullptr ? type : type + (long long)types[row] * c;
    T* out = y + (long long)row * c;
    if (wide != 0)
    {
        gather_row<TTable, T, W>(w, p, t, out, c);
    }
    else
    {
        gather_row<TTable, T, 1>(w, p, t, out, c);
    }
}

// Writes the sum of a run to its row: added to a dense table; to a sparse one, whose rows are new, as if it were zero.
template <int W>
__device__ __forceinline__ void put_row(float* table, const int* sorted, const int* slots, int at, int c, int column, const float (&sum)[W])
{
    int row = slots == nullptr ? sorted[at] : slots[at];
    float* p = table + (long long)row * c + column;
    float v[W];
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        v[k] = 0.0f;
    }

    if (slots == nullptr)
    {
        load_parameters(p, v);
    }

#pragma unroll
    for (int k = 0; k < W; k++)
    {
        v[k] += sum[k];
    }

    store_parameters(p, v);
}

// partials (chunks, 2, c): the sum of the run that reaches into the chunk, and of the one that begins in it and reaches out.
template <typename T, int W>
__device__ __forceinline__ void sum_columns(
    const T* dy, const int* order, const int* sorted, const int* slots, float* table, float* partials, int chunk, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    float* p = partials + 2LL * chunk * c + column;
    int start = chunk * kChunk;
    int end = min(start + kChunk, n);
    bool reaches_in = start > 0 && sorted[start - 1] == sorted[start];
    float sum[W];
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        sum[k] = 0.0f;
    }

    for (int i = start; i < end; i++)
    {
        float v[W];
        load_floats(dy + (long long)order[i] * c + column, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            sum[k] += v[k];
        }

        bool run_ends = i + 1 == n || sorted[i + 1] != sorted[i];
        if (run_ends || i + 1 == end)
        {
            if (reaches_in)
            {
                store_parameters(p, sum);
            }
            else if (run_ends)
            {
                put_row(table, sorted, slots, i, c, column, sum);
            }
            else
            {
                store_parameters(p + c, sum);
            }

            reaches_in = false;
#pragma unroll
            for (int k = 0; k < W; k++)
            {
                sum[k] = 0.0f;
            }
        }
    }
}

template <typename T>
__device__ __forceinline__ void sum_runs(
    const T* dy, const int* order, const int* sorted, const int* slots, float* table, float* partials, const int* live, int n, int c,
    int wide)
{
    int rows = live_rows(live, n);
    for (int chunk = (int)blockIdx.y; chunk * kChunk < rows; chunk += (int)gridDim.y)
    {
        if (wide != 0)
        {
            sum_columns<T, kRowVector>(dy, order, sorted, slots, table, partials, chunk, rows, c);
        }
        else
        {
            sum_columns<T, 1>(dy, order, sorted, slots, table, partials, chunk, rows, c);
        }
    }
}

template <int W>
__device__ __forceinline__ void merge_columns(
    const float* partials, const int* sorted, const int* slots, float* table, int chunk, int n, int c)
{
    int column = ((int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x) * W;
    int start = chunk * kChunk;
    int end = start + kChunk;
    if (column >= c || end >= n)
    {
        return;
    }

    int number = sorted[end - 1];
    bool reaches_out = sorted[end] == number;
    bool begins_here = start == 0 || sorted[start - 1] != number;
    if (!reaches_out || !begins_here)
    {
        return;
    }

    float sum[W];
    const float* p = partials + 2LL * chunk * c + column;
    load_parameters(p + c, sum);
    int next = end;
    do
    {
        float v[W];
        p += 2LL * c;
        load_parameters(p, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            sum[k] += v[k];
        }

        next += kChunk;
    } while (next < n && sorted[next] == number);

    put_row(table, sorted, slots, end - 1, c, column, sum);
}

// begins: bit l of the i-th is whether a run of equal numbers begins at the i-th number of lane l. Gives how many do in the warp's numbers of the
// tile, which it goes along as rank_tile does.
__device__ __forceinline__ int find_runs(const int* sorted, int rows, unsigned (&begins)[kNumbersPerLane])
{
    int first = (int)blockIdx.x * kSortTile + warp_index() * kNumbersPerWarp + lane_index();
    int count = 0;
#pragma unroll
    for (int i = 0; i < kNumbersPerLane; i++)
    {
        int at = first + i * kWarpSize;
        bool begin = at < rows && (at == 0 || sorted[at - 1] != sorted[at]);
        begins[i] = __ballot_sync(kAllLanes, begin ? 1 : 0);
        count += __popc(begins[i]);
    }

    return count;
}

__device__ __forceinline__ void count_runs(const int* sorted, int* counts, int (&of_warp)[kSortWarps], int rows)
{
    unsigned begins[kNumbersPerLane];
    int count = find_runs(sorted, rows, begins);
    if (lane_index() == 0)
    {
        of_warp[warp_index()] = count;
    }

    // The counts of all warps.
    __syncthreads();
    if ((int)threadIdx.x == 0)
    {
        int total = 0;
#pragma unroll
        for (int w = 0; w < kSortWarps; w++)
        {
            total += of_warp[w];
        }

        counts[blockIdx.x] = total;
    }
}

// A thread has a run of the tiles.
__device__ __forceinline__ void add_up_runs(int* counts, int (&of_warp)[kSortWarps], int rows)
{
    int tiles = (rows + kSortTile - 1) / kSortTile;
    int per_thread = (tiles + kSortThreads - 1) / kSortThreads;
    int first = min((int)threadIdx.x * per_thread, tiles);
    int end = min(first + per_thread, tiles);
    int own = 0;
    for (int tile = first; tile < end; tile++)
    {
        own += counts[tile];
    }

    int sum = own;
#pragma unroll
    for (int d = 1; d < kWarpSize; d <<= 1)
    {
        int below = __shfl_up_sync(kAllLanes, sum, (unsigned)d);
        sum += lane_index() >= d ? below : 0;
    }

    if (lane_index() == kWarpSize - 1)
    {
        of_warp[warp_index()] = sum;
    }

    // The sums of the warps with the tiles before.
    __syncthreads();
    int before = sum - own;
#pragma unroll
    for (int w = 0; w < kSortWarps; w++)
    {
        before += w < warp_index() ? of_warp[w] : 0;
    }

    for (int tile = first; tile < end; tile++)
    {
        int count = counts[tile];
        counts[tile] = before;
        before += count;
    }
}

__device__ __forceinline__ void place_runs(
    const int* sorted, const int* counts, int* slots, int* row_ids, int* row_count, int (&of_warp)[kSortWarps], int rows)
{
    unsigned begins[kNumbersPerLane];
    int count = find_runs(sorted, rows, begins);
    if (lane_index() == 0)
    {
        of_warp[warp_index()] = count;
    }

    // The counts of the warps before.
    __syncthreads();
    int before = counts == nullptr ? 0 : counts[blockIdx.x];
#pragma unroll
    for (int w = 0; w < kSortWarps; w++)
    {
        before += w < warp_index() ? of_warp[w] : 0;
    }

    int first = (int)blockIdx.x * kSortTile + warp_index() * kNumbersPerWarp + lane_index();
#pragma unroll
    for (int i = 0; i < kNumbersPerLane; i++)
    {
        int at = first + i * kWarpSize;
        if (at < rows)
        {
            int slot = before + __popc(begins[i] & (kAllLanes >> (31 - lane_index()))) - 1;
            slots[at] = slot;
            if (((begins[i] >> lane_index()) & 1u) != 0)
            {
                row_ids[slot] = sorted[at];
            }

            if (at == rows - 1)
            {
                *row_count = slot + 1;
            }
        }

        before += __popc(begins[i]);
    }
}

} // namespace

// word (v, c), position (p, c), type (t, c) or null; types null: row 0 of type everywhere. y (n, c).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_fwd_f32_f32(
    const int* ids, const int* positions, const int* types, const float* word, const float* position, const float* type, float* y, const int* live, int n, int c,
    int wide)
{
    gather(ids, positions, types, word, position, type, y, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_fwd_f32_bf16(
    const int* ids, const int* positions, const int* types, const float* word, const float* position, const float* type, bf16* y, const int* live, int n, int c,
    int wide)
{
    gather(ids, positions, types, word, position, type, y, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_fwd_bf16_f32(
    const int* ids, const int* positions, const int* types, const bf16* word, const bf16* position, const bf16* type, float* y, const int* live, int n, int c,
    int wide)
{
    gather(ids, positions, types, word, position, type, y, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_fwd_bf16_bf16(
    const int* ids, const int* positions, const int* types, const bf16* word, const bf16* position, const bf16* type, bf16* y, const int* live, int n, int c,
    int wide)
{
    gather(ids, positions, types, word, position, type, y, live, n, c, wide);
}

// order (n): the tokens as they come; sorted (n): zero. For a table of one row.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_one_row(int* order, int* sorted, const int* live, int n)
{
    int token = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (token < live_rows(live, n))
    {
        order[token] = token;
        sorted[token] = 0;
    }
}

// counts (tiles, kDigits): how many numbers of each tile have each digit. One block a tile.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_count(const int* numbers, int* counts, const int* live, int n, int shift)
{
    __shared__ SortCounts shared;
    int rows = live_rows(live, n);
    if ((int)blockIdx.x * kSortTile < rows)
    {
        count_tile(numbers, counts, shared, rows, shift);
    }
}

// counts (tiles, kDigits): how many numbers of the tiles before have the digit; totals (kDigits): of all tiles. One block kWarpSize digits.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_offsets(int* counts, int* totals, const int* live, int n)
{
    __shared__ int sums[kSortWarps][kWarpSize];
    add_up_tiles(counts, totals, sums, live_rows(live, n));
}

// tokens_out, numbers_out (n): the input in the order of one digit, equal ones as they come; tokens null: 0, 1, 2, ... counts and totals null where
// there is one tile alone. One block a tile.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_place(
    const int* tokens, const int* numbers, const int* counts, const int* totals, int* tokens_out, int* numbers_out, const int* live, int n, int shift)
{
    __shared__ SortCounts shared;
    int rows = live_rows(live, n);
    if ((int)blockIdx.x * kSortTile < rows)
    {
        place_tile(tokens, numbers, counts, totals, tokens_out, numbers_out, shared, rows, shift);
    }
}

// counts (tiles): how many runs of equal sorted numbers begin in each tile. One block a tile.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_runs(const int* sorted, int* counts, const int* live, int n)
{
    __shared__ int of_warp[kSortWarps];
    int rows = live_rows(live, n);
    if ((int)blockIdx.x * kSortTile < rows)
    {
        count_runs(sorted, counts, of_warp, rows);
    }
}

// counts (tiles): how many runs begin in the tiles before. One block.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_run_offsets(int* counts, const int* live, int n)
{
    __shared__ int of_warp[kSortWarps];
    add_up_runs(counts, of_warp, live_rows(live, n));
}

// slots (n): the place of each sorted number among the different ones; row_ids: those; row_count (1): how many there are. counts null where there is
// one tile alone. One block a tile.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_slots(
    const int* sorted, const int* counts, int* slots, int* row_ids, int* row_count, const int* live, int n)
{
    __shared__ int of_warp[kSortWarps];
    int rows = live_rows(live, n);
    if (rows == 0 && (int)blockIdx.x == 0 && (int)threadIdx.x == 0)
    {
        *row_count = 0;
    }

    if ((int)blockIdx.x * kSortTile < rows)
    {
        place_runs(sorted, counts, slots, row_ids, row_count, of_warp, rows);
    }
}

// table (v, c) += the sums of the runs of each chunk; slots null for a dense table. One block a strip of columns (x) and every
// gridDim.y-th chunk (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_bwd_sum_f32(
    const float* dy, const int* order, const int* sorted, const int* slots, float* table, float* partials, const int* live, int n, int c,
    int wide)
{
    sum_runs(dy, order, sorted, slots, table, partials, live, n, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_bwd_sum_bf16(
    const bf16* dy, const int* order, const int* sorted, const int* slots, float* table, float* partials, const int* live, int n, int c,
    int wide)
{
    sum_runs(dy, order, sorted, slots, table, partials, live, n, c, wide);
}

// The runs that reach over a border of chunks, each by the block of the chunk where it begins.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) embedding_bwd_merge(
    const float* partials, const int* sorted, const int* slots, float* table, const int* live, int n, int c, int wide)
{
    int rows = live_rows(live, n);
    for (int chunk = (int)blockIdx.y; chunk * kChunk < rows; chunk += (int)gridDim.y)
    {
        if (wide != 0)
        {
            merge_columns<kRowVector>(partials, sorted, slots, table, chunk, rows, c);
        }
        else
        {
            merge_columns<1>(partials, sorted, slots, table, chunk, rows, c);
        }
    }
}
