// Numbers sorted stably with the tokens they belong to, kDigitBits bits at a time from the lowest on: numbers below 2^8 in one sweep, a
// vocabulary of 250,000 in three. Source: D. E. Knuth, The Art of Computer Programming 3, 5.2.5, algorithm R; the order among the lanes of a
// warp by ballots: D. Merrill, A. Grimshaw, "High Performance and Scalable Radix Sorting", 2011.
//
// A sweep is three launches: each tile of kSortTile numbers is counted by digits; the counts are added up over the tiles; each tile is counted
// again and its numbers go where they belong. One tile alone needs the last launch only. No atomics: which place a number gets follows from
// the numbers. A warp has a run of its tile's numbers and goes along it kWarpSize at a time, which is what keeps the order.
#pragma once

#include "prelude.cuh"

namespace
{

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kSortWarps = 4;
constexpr int kSortThreads = kSortWarps * kWarpSize;
constexpr int kNumbersPerLane = 8;
constexpr int kNumbersPerWarp = kNumbersPerLane * kWarpSize;
constexpr int kSortTile = kSortWarps * kNumbersPerWarp;
constexpr int kTilesAtOnce = 4;

static_assert(kDigits == 2 * kSortThreads, "a thread adds up two digits");

struct SortCounts
{
    // Of each warp: numbers of each digit so far.
    __align__(16) int of_warp[kSortWarps][kDigits];
    int warp_totals[kSortWarps];
};

__device__ __forceinline__ unsigned lanes_before() { return (1u << lane_index()) - 1u; }

// rank: how many numbers of the same digit come before it in its warp. Behind the call the counts are whole for all threads.
__device__ __forceinline__ void rank_tile(
    const int* numbers, SortCounts& shared, int rows, int shift, int (&number)[kNumbersPerLane], int (&rank)[kNumbersPerLane])
{
    int* counts = shared.of_warp[warp_index()];
#pragma unroll
    for (int i = 0; i < kDigits / kWarpSize; i++)
    {
        counts[i * kWarpSize + lane_index()] = 0;
    }

    // The leaders of the first numbers add to what other lanes have cleared.
    __syncwarp();
    int first = (int)blockIdx.x * kSortTile + warp_index() * kNumbersPerWarp;
    int left = rows - first;
    const int* p = numbers + first + lane_index();
#pragma unroll
    for (int i = 0; i < kNumbersPerLane; i++)
    {
        number[i] = 0;
        rank[i] = 0;
        if (i * kWarpSize < left)
        {
            bool is_there = i * kWarpSize < left - lane_index();
            number[i] = is_there ? p[i * kWarpSize] : 0;
            int digit = (number[i] >> shift) & (kDigits - 1);
            unsigned there = __ballot_sync(kAllLanes, is_there ? 1 : 0);
            unsigned same = is_there ? there : ~there;
#pragma unroll
            for (int bit = 0; bit < kDigitBits; bit++)
            {
                int set = (digit >> bit) & 1;
                unsigned ones = __ballot_sync(kAllLanes, set);
                same &= set != 0 ? ones : ~ones;
            }

            unsigned before = same & lanes_before();
            rank[i] = counts[digit] + __popc(before);

            // All have read the count before one of them adds to it; and it is added before the next numbers read it.
            __syncwarp();
            if (is_there && before == 0)
            {
                counts[digit] += __popc(same);
            }

            __syncwarp();
        }
    }

    __syncthreads();
}

__device__ __forceinline__ void count_tile(const int* numbers, int* counts, SortCounts& shared, int rows, int shift)
{
    int number[kNumbersPerLane], rank[kNumbersPerLane];
    rank_tile(numbers, shared, rows, shift, number, rank);
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        int digit = half * kSortThreads + (int)threadIdx.x;
        int count = 0;
#pragma unroll
        for (int w = 0; w < kSortWarps; w++)
        {
            count += shared.of_warp[w][digit];
        }

        counts[(long long)blockIdx.x * kDigits + digit] = count;
    }
}

