namespace CrossAlign.Runtime;

/// <summary>
/// How many of the first rows of some tensors count, read from the device when an operation runs: the tensors are then a capacity, and
/// one captured graph serves batches of any size up to it. A tensor is bound to it by <see cref="Tensor.WithLiveRows"/>, and by
/// nothing else; kernels neither read nor write the rows beyond the number, and where cuBLAS multiplies, which takes its sizes from the
/// host, what those rows hold is undefined.
/// </summary>
public sealed class LiveRows
{
    /// <summary>Names the number.</summary>
    /// <param name="capacity">The rows of the tensors that will be bound to it.</param>
    /// <param name="count">(1), int32, on a CUDA device: from 0 to <paramref name="capacity"/>; more is taken for the capacity.</param>
    /// <exception cref="ArgumentException"><paramref name="count"/> is not one int32 of a CUDA device: operations on the CPU take tensors as large as the batch.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is negative.</exception>
    public LiveRows(int capacity, in Tensor count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        if (!count.IsPresent || count.DType != DType.Int32 || count.Count != 1 || count.Device.Kind != DeviceKind.Cuda)
        {
            throw new ArgumentException($"The number of rows is one int32 of a CUDA device, not {count}.", nameof(count));
        }

        Capacity = capacity;
        Count = count;
    }

    /// <summary>The rows of the tensors that are bound.</summary>
    public int Capacity { get; }

    /// <summary>(1), int32: how many of them count.</summary>
    public Tensor Count { get; }
}
