// One tile of a matrix product: the sums of 128 rows of a times 128 columns of b, by a block of 256 threads (eight warps of 64 x 32).
// What is done with them is the caller's: matmul.cu stores them, the loss keeps none.
//
// Three units share the loop, the way from global to shared memory and the place of each sum:
//   kBFloat16  bfloat16 operands, mma.m16n8k16
//   kTf32      float32 operands, rounded to TF32 as they leave shared memory, mma.m16n8k8
//   kFloat32   float32 operands, fused multiply-adds of the plain cores
// Depth goes in steps of 64 bytes an operand line (32 bfloat16 or 16 float32), three steps in flight by cp.async, one barrier a step.
// An operand lies "by depth" (a line's depth is contiguous: a in NN and NT, b in NT) or "by lines" (b in NN and TN, a in TN). Lines and
// depth that are missing are zeros, in pieces of 16 bytes: rows are multiples of 16 bytes (matmul.cu packs those that are not).
//
// Tensor cores may truncate when they add, and a long chain of truncations is biased; so their chains are 64 deep, and the chains'
// results are added in float32, rounded to nearest. The order of additions depends on the depth alone.
//
// Shared memory: 16-byte pieces are placed by an exclusive or with the line (or depth), so that neither the copies nor ldmatrix nor the
// plain loads meet in a bank. Registers: 64 sums, 64 of the chains, 24 of fragments: one block a multiprocessor is resident.
// Bytes a block and step: 16 KiB from global memory for 2 * 128 * 128 * 32 operations in bfloat16 (64 a byte), half of that in float32.
#pragma once
#include "tile_operands.cuh"

// A fragment of a: 16 rows from `row` on, 32 bytes of depth, the k-th of a step.
template <int Unit, bool ByDepth>
__device__ __forceinline__ void load_left(unsigned (&f)[4], unsigned base, int offset, int row, int k, int lane)
{
    if constexpr (ByDepth)
    {
        ldmatrix_x4(f, base + (unsigned)(offset + depth_place(row + (lane & 15), 2 * k + (lane >> 4))));
    }
    else if constexpr (Unit == kBFloat16)
    {
        int depth = k * 16 + ((lane >> 4) << 3) + (lane & 7);
        ldmatrix_x4_trans(f, base + (unsigned)(offset + lines_place<Unit>(depth, (row >> 3) + ((lane >> 3) & 1))));
    }
    else
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
        {
            int line = row + (r & 1) * 8 + (lane >> 2);
            int depth = k * 8 + (r >> 1) * 4 + (lane & 3);
            f[r] = load_shared_word(base + (unsigned)(offset + lines_place<Unit>(depth, line >> 2) + (line & 3) * 4));
        }
    }

    if constexpr (Unit == kTf32)
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
        {
            f[r] = to_tf32(__uint_as_float(f[r]));
        }
    }
}

// Two fragments of b: eight columns from `column` on (f[0], f[1]) and the eight after them (f[2], f[3]).
template <int Unit, bool ByDepth>
__device__ __forceinline__ void load_right(unsigned (&f)[4], unsigned base, int offset, int column, int k, int lane)
{
    if constexpr (ByDepth)
    {
        int line = column + ((lane >> 4) << 3) + (lane & 7);
        ldmatrix_x4(f, base + (unsigned)(offset + depth_place(line, 2 * k + ((lane >> 3) & 1))));
    }
    else if constexpr (Unit == kBFloat16)
    {
        int depth = k * 16 + (((lane >> 3) & 1) << 3) + (lane & 7);
        ldmatrix_x4_trans(f, base + (unsigned)(offset + lines_place<Unit>(depth, (column >> 3) + (lane >> 4))));
    }
    else
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
        {
            int line = column + (r >> 1) * 8 + (lane >> 2);
            int depth = k * 8 + (r & 1) * 4 + (lane & 3);
            f[r] = load_shared_word(base + (unsigned)(offset + lines_place<Unit>(depth, line >> 2) + (line & 3) * 4));
        }
    }

    if constexpr (Unit == kTf32)
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
        {
            f[r] = to_tf32(__uint_as_float(f[r]));
        }
    }
}

