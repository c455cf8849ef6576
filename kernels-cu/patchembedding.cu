// The first layer of a vision transformer, around its matrix product (matmul.cu): patches laid out as rows, positions added, and the
// sums over pictures that are the gradients of positions, class token and bias.
// Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, equation 1.
//
// Bytes: the gather reads 4 and writes 4 (2 as bfloat16) a pixel; the writer reads 4 and writes 4 (2) a result, and the positions; the
// sums read each gradient once. All sums run over the pictures in order: no atomics. Four channels are taken at a time where the host
// finds rows and addresses multiples of four elements (`wide`), else one.
//
// In a captured graph the pictures are a capacity, of which as many count as the device's memory says; blocks of the others exit.
#include "prelude.cuh"

namespace
{

constexpr int kThreadsPerBlock = 256;
constexpr int kRowVector = 4;

// rows (pictures (leading + patches), stride): `leading` rows of zeros, then the patches of a picture, row by row; a patch is channel,
// then line, then column. Behind the 3 size^2 values of a row zeros up to the stride. One block a row (x), of which there may be many, and a strip of it (y).
template <typename T>
__device__ __forceinline__ void gather(
    const float* pixels, T* rows, const int* live, int height, int width, int size, int leading, int stride)
{
    int column = (int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= stride || (live != nullptr && (int)blockIdx.x >= *live))
    {
        return;
    }

    int across = width / size;
    int patches = height / size * across;
    int row = (int)blockIdx.x;
    int picture = row / (leading + patches);
    int patch = row % (leading + patches) - leading;
    int area = size * size;
    float value = 0.0f;
    if (patch >= 0 && column < 3 * area)
    {
        int channel = column / area;
        int line = column % area / size;
        int y = patch / across * size + line;
        int x = patch % across * size + column % size;
        value = pixels[(((long long)picture * 3 + channel) * height + y) * width + x];
    }

    rows[(long long)row * stride + column] = from_float<T>(value);
}

template <typename T, int W>
__device__ __forceinline__ void write_row(
    const float* projected, const float* class_token, const float* position, T* y, const int* live, int patches, int c)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    int row = (int)blockIdx.x;
    int picture = row / (1 + patches);
    if (column >= c || (live != nullptr && picture * patches >= *live))
    {
        return;
    }

    int t = row % (1 + patches);
    const float* source = t == 0 ? class_token : projected + ((long long)picture * patches + t - 1) * c;
    float v[W], p[W];
    load_parameters(source + column, v);
    load_parameters(position + (long long)t * c + column, p);
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        v[k] += p[k];
    }

    store_floats(y + (long long)row * c + column, v);
}

template <typename T>
__device__ __forceinline__ void write(
    const float* projected, const float* class_token, const float* position, T* y, const int* live, int patches, int c, int wide)
{
    if (wide != 0)
    {
        write_row<T, kRowVector>(projected, class_token, position, y, live, patches, c);
    }
    else
    {
        write_row<T, 1>(projected, class_token, position, y, live, patches, c);
    }
}

template <typename T, int W>
__device__ __forceinline__ void sum_row(const T* dy, float* sums, float* d_position, float* d_class_token, int pictures, int patches, int c)
{
    int column = ((int)blockIdx.y * kThreadsPerBlock + (int)threadIdx.x) * W;
    if (column >= c)
    {
        return;
    }

    int t = (int)blockIdx.x;
    float sum[W];
#pragma unroll
    for (int k = 0; k < W; k++)
    {
        sum[k] = 0.0f;
    }

    for (int picture = 0; picture < pictures; picture++)
    {
        float v[W];
        load_floats(dy + ((long long)picture * (1 + patches) + t) * c + column, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            sum[k] += v[k];
        }
    }

    long long at = (long long)t * c + column;
    if (sums != nullptr)
    {
        store_parameters(sums + at, sum);
    }

    if (d_position != nullptr)
    {
        float v[W];
        load_parameters(d_position + at, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            v[k] += sum[k];
        }

        store_parameters(d_position + at, v);
    }

    if (d_class_token != nullptr && t == 0)
    {
        float v[W];
        load_parameters(d_class_token + column, v);
#pragma unroll
        for (int k = 0; k < W; k++)
        {
            v[k] += sum[k];
        }

        store_parameters(d_class_token + column, v);
    }
}

template <typename T>
__device__ __forceinline__ void sum_rows(
    const T* dy, float* sums, float* d_position, float* d_class_token, const int* live, int capacity, int patches, int c, int wide)
{
    int pictures = live_rows(live, capacity);
    if (wide != 0)
    {
        sum_row<T, kRowVector>(dy, sums, d_position, d_class_token, pictures, patches, c);
    }
    else
    {
        sum_row<T, 1>(dy, sums, d_position, d_class_token, pictures, patches, c);
    }
}

} // namespace

// Rows of each chunk of pictures that count, `rows` a picture. One block.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_counts(
    const int* live, int* counts, int pictures, int chunk, int rows, int chunks)
{
    for (int i = (int)threadIdx.x; i < chunks; i += kThreadsPerBlock)
    {
        counts[i] = max(0, min(chunk, live_rows(live, pictures) - i * chunk)) * rows;
    }
}

// live: how many of the rows count, or null.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_gather_f32(
    const float* pixels, float* rows, const int* live, int height, int width, int size, int leading, int stride)
{
    gather(pixels, rows, live, height, width, size, leading, stride);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_gather_bf16(
    const float* pixels, bf16* rows, const int* live, int height, int width, int size, int leading, int stride)
{
    gather(pixels, rows, live, height, width, size, leading, stride);
}

// y (pictures (1 + patches), c) = the class token, then projected (pictures patches, c), each with its position. live: how many of the
// projected rows count, or null.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_fwd_f32(
    const float* projected, const float* class_token, const float* position, float* y, const int* live, int patches, int c, int wide)
{
    write(projected, class_token, position, y, live, patches, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_fwd_bf16(
    const float* projected, const float* class_token, const float* position, bf16* y, const int* live, int patches, int c, int wide)
{
    write(projected, class_token, position, y, live, patches, c, wide);
}

// The sums of dy (pictures (1 + patches), c) over the pictures: to sums (1 + patches, c) where that is wanted, added to d_position
// (1 + patches, c) and, of the first row, to d_class_token (c) where they are. One block a row (x) and a strip of its columns (y).
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_bwd_f32(
    const float* dy, float* sums, float* d_position, float* d_class_token, const int* live, int pictures, int patches, int c, int wide)
{
    sum_rows(dy, sums, d_position, d_class_token, live, pictures, patches, c, wide);
}

extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_bwd_bf16(
    const bf16* dy, float* sums, float* d_position, float* d_class_token, const int* live, int pictures, int patches, int c, int wide)
{
    sum_rows(dy, sums, d_position, d_class_token, live, pictures, patches, c, wide);
}

// db (c) += the sums of all patches, in order. One thread a column.
extern "C" __global__ void __launch_bounds__(kThreadsPerBlock) patchembedding_bwd_bias(const float* sums, float* db, int patches, int c)
{
    int column = (int)blockIdx.x * kThreadsPerBlock + (int)threadIdx.x;
    if (column >= c)
    {
        return;
    }

    float bias = 0.0f;
    for (int t = 1; t <= patches; t++)
    {
        bias += sums[(long long)t * c + column];
    }

    db[column] += bias;
}
