using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// One place in a model where dropout acts, in one step. Whether a number is dropped is a pure function of the key, the site and
/// the number's own name (example, position, channel; in attention: example, query position, key position, head), never of its
/// place in a batch: micro-batches, replays and any number of threads drop the same numbers. The default value drops nothing.
/// </summary>
/// <remarks>
/// The number is kept if 24 bits of the counter-based stream (<see cref="CounterRng"/>), read as a fraction, are at least
/// <paramref name="Rate"/>; what is kept is multiplied by 1 / (1 - Rate). The counter is (channel / 4, position, example,
/// Site * 1024 + 1023) with word channel % 4, and in attention (key position / 4, query position, example, Site * 1024 + head)
/// with word key position % 4. Source: N. Srivastava et al., "Dropout", 2014, section 4, scaled when training.
/// </remarks>
/// <param name="Rate">The share that is dropped, from 0 to less than 1.</param>
/// <param name="Key">The run's seed mixed with the step; not read where <see cref="StoredKey"/> is present.</param>
/// <param name="Site">Which layer and which place in it; below 2^22.</param>
/// <param name="TokenKeys">(N, 2), int32: example and position of each packed token; may be absent where the rate is 0.</param>
public readonly record struct DropoutSite(float Rate, ulong Key, uint Site, Tensor TokenKeys)
{
    /// <summary>The greatest number of heads that attention with dropout can have.</summary>
    public const int MaxHeads = 1023;

    /// <summary>The shape of <see cref="StoredKey"/>.</summary>
    public static Shape StoredKeyShape => new(2);

    /// <summary>
    /// (2), int32: the key on the device of the operation, lower word first, which takes the place of <see cref="Key"/> and is read
    /// when the operation runs, not when it is issued: a replayed graph drops what the step drops whose key was written last
    /// (<see cref="WriteKey(ulong, in Tensor)"/>). Absent for a key that is known when the operation is issued.
    /// </summary>
    public Tensor StoredKey { get; init; }

    /// <summary>Whether anything is dropped.</summary>
    public bool IsActive => Rate > 0;

    /// <summary>Writes a key where <see cref="StoredKey"/> is read from; allocates nothing on the managed heap.</summary>
    /// <param name="key">The run's seed mixed with the step.</param>
    /// <param name="storedKey">(2), int32; overwritten.</param>
    /// <exception cref="ArgumentException"><paramref name="storedKey"/> is absent, or has another shape or type.</exception>
    public static void WriteKey(ulong key, in Tensor storedKey)
    {
        if (!storedKey.IsPresent)
        {
            throw new ArgumentException($"storedKey is absent; it must be {DType.Int32} {StoredKeyShape}.", nameof(storedKey));
        }

        Check.Is(storedKey, StoredKeyShape, DType.Int32, storedKey.Device);
        Span<int> numbers = stackalloc int[2];
        WriteKey(key, numbers);
        storedKey.CopyFrom<int>(numbers);
    }

    /// <summary>Writes a key as <see cref="StoredKey"/> holds it, for who takes it to the device otherwise.</summary>
    /// <param name="key">The run's seed mixed with the step.</param>
    /// <param name="numbers">(2); overwritten.</param>
    /// <exception cref="ArgumentException"><paramref name="numbers"/> has another length.</exception>
    public static void WriteKey(ulong key, Span<int> numbers)
    {
        if (numbers.Length != 2)
        {
            throw new ArgumentException($"A key is written to 2 numbers, not {numbers.Length}.", nameof(numbers));
        }

        numbers[0] = (int)(uint)key;
        numbers[1] = (int)(uint)(key >> 32);
    }

    /// <summary>The key of an operation on the CPU.</summary>
    internal ulong ReadKey()
    {
        if (!StoredKey.IsPresent)
        {
            return Key;
        }

        ReadOnlySpan<int> words = StoredKey.AsSpan<int>();
        return (uint)words[0] | ((ulong)(uint)words[1] << 32);
    }

    internal void CheckFor(int tokens, Device device)
    {
        if (!(Rate >= 0 && Rate < 1))
        {
            throw new ArgumentException($"The dropout rate is {Rate}; it must be at least 0 and less than 1.");
        }

        if (Site >= 1u << 22)
        {
            throw new ArgumentException($"The dropout site is {Site}; it must be below {1u << 22}.");
        }

        if (IsActive)
        {
            Tensor tokenKeys = TokenKeys;
            Tensor storedKey = StoredKey;
            Check.Is(tokenKeys, new Shape(tokens, 2), DType.Int32, device, nameof(TokenKeys));
            Check.IsOrAbsent(storedKey, StoredKeyShape, DType.Int32, device, nameof(StoredKey));
        }
    }
}