template <int Unit, bool LeftByDepth, bool RightByDepth>
__device__ __forceinline__ void multiply_step(float (&chain)[4][4][4], unsigned base, int offset, int thread)
{
    int lane = thread & (kWarpSize - 1);
    int row = (thread >> 7) << 6;
    int column = thread & 96;
#pragma unroll
    for (int k = 0; k < 2; k++)
    {
        unsigned right[2][4];
#pragma unroll
        for (int j = 0; j < 2; j++)
        {
            load_right<Unit, RightByDepth>(right[j], base, offset + kOperandBytes, column + j * 16, k, lane);
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            unsigned left[4];
            load_left<Unit, LeftByDepth>(left, base, offset, row + i * 16, k, lane);
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                if constexpr (Unit == kBFloat16)
                {
                    mma_bf16(chain[i][j], left, right[j >> 1][2 * (j & 1)], right[j >> 1][2 * (j & 1) + 1]);
                }
                else
                {
                    mma_tf32(chain[i][j], left, right[j >> 1][2 * (j & 1)], right[j >> 1][2 * (j & 1) + 1]);
                }
            }
        }
    }
}

// Adds the chains to the sums and begins new ones.
__device__ __forceinline__ void end_chains(float (&sum)[kSums][kSums], float (&chain)[4][4][4])
{
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
#pragma unroll
            for (int r = 0; r < 4; r++)
            {
                sum[2 * i + (r >> 1)][2 * j + (r & 1)] += chain[i][j][r];
                chain[i][j][r] = 0.0f;
            }
        }
    }
}

// One step of the plain cores, four of depth at a time.
template <bool LeftByDepth, bool RightByDepth>
__device__ __forceinline__ void multiply_step_float32(float (&sum)[kSums][kSums], unsigned base, int offset, int thread)
{
#pragma unroll 1
    for (int piece = 0; piece < kStepBytes / kPiece; piece++)
    {
        float left[kSums][4], right[kSums][4];
        if constexpr (LeftByDepth)
        {
#pragma unroll
            for (int i = 0; i < kSums; i++)
            {
                load_shared(base + (unsigned)(offset + depth_place(sum_row(thread, i), piece)), left[i]);
            }
        }
        else
        {
#pragma unroll
            for (int i = 0; i < kSums; i++)
            {
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    int line = sum_row(thread, i);
                    left[i][k] = load_shared(base + (unsigned)(offset + lines_place<kFloat32>(4 * piece + k, line >> 2) + (line & 3) * 4));
                }
            }
        }

        if constexpr (RightByDepth)
        {
#pragma unroll
            for (int j = 0; j < kSums; j++)
            {
                load_shared(base + (unsigned)(offset + kOperandBytes + depth_place(sum_column<kFloat32>(thread, j), piece)), right[j]);
            }
        }
        else
        {
#pragma unroll
            for (int j = 0; j < kSums; j += 4)
            {
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    float v[4];
                    load_shared(
                        base + (unsigned)(offset + kOperandBytes + lines_place<kFloat32>(4 * piece + k, sum_column<kFloat32>(thread, j) >> 2)), v);
#pragma unroll
                    for (int e = 0; e < 4; e++)
                    {
                        right[j + e][k] = v[e];
                    }
                }
            }
        }

#pragma unroll
        for (int k = 0; k < 4; k++)
        {
#pragma unroll
            for (int i = 0; i < kSums; i++)
            {
#pragma unroll
                for (int j = 0; j < kSums; j++)
                {
                    sum[i][j] = fmaf(left[i][k], right[j][k], sum[i][j]);
                }
            }
        }
    }
}

__device__ __forceinline__ void clear_sums(float (&sum)[kSums][kSums])
{
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
#pragma unroll
        for (int j = 0; j < kSums; j++)
        {
            sum[i][j] = 0.0f;
        }
    }
}

// sum += the tile at (first_row, first_column), over the steps first_step, first_step + stride, ... below `end`. `tiles` are the
// kTileSharedBytes of shared memory, aligned to 128 bytes; behind the call they are free for other use. A depth that is cut after whole
// chains, each part added to the sums of the one before, gives the bits of the whole.
template <int Unit, bool LeftByDepth, bool RightByDepth>
__device__ __forceinline__ void add_tile_product(
    float (&sum)[kSums][kSums], unsigned char* tiles, const TileOperand& left, const TileOperand& right, int first_row, int first_column,
    int first_step, int stride, int end)
{
    unsigned base = shared_address(tiles);

    // Of a thread that the compiler does not know: or a caller with a loop keeps all places in registers round it.
    int thread = fresh_thread();
    [[maybe_unused]] float chain[4][4][4];
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
#pragma unroll
            for (int r = 0; r < 4; r++)
            {
                chain[i][j][r] = 0.0f;
            }
        }
    }

    int load = first_step;
