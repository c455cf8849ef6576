// The operands of a tile of tile_product.cuh: where they lie in shared memory, and how they get there.
#pragma once
#include "tensor_core.cuh"

enum : int
{
    kBFloat16 = 0,
    kTf32 = 1,
    kFloat32 = 2,
};

constexpr int kTile = 128;
constexpr int kTileThreads = 256;
constexpr int kStepBytes = 64;
constexpr int kStages = 3;
constexpr int kOperandBytes = kTile * kStepBytes;
constexpr int kStageBytes = 2 * kOperandBytes;
constexpr int kTileSharedBytes = kStages * kStageBytes;
constexpr int kPiece = 16;
static_assert(kTileSharedBytes <= 48 * 1024, "shared memory that a kernel declares is at most 48 KiB");

// Sums of a thread: rows i and columns j, see sum_row and sum_column.
constexpr int kSums = 8;

template <int Unit>
constexpr int kElementBytes = Unit == kBFloat16 ? 2 : 4;

template <int Unit>
constexpr int kStepDepth = kStepBytes / kElementBytes<Unit>;

// After how many steps a chain of the tensor cores ends: 64 deep.
template <int Unit>
constexpr int kChainSteps = 64 / kStepDepth<Unit>;

// An operand: `lines` rows (of a) or columns (of b), `depth` deep. Stride in bytes, from line to line or from depth to depth.
struct TileOperand
{
    const unsigned char* data;
    long long stride;
    int lines;
    int depth;
};

template <int Unit>
__device__ __forceinline__ int depth_steps(int depth)
{
    return (depth + kStepDepth<Unit> - 1) / kStepDepth<Unit>;
}

// The place of a sum in the tile. Columns come in pairs side by side; on the plain cores in fours.
__device__ __forceinline__ int sum_row(int thread, int i) { return ((thread >> 7) << 6) + i * 8 + ((thread & 31) >> 2); }

template <int Unit>
__device__ __forceinline__ int sum_column(int thread, int j)
{
    int t = thread & 3;
    int first = thread & 96;
    if constexpr (Unit == kFloat32)
    {
        return first + ((j >> 2) << 4) + ((t & 1) << 3) + ((t >> 1) << 2) + (j & 3);
    }
    else
    {
        return first + ((j >> 1) << 3) + (t << 1) + (j & 1);
    }
}

// By depth: four pieces a line. Eight lines in a row, and lines 4 apart of 16, are on different banks.
__device__ __forceinline__ int depth_place(int line, int piece)
{
    return line * kStepBytes + ((piece ^ ((line >> 1) & 3) ^ ((line >> 3) & 1)) << 4);
}

// By lines: 16 or 32 pieces a depth. For ldmatrix eight depths, for single words four depths of two pieces are on different banks.
template <int Unit>
__device__ __forceinline__ int lines_place(int depth, int piece)
{
    int turn = Unit == kBFloat16 ? depth & 7 : (depth & 3) << 1;
    return depth * (kTile * kElementBytes<Unit>) + ((piece ^ turn) << 4);
}

// Shared memory by 32-bit addresses: one base and offsets. Through pointers, the compiler keeps dozens of 64-bit addresses in registers.
__device__ __forceinline__ unsigned load_shared_word(unsigned address)
{
    unsigned x;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(address) : "memory");
    return x;
}

__device__ __forceinline__ float load_shared(unsigned address) { return __uint_as_float(load_shared_word(address)); }

__device__ __forceinline__ void load_shared(unsigned address, float (&v)[4])
{
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3]) : "r"(address) : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, float x)
{
    asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(x) : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, float x, float y)
{
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(x), "f"(y) : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, float x, float y, float z, float w)
{
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(x), "f"(y), "f"(z), "f"(w) : "memory");
}

template <int Unit, bool ByDepth>
__device__ __forceinline__ void load_step(unsigned to, const TileOperand& x, int first_line, int step, int thread)
{
    if constexpr (ByDepth)
    {
        int piece = thread & 3;
        int byte = step * kStepBytes + piece * kPiece;
        bool deep = byte < x.depth * kElementBytes<Unit>;
#pragma unroll
        for (int h = 0; h < kTile; h += kTileThreads / 4)
        {
            int line = (thread >> 2) + h;
            const unsigned char* from = x.data + (first_line + line) * x.stride + byte;
            cp_async_16_zfill(to + (unsigned)depth_place(line, piece), from, deep && first_line + line < x.lines ? kPiece : 0);
        }
    }
    else
    {
        constexpr int kPieces = kTile * kElementBytes<Unit> / kPiece;
        int piece = thread % kPieces;
        int byte = first_line * kElementBytes<Unit> + piece * kPiece;
        bool inside = byte < x.lines * kElementBytes<Unit>;
#pragma unroll
        for (int h = 0; h < kStepDepth<Unit>; h += kTileThreads / kPieces)
        {
            int depth = thread / kPieces + h;
            int at = step * kStepDepth<Unit> + depth;
            cp_async_16_zfill(
                to + (unsigned)lines_place<Unit>(depth, piece), x.data + at * x.stride + byte, inside && at < x.depth ? kPiece : 0);
        }
    }
}
