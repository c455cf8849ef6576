// The list of all trained tensors as the optimiser's kernels read it: written once by CrossAlign.Kernels.Cuda.CudaParameterTable, which
// lays the struct down field by field.
#pragma once

#include "prelude.cuh"

// A block of 256 threads takes 8 accesses of 16 bytes a thread: 256 blocks for a tensor of 2 million elements.
constexpr int kTableThreads = 256;
constexpr int kTableElementsPerTask = 8192;
constexpr int kTableVector = 4;

struct __align__(16) TableEntry
{
    float* weight;
    const float* gradient;
    float* first_moment;
    float* second_moment;
    bf16* copy;           // or null
    const int* row_ids;   // of a row-sparse gradient, ascending; else null
    const int* row_count; // likewise
    long long count;      // elements of the weight
    int columns;          // of a row-sparse gradient
    int capacity;         // rows that it has room for
    int aligned;          // whether all pointers, and rows, allow accesses of 16 bytes (8 for the copy)
    float rate_factor;
    float decay; // times the rate's factor
    float maximum;
};

// A block's share: which entry, and which piece of it.
struct __align__(8) TableTask
{
    int entry;
    int piece;
};

__device__ __forceinline__ TableEntry load_entry(const TableEntry* entries, int index)
{
    TableEntry e = entries[index];
    e.weight = global_pointer(e.weight);
    e.gradient = global_pointer(e.gradient);
    e.first_moment = global_pointer(e.first_moment);
    e.second_moment = global_pointer(e.second_moment);
    e.copy = global_pointer(e.copy);
    e.row_ids = global_pointer(e.row_ids);
    e.row_count = global_pointer(e.row_count);
    return e;
}

// Rows of a table that one block steps.
__device__ __forceinline__ int table_rows_per_task(int columns) { return max(1, kTableElementsPerTask / max(1, columns)); }

// Rows that a row-sparse gradient has.
__device__ __forceinline__ int table_sparse_rows(const TableEntry& e) { return min(max(*e.row_count, 0), e.capacity); }