#pragma unroll
    for (int s = 0; s < kStages - 1; s++)
    {
        if (load < end)
        {
            load_step<Unit, LeftByDepth>(base + (unsigned)(s * kStageBytes), left, first_row, load, thread);
            load_step<Unit, RightByDepth>(base + (unsigned)(s * kStageBytes + kOperandBytes), right, first_column, load, thread);
        }

        cp_async_commit();
        load += stride;
    }

    int from = 0;
    int to = (kStages - 1) * kStageBytes;
    [[maybe_unused]] int links = 0;
    for (int step = first_step; step < end; step += stride)
    {
        // This step's copies are there, of all threads; and all are done with the stage that is written next.
        cp_async_wait<kStages - 2>();
        __syncthreads();
        if (load < end)
        {
            load_step<Unit, LeftByDepth>(base + (unsigned)to, left, first_row, load, thread);
            load_step<Unit, RightByDepth>(base + (unsigned)to + kOperandBytes, right, first_column, load, thread);
        }

        cp_async_commit();
        load += stride;
        if constexpr (Unit == kFloat32)
        {
            multiply_step_float32<LeftByDepth, RightByDepth>(sum, base, from, thread);
        }
        else
        {
            multiply_step<Unit, LeftByDepth, RightByDepth>(chain, base, from, thread);
            if (++links == kChainSteps<Unit>)
            {
                end_chains(sum, chain);
                links = 0;
            }
        }

        from = from == (kStages - 1) * kStageBytes ? 0 : from + kStageBytes;
        to = to == (kStages - 1) * kStageBytes ? 0 : to + kStageBytes;
    }

    cp_async_wait<0>();
    __syncthreads();
    if constexpr (Unit != kFloat32)
    {
        end_chains(sum, chain);
    }
}

// sum = the tile, likewise.
template <int Unit, bool LeftByDepth, bool RightByDepth>
__device__ __forceinline__ void tile_product(
    float (&sum)[kSums][kSums], unsigned char* tiles, const TileOperand& left, const TileOperand& right, int first_row, int first_column,
    int first_step, int stride, int end)
{
    clear_sums(sum);
    add_tile_product<Unit, LeftByDepth, RightByDepth>(sum, tiles, left, right, first_row, first_column, first_step, stride, end);
}

// Sums as float32 in shared memory, so that they can be read row by row: rows 64 half ... 64 half + 63, or all 128; see staged_place. The
// barriers around it are the caller's.
constexpr int kStagedRows = 64;

__device__ __forceinline__ int staged_place(int row, int piece)
{
    return row * (kTile * 4) + ((piece ^ ((row & 1) * 6) ^ (row & 2)) << 4);
}

// The rows that this thread has sums of, from the shared row of the first less `first` on.
template <int Unit>
__device__ __forceinline__ void stage_sums(unsigned base, const float (&sum)[kSums][kSums], int first)
{
    int thread = fresh_thread();
#pragma unroll
    for (int i = 0; i < kSums; i++)
    {
        int row = sum_row(thread, i) - first;
        if constexpr (Unit == kFloat32)
        {
#pragma unroll
            for (int j = 0; j < kSums; j += 4)
            {
                store_shared(
                    base + (unsigned)staged_place(row, sum_column<Unit>(thread, j) >> 2), sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
            }
        }
        else
        {
#pragma unroll
            for (int j = 0; j < kSums; j += 2)
            {
                int column = sum_column<Unit>(thread, j);
                store_shared(base + (unsigned)(staged_place(row, column >> 2) + (column & 2) * 4), sum[i][j], sum[i][j + 1]);
            }
        }
    }
}

// 32 KiB: half of the tile at a time.
template <int Unit>
__device__ __forceinline__ void stage_rows(unsigned char* tiles, const float (&sum)[kSums][kSums], int half)
{
    if ((warp_index() >> 2) == half)
    {
        stage_sums<Unit>(shared_address(tiles), sum, half * kStagedRows);
    }
}

// 64 KiB: the whole tile, so that the sums' registers are free behind it.
template <int Unit>
__device__ __forceinline__ void stage_tile(unsigned char* tiles, const float (&sum)[kSums][kSums])
{
    stage_sums<Unit>(shared_address(tiles), sum, 0);
}