// A lane has a digit, a warp a run of the tiles.
__device__ __forceinline__ void add_up_tiles(int* counts, int* totals, int (&sums)[kSortWarps][kWarpSize], int rows)
{
    int tiles = (rows + kSortTile - 1) / kSortTile;
    int per_warp = (tiles + kSortWarps - 1) / kSortWarps;
    int first = min(warp_index() * per_warp, tiles);
    int end = min(first + per_warp, tiles);
    int digit = (int)blockIdx.x * kWarpSize + lane_index();
    int* p = counts + digit;
    int sum = 0;
#pragma unroll kTilesAtOnce
    for (int tile = first; tile < end; tile++)
    {
        sum += p[(long long)tile * kDigits];
    }

    sums[warp_index()][lane_index()] = sum;

    // What the warps with the tiles before have counted.
    __syncthreads();
    int before = 0;
    int total = 0;
#pragma unroll
    for (int w = 0; w < kSortWarps; w++)
    {
        int of_warp = sums[w][lane_index()];
        before += w < warp_index() ? of_warp : 0;
        total += of_warp;
    }

    for (int tile = first; tile < end; tile++)
    {
        int count = p[(long long)tile * kDigits];
        p[(long long)tile * kDigits] = before;
        before += count;
    }

    if (warp_index() == 0)
    {
        totals[digit] = total;
    }
}

__device__ __forceinline__ void place_tile(
    const int* tokens, const int* numbers, const int* counts, const int* totals, int* tokens_out, int* numbers_out, SortCounts& shared, int rows, int shift)
{
    int number[kNumbersPerLane], rank[kNumbersPerLane];
    rank_tile(numbers, shared, rows, shift, number, rank);

    // Two digits a thread: how many numbers have a smaller one, in all tiles.
    int digit = 2 * (int)threadIdx.x;
    int low = 0;
    int high = 0;
    if (counts == nullptr)
    {
#pragma unroll
        for (int w = 0; w < kSortWarps; w++)
        {
            low += shared.of_warp[w][digit];
            high += shared.of_warp[w][digit + 1];
        }
    }
    else
    {
        low = totals[digit];
        high = totals[digit + 1];
    }

    int sum = low + high;
#pragma unroll
    for (int d = 1; d < kWarpSize; d <<= 1)
    {
        int below = __shfl_up_sync(kAllLanes, sum, (unsigned)d);
        sum += lane_index() >= d ? below : 0;
    }

    if (lane_index() == kWarpSize - 1)
    {
        shared.warp_totals[warp_index()] = sum;
    }

    // The sums of the warps with smaller digits.
    __syncthreads();
    int start = sum - low - high;
#pragma unroll
    for (int w = 0; w < kSortWarps; w++)
    {
        start += w < warp_index() ? shared.warp_totals[w] : 0;
    }

    int start_high = start + low;
    if (counts != nullptr)
    {
        start += counts[(long long)blockIdx.x * kDigits + digit];
        start_high += counts[(long long)blockIdx.x * kDigits + digit + 1];
    }

#pragma unroll
    for (int w = 0; w < kSortWarps; w++)
    {
        int count = shared.of_warp[w][digit];
        int count_high = shared.of_warp[w][digit + 1];
        shared.of_warp[w][digit] = start;
        shared.of_warp[w][digit + 1] = start_high;
        start += count;
        start_high += count_high;
    }

    // The places of all digits are there before they are looked up.
    __syncthreads();
    int first = (int)blockIdx.x * kSortTile + warp_index() * kNumbersPerWarp + lane_index();
    int left = rows - first;
#pragma unroll
    for (int i = 0; i < kNumbersPerLane; i++)
    {
        if (i * kWarpSize < left)
        {
            int at = first + i * kWarpSize;
            int place = shared.of_warp[warp_index()][(number[i] >> shift) & (kDigits - 1)] + rank[i];
            tokens_out[place] = tokens == nullptr ? at : tokens[at];
            numbers_out[place] = number[i];
        }
    }
}

} // namespace
