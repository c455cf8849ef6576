using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime;

/// <summary>
/// A dense row-major view of device memory: a value of a few words, so that slicing and reshaping in a training step put nothing
/// on the managed heap. It does not own the memory. The default value stands for "absent" (an optional bias, say).
/// </summary>
public readonly struct Tensor
{
    private readonly DeviceMemory? _memory;

    /// <summary>A view of a piece of memory.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="byteOffset">Where the first element lies; a multiple of the element size.</param>
    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Extents; the last dimension is contiguous.</param>
    /// <exception cref="ArgumentNullException"><paramref name="memory"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The view does not lie inside the memory or is misaligned.</exception>
    public Tensor(DeviceMemory memory, long byteOffset, DType dtype, Shape shape)
    {
        ArgumentNullException.ThrowIfNull(memory);
        long byteCount = checked(shape.Count * dtype.ByteSize());
        if (byteOffset < 0 || byteOffset % dtype.ByteSize() != 0 || byteOffset > memory.ByteCount - byteCount)
        {
            throw new ArgumentOutOfRangeException(
                nameof(byteOffset), byteOffset, $"A {dtype} tensor {shape} does not fit there into {memory.ByteCount} bytes.");
        }

        _memory = memory;
        ByteOffset = byteOffset;
        DType = dtype;
        Shape = shape;
    }

    /// <summary>Whether there is a tensor at all; false for the default value.</summary>
    public bool IsPresent => _memory is not null;

    /// <summary>The memory that the view shows.</summary>
    /// <exception cref="InvalidOperationException">The tensor is absent.</exception>
    public DeviceMemory Memory => _memory ?? throw new InvalidOperationException("The tensor is absent.");

    /// <summary>The device that the tensor lies on.</summary>
    /// <exception cref="InvalidOperationException">The tensor is absent.</exception>
    public Device Device => Memory.Device;

    /// <summary>Where the first element lies in <see cref="Memory"/>, in bytes.</summary>
    public long ByteOffset { get; }

    /// <summary>Element type.</summary>
    public DType DType { get; }

    /// <summary>Extents.</summary>
    public Shape Shape { get; }

    /// <summary>
    /// How many of the rows count, or null where all do. Operations on CUDA go by the tensors whose rows they map to rows, which must
    /// agree; a tensor made of this one by <see cref="Rows"/> names its rows itself and is not bound.
    /// </summary>
    public LiveRows? LiveRows { get; private init; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>The number of bytes.</summary>
    public long ByteCount => Shape.Count * DType.ByteSize();

    /// <summary>The address of the first element: of the process for the CPU, of the device for CUDA.</summary>
    /// <exception cref="InvalidOperationException">The tensor is absent.</exception>
    /// <exception cref="ObjectDisposedException">The memory was given back.</exception>
    public nint Address => Memory.Address + (nint)ByteOffset;

    /// <summary>The view of rows <paramref name="start"/> to <paramref name="start"/> + <paramref name="count"/> - 1.</summary>
    /// <param name="start">First row.</param>
    /// <param name="count">Number of rows; 0 is allowed.</param>
    /// <returns>A view of the same memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The rows do not lie inside the tensor.</exception>
    public Tensor Rows(int start, int count)
    {
        if (start < 0 || count < 0 || start > Shape[0] - count)
        {
            throw new ArgumentOutOfRangeException(nameof(start), start, $"{count} rows from there do not lie inside {Shape}.");
        }

        Shape rows = Shape.WithRows(count);
        long rowByteCount = Shape[0] == 0 ? 0 : ByteCount / Shape[0];
        return new Tensor(Memory, ByteOffset + (start * rowByteCount), DType, rows);
    }

    /// <summary>The same tensor, of which only the rows that <paramref name="rows"/> says count.</summary>
    /// <param name="rows">Of as many rows as the tensor has, on its device; null for all rows.</param>
    /// <returns>A view of the same memory.</returns>
    /// <exception cref="ArgumentException">The tensor has another number of rows, or lies on another device.</exception>
    /// <exception cref="InvalidOperationException">The tensor is absent.</exception>
    public Tensor WithLiveRows(LiveRows? rows) =>
        rows is null || (Shape.Rank > 0 && Shape[0] == rows.Capacity && ReferenceEquals(Device, rows.Count.Device))
            ? new Tensor(Memory, ByteOffset, DType, Shape) { LiveRows = rows }
            : throw new ArgumentException($"{this} on {Device.Name} cannot have {rows.Capacity} rows of {rows.Count.Device.Name}.", nameof(rows));

    /// <summary>The same elements with other extents.</summary>
    /// <param name="shape">Extents with the same number of elements; where only some rows count, of the same number of rows.</param>
    /// <returns>A view of the same memory.</returns>
    /// <exception cref="ArgumentException">The number of elements differs; or that of rows, where only some count.</exception>
    public Tensor Reshape(Shape shape)
    {
        if (shape.Count != Count)
        {
            throw new ArgumentException($"{Shape} has {Count} elements, {shape} has {shape.Count}.", nameof(shape));
        }

        Tensor tensor = new(Memory, ByteOffset, DType, shape);
        return LiveRows is null ? tensor : tensor.WithLiveRows(LiveRows);
    }

    /// <summary>The elements of a tensor on the CPU as a span.</summary>
    /// <typeparam name="T">A type of the element's size.</typeparam>
    /// <returns>A span over the memory itself.</returns>
    /// <exception cref="InvalidOperationException">The tensor is absent, not on the CPU, or <typeparamref name="T"/> has another size.</exception>
    public unsafe Span<T> AsSpan<T>()
        where T : unmanaged
    {
        return new Span<T>(Pointer<T>(), checked((int)Count));
    }

    /// <summary>The address of the first element of a tensor on the CPU, for the inner loops of operations.</summary>
    /// <typeparam name="T">A type of the element's size.</typeparam>
    /// <returns>The address; valid while the memory is held.</returns>
    /// <exception cref="InvalidOperationException">The tensor is absent, not on the CPU, or <typeparamref name="T"/> has another size.</exception>

    public unsafe T* Pointer<T>()
        where T : unmanaged
    {
        if (Device.Kind != DeviceKind.Cpu)
        {
            throw new InvalidOperationException($"The tensor lies on {Device.Name}: copy it to the host first.");
        }

        if (Unsafe.SizeOf<T>() != DType.ByteSize())
        {
            throw new InvalidOperationException($"{typeof(T).Name} is not the element type of a {DType} tensor.");
        }

        return (T*)Address;
    }

    /// <summary>Copies the elements to a new array on the host.</summary>
    /// <typeparam name="T">A type of the element's size.</typeparam>
    /// <returns>The elements in row-major order.</returns>
    /// <exception cref="InvalidOperationException">The tensor is absent or <typeparamref name="T"/> has another size.</exception>
    public T[] ToArray<T>()
        where T : unmanaged
    {
        CheckElement<T>();
        T[] values = new T[Count];
        Device.CopyToHost(this, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Overwrites the elements with values of the host.</summary>
    /// <typeparam name="T">A type of the element's size.</typeparam>
    /// <param name="values">As many values as the tensor has elements, row-major.</param>
    /// <exception cref="ArgumentException">The number of values differs.</exception>
    /// <exception cref="InvalidOperationException">The tensor is absent or <typeparamref name="T"/> has another size.</exception>
    public void CopyFrom<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        CheckElement<T>();
        Device.CopyFromHost(MemoryMarshal.AsBytes(values), this);
    }

    /// <summary>Type and extents, as error messages show them: <c>Float32 (128, 512)</c>.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => IsPresent ? $"{DType} {Shape}" : "absent";

    private void CheckElement<T>()
        where T : unmanaged
    {
        if (Unsafe.SizeOf<T>() != DType.ByteSize())
        {
            throw new InvalidOperationException($"{typeof(T).Name} is not the element type of a {DType} tensor.");
        }
    }
}
