// The Euclidean norm of all gradients together, the clip factor and whether all are finite.
// Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1.
//
// A block sums the squares of 8192 elements, four at a time in float and those sums in double: the square of a finite float never
// overflows a double, so that the sum is finite just if all gradients are. One block adds the blocks' sums in a fixed order.
//
// Bytes and operations: 4 read and 2 operations an element; the second kernel reads 8 bytes for each 8192 elements.
#include "doubles.cuh"
#include "parameter_table.cuh"

namespace
{

__device__ __forceinline__ double squares(const float (&v)[kTableVector])
{
    float sum = fmaf(v[3], v[3], fmaf(v[2], v[2], fmaf(v[1], v[1], v[0] * v[0])));

    // Not below infinity: a NaN, an infinity, or finite numbers whose squares are too large for a float.
    if (sum < positive_infinity())
    {
        return (double)sum;
    }

    double wide = 0.0;
#pragma unroll
    for (int k = 0; k < kTableVector; k++)
    {
        wide += (double)v[k] * (double)v[k];
    }

    return wide;
}

// The sum over the block in thread 0, pairs of threads first: the same order always.
__device__ __forceinline__ double block_sum(double x, double* sums)
{
    int thread = (int)threadIdx.x;
    sums[thread] = x;
    for (int half = kTableThreads / 2; half > 0; half /= 2)
    {
        // What the threads above have written before the ones below read it.
        __syncthreads();
        if (thread < half)
        {
            sums[thread] += sums[thread + half];
        }
    }

    return sums[thread];
}

} // namespace

// partials (tasks): the sums of squares of the pieces of 8192 elements; of a row-sparse gradient those of its rows, one behind the other.
extern "C" __global__ void __launch_bounds__(kTableThreads) gradient_norm_partial(
    const TableEntry* entries, const TableTask* tasks, double* partials)
{
    __shared__ double sums[kTableThreads];
    TableTask task = tasks[blockIdx.x];
    TableEntry e = load_entry(entries, task.entry);
    long long count = e.row_ids == nullptr ? e.count : (long long)table_sparse_rows(e) * e.columns;
    long long first = (long long)task.piece * kTableElementsPerTask;
    int n = (int)(count - first < kTableElementsPerTask ? count - first : kTableElementsPerTask);
    const float* g = e.gradient + first;
    double total = 0.0;
    int i = (int)threadIdx.x;
    if (e.aligned)
    {
        for (i *= kTableVector; i <= n - kTableVector; i += kTableThreads * kTableVector)
        {
            float v[kTableVector];
            load_floats(g + i, v);
            total += squares(v);
        }

        // The last few elements, one a thread.
        i = n > 0 ? n / kTableVector * kTableVector + (int)threadIdx.x : n;
    }

    for (; i < n; i += kTableThreads)
    {
        double v = (double)g[i];
        total += v * v;
    }

    total = block_sum(total, sums);
    if (threadIdx.x == 0)
    {
        partials[blockIdx.x] = total;
    }
}

// result (3): norm = scale ||g||, scale min(1, max_norm / (norm + 1e-6)) or 0, and 1 or 0 for whether all gradients are finite.
extern "C" __global__ void __launch_bounds__(kTableThreads) gradient_norm_finish(
    const double* partials, int tasks, float* result, double max_norm, double scale)
{
    __shared__ double sums[kTableThreads];
    double total = 0.0;
    for (int i = (int)threadIdx.x; i < tasks; i += kTableThreads)
    {
        total += partials[i];
    }

    total = block_sum(total, sums);
    if (threadIdx.x == 0)
    {
        double norm = scale * square_root(total);
        double ratio = max_norm / (norm + 1e-6);

        // A NaN or an infinity times zero is a NaN, and so unequal to zero.
        bool finite = total * 0.0 == 0.0;
        result[0] = (float)norm;
        result[1] = finite ? (float)(scale * (ratio < 1.0 ? ratio : 1.0)) : 0.0f;
        result[2] = finite ? 1.0f : 0.0f;
    }
}
