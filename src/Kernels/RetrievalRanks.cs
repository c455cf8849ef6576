using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Retrieval by inner product without the matrix of scores: rows of queries are scored against the pool a block at a time.
/// Deterministic on every backend.
/// </summary>
public static class RetrievalRanks
{
    /// <summary>
    /// The rank of each query's target: 1 plus the number of other rows of the pool whose score is not below the target's. Ties count
    /// against the query, and so do scores that are not numbers.
    /// </summary>
    /// <param name="queries">(Q, E), float32 or bfloat16.</param>
    /// <param name="pool">(K, E), the type of <paramref name="queries"/>.</param>
    /// <param name="targets">(Q), int32, each from 0 to K - 1.</param>
    /// <param name="ranks">(Q), int32, each from 1 to K; overwritten.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A target names no row of the pool (on the CPU; on CUDA this is undefined).</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Run(in Tensor queries, in Tensor pool, in Tensor targets, in Tensor ranks)
    {
        Device device = CheckSides(queries, pool);
        Shape perQuery = new(queries.Shape[0]);
        Check.Is(targets, perQuery, DType.Int32, device);
        Check.Is(ranks, perQuery, DType.Int32, device);
        using OperationTimer timer = OperationTimer.Start(device, "RetrievalRanks");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuRetrievalRanks.Run(queries, pool, targets, ranks);
                break;
            case DeviceKind.Cuda:
                CudaRetrievalRanks.Run(queries, pool, targets, ranks);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>
    /// The k rows of the pool with the highest scores, best first; of equal scores the lower row comes first, and scores that are not
    /// numbers come last.
    /// </summary>
    /// <param name="queries">(Q, E), float32 or bfloat16.</param>
    /// <param name="pool">(K, E), the type of <paramref name="queries"/>.</param>
    /// <param name="indices">(Q, k), int32, k at most K; overwritten.</param>
    /// <param name="scores">(Q, k), float32: the scores of those rows; overwritten; absent where they are not wanted.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or k is above K.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void TopK(in Tensor queries, in Tensor pool, in Tensor indices, in Tensor scores = default)
    {
        Device device = CheckSides(queries, pool);
        if (!indices.IsPresent || indices.Shape.Rank != 2 || indices.Shape[1] > pool.Shape[0])
        {
            throw new ArgumentException(
                $"indices is {indices}; it must be Int32 ({queries.Shape[0]}, k) with k at most {pool.Shape[0]}.", nameof(indices));
        }

        Check.Is(indices, new Shape(queries.Shape[0], indices.Shape[1]), DType.Int32, device);
        Check.IsOrAbsent(scores, indices.Shape, DType.Float32, device);
        using OperationTimer timer = OperationTimer.Start(device, "RetrievalRanks.TopK");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuRetrievalRanks.TopK(queries, pool, indices, scores);
                break;
            case DeviceKind.Cuda:
                CudaRetrievalRanks.TopK(queries, pool, indices, scores);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static Device CheckSides(in Tensor queries, in Tensor pool)
    {
        Check.IsFloating(queries, 2);
        Check.IsFloating(pool, 2);
        Check.Is(pool, new Shape(pool.Shape[0], queries.Shape[1]), queries.DType, queries.Device);
        return queries.Device;
    }
}
