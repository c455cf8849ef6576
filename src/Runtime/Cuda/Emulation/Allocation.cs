using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// A live piece of the device's memory with its shadows: one bit a byte says what was written, and for each cell of 1, 2 or 4 bytes the
/// last writer and the readers of the running launch (see <see cref="RaceTag"/>).
/// </summary>
internal sealed unsafe class Allocation : IDisposable
{
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

    /// <summary>How many sectors of 32 bytes a launch that has ended, and was the last to touch this, has read or written.</summary>
    public long TouchedSectorCount(int launch)
    {
        if (_preparedLaunch != launch)
        {
            return 0;
        }

        ulong tag = RaceTag.Launch(launch, 0);
        int cells = 32 >> _cellShift;
        long sectors = 0;
        for (long first = 0; first < ByteCount >> _cellShift; first += cells)
        {
            long end = Math.Min(first + cells, (ByteCount >> _cellShift) + 1);
            bool touched = false;
            for (long i = first; i < end && !touched; i++)
            {
                touched = !RaceTag.IsStale(Writers[i], tag) || !RaceTag.IsStale(Readers[i], tag);
            }

            sectors += touched ? 1 : 0;
        }

        return sectors;
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
