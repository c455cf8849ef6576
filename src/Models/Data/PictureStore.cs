namespace CrossAlign.Models.Data;

/// <summary>
/// Square RGB pictures of one size held in memory without a header each: uint8 [N, S, S, 3], read in any order without allocation.
/// </summary>
public sealed class PictureStore
{
    // An array of .NET holds at most 2^31 elements, so the pictures lie in blocks of about a quarter of a gigabyte.
    private const int BlockByteCount = 1 << 28;

    private readonly byte[][] _blocks;
    private readonly int _picturesPerBlock;

    /// <summary>Makes room for pictures, all black.</summary>
    /// <param name="size">Height and width in pixels, 1 to 4,096.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size outside 1 to 4,096 or a negative count.</exception>
    public PictureStore(int size, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, 4096);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Size = size;
        Count = count;
        PictureByteCount = 3 * size * size;
        _picturesPerBlock = Math.Max(1, BlockByteCount / PictureByteCount);
        _blocks = new byte[(count + _picturesPerBlock - 1) / _picturesPerBlock][];
        for (int i = 0; i < _blocks.Length; i++)
        {
            _blocks[i] = new byte[(long)Math.Min(_picturesPerBlock, count - (i * _picturesPerBlock)) * PictureByteCount];
        }
    }

    private PictureStore(PictureStore whole, int count)
    {
        Size = whole.Size;
        Count = count;
        PictureByteCount = whole.PictureByteCount;
        _picturesPerBlock = whole._picturesPerBlock;
        _blocks = whole._blocks;
    }

    /// <summary>Height and width of every picture in pixels.</summary>
    public int Size { get; }

    /// <summary>How many pictures there are.</summary>
    public int Count { get; }

    /// <summary>Bytes of one picture: 3 S S.</summary>
    public int PictureByteCount { get; }

    /// <summary>One picture: uint8 [S, S, 3], rows from the top, channels red, green, blue.</summary>
    /// <param name="picture">Its index.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such picture.</exception>
    public ReadOnlySpan<byte> this[int picture] => Slot(picture);

    /// <summary>The place of one picture, to be filled while a data set is made.</summary>
    /// <param name="picture">Its index.</param>
    /// <returns>uint8 [S, S, 3].</returns>
    /// <exception cref="ArgumentOutOfRangeException">No such picture.</exception>
    internal Span<byte> Slot(int picture)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(picture);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(picture, Count);
        (int block, int place) = Math.DivRem(picture, _picturesPerBlock);
        return _blocks[block].AsSpan(place * PictureByteCount, PictureByteCount);
    }

    /// <summary>Leaves out pictures; this store is not to be used afterwards, its memory goes over.</summary>
    /// <param name="keep">Whether to keep a picture.</param>
    /// <returns>The pictures that are kept, in order.</returns>
    internal PictureStore Keep(Func<int, bool> keep)
    {
        int kept = 0;
        for (int i = 0; i < Count; i++)
        {
            if (keep(i))
            {
                if (kept < i)
                {
                    Slot(i).CopyTo(Slot(kept));
                }

                kept++;
            }
        }

        return new(this, kept);
    }
}
