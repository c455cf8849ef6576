using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// A live piece of the device's memory with its shadows: one bit a byte says what was written, and for each cell of 1, 2 or 4 bytes the
/// last writer and the readers of the running launch (see <see cref="RaceTag"/>).
/// </summary>
internal sealed unsafe class Allocation : IDisposable
{
    private const int SectorByteCount = 32;

    private readonly Lock _lock = new();

    public Allocation(ulong address, long byteCount)
    {
        Address = address;
        ByteCount = byteCount;
        nuint padded = (nuint)((byteCount + 63) / 64 * 64) + 64;
        Data = (byte*)NativeMemory.AlignedAlloc(padded, 64);

        // What was never written is no zero on a device either.
        new Span<byte>(Data, checked((int)Math.Min((long)padded, int.MaxValue))).Fill(0xA5);
        InitialisedByteCount = (nuint)((byteCount + 63) / 64 * 8) + 8;
        Initialised = (byte*)NativeMemory.AllocZeroed(InitialisedByteCount);
    }

    public ulong Address { get; }

    public long ByteCount { get; }

    public byte* Data { get; private set; }

    /// <summary>A bit a byte: written since it was allocated.</summary>
    public byte* Initialised { get; private set; }

    /// <summary>True when every byte is known to have been written; spares looking at the bits.</summary>
    public volatile bool IsAllInitialised;

    public ulong* Writers { get; private set; }

    public ulong* Readers { get; private set; }

    private nuint InitialisedByteCount { get; }

    // For each sector of 32 bytes the number, plus one, of the last launch that read what it had not itself written.
    private int[]? _readIn;
    private int _cellShift = -1;
    private volatile int _preparedLaunch = -1;

    /// <summary>Makes the race shadow ready for a launch; cheap when it already is.</summary>
    public void PrepareRaceShadow(int launch, int cellShift)
    {
        if (_preparedLaunch == launch)
        {
            return;
        }

        lock (_lock)
        {
            if (_preparedLaunch == launch)
            {
                return;
            }

            nuint cells = (nuint)(ByteCount >> cellShift) + 16;
            if (_cellShift != cellShift || Writers == null)
            {
                NativeMemory.Free(Writers);
                NativeMemory.Free(Readers);
                Writers = (ulong*)NativeMemory.AllocZeroed(cells, sizeof(ulong));
                Readers = (ulong*)NativeMemory.AllocZeroed(cells, sizeof(ulong));
                _cellShift = cellShift;
            }
            else if (launch / RaceTag.LaunchCount != _preparedLaunch / RaceTag.LaunchCount)
            {
                // The launch's number has wrapped round: old tags could be taken for new ones.
                NativeMemory.Clear(Writers, cells * sizeof(ulong));
                NativeMemory.Clear(Readers, cells * sizeof(ulong));
            }

            _preparedLaunch = launch;
        }
    }

    /// <summary>Marks bytes as written.</summary>
    public void MarkInitialised(long offset, long byteCount)
    {
        if (offset == 0 && byteCount == ByteCount)
        {
            new Span<byte>(Initialised, checked((int)InitialisedByteCount)).Fill(0xFF);
            IsAllInitialised = true;
            return;
        }

        SetBits(offset, byteCount, true);
    }

    /// <summary>Marks bytes as never written.</summary>
    public void MarkUninitialised(long offset, long byteCount)
    {
        IsAllInitialised = false;
        SetBits(offset, byteCount, false);
    }

    /// <summary>Copies which bytes are initialised along with a copy of the bytes themselves.</summary>
    public void CopyInitialised(long offset, Allocation source, long sourceOffset, long byteCount)
    {
        if (source.IsAllInitialised)
        {
            MarkInitialised(offset, byteCount);
            return;
        }

        for (long i = 0; i < byteCount; i++)
        {
            SetBits(offset + i, 1, source.IsInitialised(sourceOffset + i));
        }

        IsAllInitialised = false;
    }

    public bool IsInitialised(long offset) => (Initialised[offset >> 3] & (1 << (int)(offset & 7))) != 0;

    /// <summary>After a launch: finds out whether all of it is written by now.</summary>
    public void Refresh()
    {
        if (IsAllInitialised)
        {
            return;
        }

        long whole = ByteCount / 8;
        ReadOnlySpan<byte> bits = new(Initialised, checked((int)whole));
        if (bits.IndexOfAnyExcept((byte)0xFF) >= 0)
        {
            return;
        }

        for (long i = whole * 8; i < ByteCount; i++)
        {
            if (!IsInitialised(i))
            {
                return;
            }
        }

        IsAllInitialised = true;
    }

    /// <summary>Marks the sector of an access as read from memory by the running launch, unless it has written there before: then a cache has it.</summary>
    /// <param name="me">The race tag of a thread of the launch.</param>
    /// <param name="offset">Where the access is.</param>
    /// <param name="byteCount">Its bytes, which lie in one sector.</param>
    public void MarkSectorRead(ulong me, long offset, int byteCount)
    {
        int[] readIn = LazyInitializer.EnsureInitialized(ref _readIn, () => new int[(ByteCount / SectorByteCount) + 1]);
        for (long i = offset >> _cellShift; i <= (offset + byteCount - 1) >> _cellShift; i++)
        {
            if (RaceTag.IsStale(Writers[i], me))
            {
                readIn[offset / SectorByteCount] = _preparedLaunch + 1;
                return;
            }
        }
    }

    /// <summary>How many sectors a launch that has ended, and was the last to touch this, has read from memory, and how many it has written.</summary>
    public (long Read, long Written) SectorCounts(int launch)
    {
        if (_preparedLaunch != launch)
        {
            return (0, 0);
        }

        ulong tag = RaceTag.Launch(launch, 0);
        int cells = SectorByteCount >> _cellShift;
        long count = (ByteCount >> _cellShift) + 1;
        long written = 0;
        for (long first = 0; first < count; first += cells)
        {
            for (long i = first; i < Math.Min(first + cells, count); i++)
            {
                if (!RaceTag.IsStale(Writers[i], tag))
                {
                    written++;
                    break;
                }
            }
        }

        return (_readIn?.LongCount(l => l == launch + 1) ?? 0, written);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Data);
        NativeMemory.Free(Initialised);
        NativeMemory.Free(Writers);
        NativeMemory.Free(Readers);
        Data = null;
        Initialised = null;
        Writers = null;
        Readers = null;
    }

    private void SetBits(long offset, long byteCount, bool value)
    {
        for (long i = offset; i < offset + byteCount;)
        {
            if ((i & 7) == 0 && offset + byteCount - i >= 8)
            {
                long bytes = (offset + byteCount - i) / 8;
                new Span<byte>(Initialised + (i >> 3), checked((int)bytes)).Fill(value ? (byte)0xFF : (byte)0);
                i += bytes * 8;
                continue;
            }

            byte bit = (byte)(1 << (int)(i & 7));
            Initialised[i >> 3] = (byte)(value ? Initialised[i >> 3] | bit : Initialised[i >> 3] & ~bit);
            i++;
        }
    }
}
