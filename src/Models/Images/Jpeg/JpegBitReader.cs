namespace CrossAlign.Models.Images.Jpeg;

/// <summary>Reads the bits of a scan; at a marker or the end of the file it is an error to want more.</summary>
internal ref struct JpegBitReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private ulong _bits;
    private int _count;
    private int _padding;

    /// <summary>Starts to read.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="position">Where the scan begins.</param>
    public JpegBitReader(ReadOnlySpan<byte> bytes, int position)
    {
        _bytes = bytes;
        Position = position;
    }

    /// <summary>The next byte to be read.</summary>
    public int Position { get; private set; }

    /// <summary>Decodes a symbol.</summary>
    /// <param name="table">The table.</param>
    /// <returns>The symbol.</returns>
    public int Symbol(JpegHuffmanTable table)
    {
        int bits = Peek(16);
        int entry = table.Lookup[bits >> (16 - JpegHuffmanTable.LookupBits)];
        if (entry != 0)
        {
            Skip(entry >> 8);
            return entry & 255;
        }

        (int symbol, int length) = table.FindLong(bits);
        Skip(length);
        return symbol;
    }

    /// <summary>Reads bits as a number without sign.</summary>
    /// <param name="count">How many, 0 to 16.</param>
    /// <returns>The number.</returns>
    public int Bits(int count)
    {
        int value = Peek(count);
        Skip(count);
        return value;
    }

    /// <summary>Reads bits as a number with a sign (figure F.12 of the standard).</summary>
    /// <param name="count">How many, 0 to 16.</param>
    /// <returns>The number.</returns>
    public int Signed(int count)
    {
        int value = Bits(count);
        return count > 0 && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
    }

    /// <summary>Drops the bits of the running byte and takes a restart marker.</summary>
    /// <param name="number">The number it must have, 0 to 7.</param>
    public void Restart(int number)
    {
        (_bits, _count, _padding) = (0, 0, 0);
        while (Position + 2 < _bytes.Length && _bytes[Position] == 0xFF && _bytes[Position + 1] == 0xFF)
        {
            Position++;
        }

        if (Position + 2 > _bytes.Length || _bytes[Position] != 0xFF || _bytes[Position + 1] != 0xD0 + number)
        {
            throw new ImageFormatException("is a damaged JPEG: a restart marker is missing");
        }

        Position += 2;
    }

    private int Peek(int count)
    {
        while (_count < count)
        {
            Fill();
        }

        return (int)(_bits >> (_count - count)) & ((1 << count) - 1);
    }

    private void Skip(int count)
    {
        _count -= count;
        if (_count < _padding)
        {
            throw new ImageFormatException("is a damaged JPEG: its data ends early");
        }
    }

    private void Fill()
    {
        int next = 0;
        if (Position < _bytes.Length && _bytes[Position] != 0xFF)
        {
            next = _bytes[Position++];
        }
        else if (Position + 1 < _bytes.Length && _bytes[Position + 1] == 0)
        {
            next = 0xFF;
            Position += 2;
        }
        else
        {
            _padding += 8;
        }

        _bits = (_bits << 8) | (uint)next;
        _count += 8;
    }
}
