using System.Globalization;

namespace CrossAlign.Runtime.Cuda;

/// <summary>The arguments of one launch, in the order of the kernel's parameters; lives on the stack. An absent tensor is a null pointer.</summary>
public unsafe ref struct KernelArguments
{
    /// <summary>The most arguments that a launch can have.</summary>
    public const int MaxCount = 48;

    private fixed ulong _values[MaxCount];
    private fixed byte _sizes[MaxCount];

    /// <summary>The number of arguments so far.</summary>
    public int Count { get; private set; }

    /// <summary>The address of a tensor's first element.</summary>
    /// <param name="tensor">A tensor on the device of the launch, or absent.</param>
    public void Add(in Tensor tensor) => Push(tensor.IsPresent ? (ulong)tensor.Address : 0, 8);

    /// <summary>An address of the device.</summary>
    /// <param name="address">As <see cref="CudaDevice.Scratch"/> gives it, or 0.</param>
    public void AddAddress(nint address) => Push((ulong)address, 8);

    /// <summary>Where the kernel finds the number of rows that count, or a null pointer where all do.</summary>
    /// <param name="input">A tensor whose rows the kernel maps to rows.</param>
    /// <param name="output">Another one, bound to the same number; absent for none.</param>
    /// <exception cref="ArgumentException">One of the two is bound to a number of rows that the other is not bound to.</exception>
    public void AddLiveRows(in Tensor input, in Tensor output = default)
    {
        if (output.IsPresent && !ReferenceEquals(input.LiveRows, output.LiveRows))
        {
            throw new ArgumentException("One of the tensors of an operation is bound to a number of live rows that another is not bound to.", nameof(output));
        }

        if (input.LiveRows is { } rows)
        {
            Add(rows.Count);
        }
        else
        {
            AddAddress(0);
        }
    }

    /// <summary>A 32-bit integer.</summary>
    /// <param name="value">The value.</param>
    public void Add(int value) => Push((uint)value, 4);

    /// <summary>A 32-bit unsigned integer.</summary>
    /// <param name="value">The value.</param>
    public void Add(uint value) => Push(value, 4);

    /// <summary>A 64-bit integer.</summary>
    /// <param name="value">The value.</param>
    public void Add(long value) => Push((ulong)value, 8);

    /// <summary>A 64-bit unsigned integer.</summary>
    /// <param name="value">The value.</param>
    public void Add(ulong value) => Push(value, 8);

    /// <summary>A float.</summary>
    /// <param name="value">The value.</param>
    public void Add(float value) => Push(BitConverter.SingleToUInt32Bits(value), 4);

    /// <summary>A double.</summary>
    /// <param name="value">The value.</param>
    public void Add(double value) => Push(BitConverter.DoubleToUInt64Bits(value), 8);

    /// <summary>A flag, as an int.</summary>
    /// <param name="value">The value.</param>
    public void Add(bool value) => Push(value ? 1u : 0u, 4);

    internal readonly void CheckAgainst(CudaKernel kernel)
    {
        ReadOnlySpan<byte> sizes = kernel.ParameterSizes;
        if (sizes.Length != Count)
        {
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{kernel.Name} takes {sizes.Length} arguments, {Count} were given."));
        }

        for (int i = 0; i < Count; i++)
        {
            if (_sizes[i] != sizes[i])
            {
                throw new ArgumentException(string.Create(
                    CultureInfo.InvariantCulture, $"Argument {i} of {kernel.Name} has {sizes[i]} bytes, {_sizes[i]} were given."));
            }
        }
    }

    // The struct lies on the caller's stack, so the addresses stay valid for the call.
    internal void Point(void** parameters)
    {
        fixed (ulong* values = _values)
        {
            for (int i = 0; i < Count; i++)
            {
                parameters[i] = values + i;
            }
        }
    }

    private void Push(ulong value, byte size)
    {
        if (Count == MaxCount)
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"A launch has at most {MaxCount} arguments."));
        }

        _values[Count] = value;
        _sizes[Count++] = size;
    }
}
