// Adam with decoupled weight decay over all tensors at once.
// Sources: D. P. Kingma, J. Ba, "Adam", 2015, algorithm 1; I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019,
// algorithm 2 (with the decay multiplied by the learning rate).
//
// A block takes 8192 elements of one tensor, or as many rows of a table whose gradient is row-sparse, a warp a row: rows without a
// gradient are stepped with a gradient of zero; where a row's moments are zero too and nothing decays, that changes nothing, and the row
// is left alone. The numbers of the step and the clip factor are read from the device: a replayed graph makes the step of the numbers
// that were written last, and a block that finds the gradients not finite leaves everything as it is.
//
// Every operation here is rounded to nearest in the order of the CPU's code: the same bits from the same numbers.
//
// Bytes and operations: 16 read, 12 written (14 with a copy) and 14 operations an element. Of a row without gradient and moments: 8 read.
#include "parameter_table.cuh"

// As CrossAlign.Kernels.AdamWSettings writes them; a view of the caller's, which need not lie at a multiple of 16 bytes.
struct Settings
{
    float rate;
    float corrected_rate; // rate / (1 - beta1^step)
    float beta1;
    float one_minus_beta1;
    float beta2;
    float one_minus_beta2;
    float inverse_root; // 1 / sqrt(1 - beta2^step)
    float epsilon;
};

namespace
{

constexpr int kWarps = kTableThreads / kWarpSize;

struct Update
{
    Settings settings;
    float clip;
    float step_size;
    float shrink;
    float maximum;
};

// Elements i to i + W - 1 of the tensor; without a gradient it is zero.
template <int W>
__device__ __forceinline__ void update(const TableEntry& e, const Update& u, long long i, const float* gradient)
{
    const Settings& s = u.settings;
    float g[W], p[W], m[W], v[W];
    load_floats(e.weight + i, p);
    load_floats(e.first_moment + i, m);
    load_floats(e.second_moment + i, v);
    if (gradient != nullptr)
    {
        load_floats(gradient, g);
    }

#pragma unroll
    for (int k = 0; k < W; k++)
    {
        float x = gradient == nullptr ? 0.0f : g[k] * u.clip;
        m[k] = fmaf(s.beta1, m[k], s.one_minus_beta1 * x);
        v[k] = fmaf(s.beta2, v[k], s.one_minus_beta2 * (x * x));
        float denominator = fmaf(sqrtf(v[k]), s.inverse_root, s.epsilon);
        p[k] = p[k] * u.shrink - u.step_size * (m[k] / denominator);

        // Not the smaller of the two, which would hide a NaN.
        p[k] = p[k] > u.maximum ? u.maximum : p[k];
    }

    store_floats(e.first_moment + i, m);
    store_floats(e.second_moment + i, v);
    store_floats(e.weight + i, p);
    if (e.copy != nullptr)
    {
        store_floats(e.copy + i, p);
    }
}

__device__ __forceinline__ void dense(const TableEntry& e, const Update& u, int piece)
{
    long long first = (long long)piece * kTableElementsPerTask;
    int n = (int)(e.count - first < kTableElementsPerTask ? e.count - first : kTableElementsPerTask);
    int i = (int)threadIdx.x;
    if (e.aligned)
    {
        for (i *= kTableVector; i <= n - kTableVector; i += kTableThreads * kTableVector)
        {
            update<kTableVector>(e, u, first + i, e.gradient + first + i);
        }

        // The last few elements, one a thread.
        i = n / kTableVector * kTableVector + (int)threadIdx.x;
    }

    for (; i < n; i += kTableThreads)
    {
        update<1>(e, u, first + i, e.gradient + first + i);
    }
}

// The place of a row among the rows with a gradient, or -1: 32 candidates at a time. All lanes take part and get the result.
__device__ __forceinline__ int find_row(const int* rows, int count, int row)
{
    int low = 0;
    while (count > 0)
    {
        // Lane k looks at the start of the k-th of 32 parts; the row lies in the last part that does not begin behind it.
        int part = (count + kWarpSize - 1) / kWarpSize;
        int at = lane_index() * part;
        int found = at < count ? rows[low + at] : 0x7fffffff;
        unsigned not_behind = __ballot_sync(kAllLanes, found <= row);
        if (not_behind == 0)
        {
            return -1;
        }

        int last = 31 - __clz((int)not_behind);
        if (__shfl_sync(kAllLanes, found, last) == row)
        {
            return low + last * part;
        }

        // Behind the part's first row, which is another.
        low += last * part + 1;
        count = min(part - 1, count - last * part - 1);
    }

    return -1;
}

template <int W>
__device__ __forceinline__ bool has_moments(const TableEntry& e, long long start)
{
    int found = 0;
    for (int i = lane_index() * W; i < e.columns; i += kWarpSize * W)
    {
        float m[W], v[W];
        load_floats(e.first_moment + start + i, m);
        load_floats(e.second_moment + start + i, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            // A NaN is unequal to zero as well.
            found |= m[k] != 0.0f || v[k] != 0.0f;
        }
    }

    return __any_sync(kAllLanes, found) != 0;
}

template <int W>
__device__ __forceinline__ void sparse(const TableEntry& e, const Update& u, int piece)
{
    int per_task = table_rows_per_task(e.columns);
    long long rows = e.columns == 0 ? 0 : e.count / e.columns;
    long long first = (long long)piece * per_task;
    long long end = first + per_task < rows ? first + per_task : rows;
    int touched = table_sparse_rows(e);
    for (long long row = first + warp_index(); row < end; row += kWarps)
    {
        int place = find_row(e.row_ids, touched, (int)row);
        long long start = row * e.columns;
        if (place < 0 && u.shrink == 1.0f && !has_moments<W>(e, start))
        {
            continue;
        }

        const float* gradient = place < 0 ? nullptr : e.gradient + (long long)place * e.columns;
        for (int i = lane_index() * W; i < e.columns; i += kWarpSize * W)
        {
            update<W>(e, u, start + i, gradient == nullptr ? nullptr : gradient + i);
        }
    }
}

} // namespace

// settings (8); norm (3) of gradient_norm, or null for no clipping.
extern "C" __global__ void __launch_bounds__(kTableThreads) adamw_step(
    const TableEntry* entries, const TableTask* tasks, const Settings* settings, const float* norm)
{
    if (norm != nullptr && norm[2] == 0.0f)
    {
        return;
    }

    TableTask task = tasks[blockIdx.x];
    TableEntry e = load_entry(entries, task.entry);
    Update u;
    u.settings = *settings;
    u.clip = norm == nullptr ? 1.0f : norm[1];
    u.step_size = u.settings.corrected_rate * e.rate_factor;
    u.shrink = fmaf(-u.settings.rate, e.decay, 1.0f);
    u.maximum = e.maximum;
    if (e.row_ids == nullptr)
    {
        dense(e, u, task.piece);
    }
    else if (e.aligned)
    {
        sparse<kTableVector>(e, u, task.piece);
    }
    else
    {
        sparse<1>(e, u, task.piece);
    }
}
