namespace CrossAlign.Models.Images.Jpeg;

/// <summary>Decodes the data of one scan.</summary>
/// <param name="frame">The frame.</param>
/// <param name="components">The components of the scan.</param>
/// <param name="first">Its first coefficient, in zigzag order.</param>
/// <param name="last">Its last.</param>
/// <param name="high">Bits that earlier scans left for later; 0 = this is the first of these coefficients.</param>
/// <param name="low">Bits that this scan leaves for later.</param>
/// <param name="restartInterval">Units from a restart marker to the next; 0 = none.</param>
internal sealed class JpegScan(JpegFrame frame, JpegComponent[] components, int first, int last, int high, int low, int restartInterval)
{
    private readonly short[] _block = new short[64];
    private int _endOfBandRun;

    /// <summary>Natural positions in zigzag order.</summary>
    public static ReadOnlySpan<byte> Zigzag =>
    [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
        35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];

    /// <summary>Decodes the scan.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="position">Where the scan's data begins.</param>
    /// <returns>Where it ends: at a marker, or before bytes that mean nothing.</returns>
    public int Decode(ReadOnlySpan<byte> bytes, int position)
    {
        JpegBitReader reader = new(bytes, position);
        bool alone = components.Length == 1;
        int columns = alone ? components[0].RealBlocksPerRow : frame.UnitColumns;
        int rows = alone ? components[0].RealBlockRows : frame.UnitRows;
        int units = 0;
        int restarts = 0;
        Reset();
        for (int y = 0; y < rows; y++)
        {
            for (int x = 0; x < columns; x++, units++)
            {
                if (restartInterval > 0 && units > 0 && units % restartInterval == 0)
                {
                    reader.Restart(restarts++ & 7);
                    Reset();
                }

                if (alone)
                {
                    DecodeBlock(ref reader, components[0], x, y);
                }
                else
                {
                    DecodeUnit(ref reader, x, y);
                }
            }
        }

        return reader.Position;
    }

    private void Reset()
    {
        _endOfBandRun = 0;
        foreach (JpegComponent c in components)
        {
            c.Predictor = 0;
        }
    }

    private void DecodeUnit(ref JpegBitReader reader, int x, int y)
    {
        foreach (JpegComponent c in components)
        {
            for (int v = 0; v < c.V; v++)
            {
                for (int h = 0; h < c.H; h++)
                {
                    DecodeBlock(ref reader, c, (x * c.H) + h, (y * c.V) + v);
                }
            }
        }
    }

    private void DecodeBlock(ref JpegBitReader reader, JpegComponent c, int x, int y)
    {
        if (!frame.Progressive)
        {
            Array.Clear(_block);
            DecodeSequential(ref reader, c);
            JpegInverseTransform.Run(_block, c.Quantization, c.Samples.AsSpan((8 * y * c.Stride) + (8 * x)), c.Stride);
            return;
        }

        Span<short> block = c.Coefficients.AsSpan(64 * ((y * c.BlocksPerRow) + x), 64);
        if (first == 0)
        {
            DecodeDc(ref reader, c, block);
        }
        else if (high == 0)
        {
            DecodeAcFirst(ref reader, c, block);
        }
        else
        {
            DecodeAcRefined(ref reader, c, block);
        }
    }

    private void DecodeSequential(ref JpegBitReader reader, JpegComponent c)
    {
        c.Predictor += reader.Signed(reader.Symbol(c.Dc!));
        _block[0] = (short)c.Predictor;
        for (int k = 1; k < 64; k++)
        {
            int symbol = reader.Symbol(c.Ac!);
            (int run, int size) = (symbol >> 4, symbol & 15);
            if (size == 0)
            {
                if (run != 15)
                {
                    break;
                }

                k += 15;
                continue;
            }

            k = Advance(k, run, 63);
            _block[Zigzag[k]] = (short)reader.Signed(size);
        }
    }

    private static int Advance(int k, int run, int last) =>
        k + run <= last ? k + run : throw new ImageFormatException("is a damaged JPEG: a block has too many coefficients");

    private void DecodeDc(ref JpegBitReader reader, JpegComponent c, Span<short> block)
    {
        if (high == 0)
        {
            c.Predictor += reader.Signed(reader.Symbol(c.Dc!));
            block[0] = (short)(c.Predictor << low);
        }
        else if (reader.Bits(1) == 1)
        {
            block[0] |= (short)(1 << low);
        }
    }

    private void DecodeAcFirst(ref JpegBitReader reader, JpegComponent c, Span<short> block)
    {
        if (_endOfBandRun > 0)
        {
            _endOfBandRun--;
            return;
        }

        for (int k = first; k <= last; k++)
        {
            int symbol = reader.Symbol(c.Ac!);
            (int run, int size) = (symbol >> 4, symbol & 15);
            if (size > 0)
            {
                k = Advance(k, run, last);
                block[Zigzag[k]] = (short)(reader.Signed(size) << low);
            }
            else if (run == 15)
            {
                k += 15;
            }
            else
            {
                _endOfBandRun = (1 << run) + reader.Bits(run) - 1;
                break;
            }
        }
    }

    private void DecodeAcRefined(ref JpegBitReader reader, JpegComponent c, Span<short> block)
    {
        int k = first;
        if (_endOfBandRun == 0)
        {
            for (; k <= last; k++)
            {
                int symbol = reader.Symbol(c.Ac!);
                (int run, int size) = (symbol >> 4, symbol & 15);
                int value = 0;
                if (size > 0)
                {
                    value = reader.Bits(1) == 1 ? 1 << low : -1 << low;
                }
                else if (run < 15)
                {
                    _endOfBandRun = (1 << run) + reader.Bits(run);
                    break;
                }

                k = Refine(ref reader, block, k, run);
                if (value != 0)
                {
                    block[Zigzag[Advance(k, 0, last)]] = (short)value;
                }
            }
        }

        if (_endOfBandRun > 0)
        {
            Refine(ref reader, block, k, int.MaxValue);
            _endOfBandRun--;
        }
    }

    /// <summary>Refines the coefficients there are, passes over so many that are zero, and stops at the zero behind these.</summary>
    private int Refine(ref JpegBitReader reader, Span<short> block, int k, int zeros)
    {
        for (; k <= last; k++)
        {
            ref short coefficient = ref block[Zigzag[k]];
            if (coefficient == 0)
            {
                if (zeros-- == 0)
                {
                    break;
                }
            }
            else if (reader.Bits(1) == 1 && (coefficient & (1 << low)) == 0)
            {
                coefficient += (short)(coefficient > 0 ? 1 << low : -1 << low);
            }
        }

        return k;
    }
}
