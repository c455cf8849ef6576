using System.Buffers.Binary;
using System.Globalization;

namespace CrossAlign.Models.Images.Jpeg;

/// <summary>
/// JPEG (ITU-T T.81): baseline, extended sequential and progressive, Huffman coded, 8 bits, one or three components. The samples are
/// those of libjpeg-turbo's defaults to the bit. Other processes are refused by name, data that ends early is an error.
/// </summary>
internal sealed class JpegDecoder
{
    private const int MostScans = 256;
    private const int MostBlocksInUnit = 10;

    private readonly ImageDecoder _settings;
    private readonly ushort[]?[] _quantization = new ushort[4][];
    private readonly JpegHuffmanTable?[] _dc = new JpegHuffmanTable[4];
    private readonly JpegHuffmanTable?[] _ac = new JpegHuffmanTable[4];
    private JpegFrame? _frame;
    private int _restartInterval;
    private int _scans;
    private int _orientation = ExifOrientation.Upright;
    private bool _isJfif;
    private int? _adobeTransform;

    private JpegDecoder(ImageDecoder settings) => _settings = settings;

    /// <summary>Whether a file begins as a JPEG.</summary>
    /// <param name="bytes">The file.</param>
    /// <returns>Whether it does.</returns>
    public static bool Matches(ReadOnlySpan<byte> bytes) => bytes is [0xFF, 0xD8] or [0xFF, 0xD8, 0xFF, ..];

    /// <summary>Decodes a file.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="settings">Limits and orientation.</param>
    /// <returns>The picture.</returns>
    public static RgbImage Decode(ReadOnlySpan<byte> bytes, ImageDecoder settings) => new JpegDecoder(settings).Decode(bytes);

    private static ImageFormatException Bad(string what) => new("is a damaged JPEG: " + what);

    private RgbImage Decode(ReadOnlySpan<byte> bytes)
    {
        int position = 2;
        while (true)
        {
            int marker = NextMarker(bytes, ref position);
            if (marker == 0xD9)
            {
                return Finish();
            }

            if (marker < 0)
            {
                // Nothing is missing from a sequential picture of which all the data is there.
                return _frame is { Progressive: false } && IsComplete() ? Finish() : throw Bad("it ends early");
            }

            int length = position + 2 <= bytes.Length ? BinaryPrimitives.ReadUInt16BigEndian(bytes[position..]) : 0;
            if (length < 2 || position + length > bytes.Length)
            {
                throw Bad("it ends early");
            }

            ReadOnlySpan<byte> segment = bytes.Slice(position + 2, length - 2);
            position += length;
            if (marker == 0xDA)
            {
                position = ReadScanHeader(segment).Decode(bytes, position);
            }
            else
            {
                ReadSegment(marker, segment, bytes.Length);
            }
        }
    }

    /// <summary>Finds the next marker with a segment, or the end.</summary>
    /// <returns>The marker; -1 at the end of the file.</returns>
    private static int NextMarker(ReadOnlySpan<byte> bytes, ref int position)
    {
        while (position + 1 < bytes.Length)
        {
            int next = bytes[position + 1];
            if (bytes[position] != 0xFF || next == 0xFF)
            {
                position++;
                continue;
            }

            position += 2;
            if (next == 0xD8)
            {
                throw Bad("it begins twice");
            }

            if (next is not (0 or 1 or (>= 0xD0 and <= 0xD7)))
            {
                return next;
            }
        }

        return -1;
    }

    private void ReadSegment(int marker, ReadOnlySpan<byte> segment, int fileBytes)
    {
        switch (marker)
        {
            case 0xC4:
                ReadHuffmanTables(segment);
                break;
            case 0xC0 or 0xC1 or 0xC2:
                _frame = _frame is null ? JpegFrame.Parse(segment, progressive: marker == 0xC2, fileBytes, _settings) : throw Bad("it has two frames");
                break;
            case 0xC3:
                throw ImageFormatException.Refused("a lossless JPEG");
            case 0xC5 or 0xC6 or 0xC7 or 0xDE or 0xDF:
                throw ImageFormatException.Refused("a hierarchical JPEG");
            case >= 0xC8 and <= 0xCF:
                throw ImageFormatException.Refused("a JPEG with arithmetic coding");
            case 0xF7:
                throw ImageFormatException.Refused("a JPEG-LS picture");
            case 0xDB:
                ReadQuantizationTables(segment);
                break;
            case 0xDD:
                _restartInterval = segment.Length == 2 ? BinaryPrimitives.ReadUInt16BigEndian(segment) : throw Bad("its restart interval is of a wrong length");
                break;
            case 0xE0 when segment.StartsWith("JFIF\0"u8):
                _isJfif = true;
                break;
            case 0xE1 when segment.StartsWith("Exif\0\0"u8):
                _orientation = ExifOrientation.Read(segment[6..]);
                break;
            case 0xEE when segment.StartsWith("Adobe"u8) && segment.Length >= 12:
                _adobeTransform = segment[11];
                break;
        }
    }

    private void ReadQuantizationTables(ReadOnlySpan<byte> segment)
    {
        while (!segment.IsEmpty)
        {
            (int precision, int index) = (segment[0] >> 4, segment[0] & 15);
            int length = 1 + (64 << precision);
            if (precision > 1 || index > 3 || segment.Length < length)
            {
                throw Bad("a quantisation table is out of range");
            }

            ushort[] table = new ushort[64];
            for (int i = 0; i < 64; i++)
            {
                table[JpegScan.Zigzag[i]] = precision == 0 ? segment[1 + i] : BinaryPrimitives.ReadUInt16BigEndian(segment[(1 + (2 * i))..]);
            }

            _quantization[index] = table;
            segment = segment[length..];
        }
    }

    private void ReadHuffmanTables(ReadOnlySpan<byte> segment)
    {
        if (segment.IsEmpty)
        {
            throw Bad("a Huffman table is empty");
        }

        while (!segment.IsEmpty)
        {
            (int kind, int index) = (segment[0] >> 4, segment[0] & 15);
            int symbols = 0;
            for (int i = 1; i <= 16 && i < segment.Length; i++)
            {
                symbols += segment[i];
            }

            if (kind > 1 || index > 3 || symbols > 256 || segment.Length < 17 + symbols)
            {
                throw Bad("a Huffman table is out of range");
            }

            (kind == 0 ? _dc : _ac)[index] = new(segment.Slice(1, 16), segment.Slice(17, symbols), isDc: kind == 0);
            segment = segment[(17 + symbols)..];
        }
    }

    private JpegScan ReadScanHeader(ReadOnlySpan<byte> segment)
    {
        JpegFrame frame = _frame ?? throw Bad("its frame header is missing");
        int count = segment.IsEmpty ? 0 : segment[0];
        if (count is < 1 or > 4 || segment.Length != 4 + (2 * count))
        {
            throw Bad("a scan header is of a wrong length");
        }

        if (++_scans > MostScans)
        {
            throw Bad(string.Create(CultureInfo.InvariantCulture, $"it has more than {MostScans} scans"));
        }

        (int first, int last) = (segment[^3], segment[^2]);
        (int high, int low) = (segment[^1] >> 4, segment[^1] & 15);
        bool sound = frame.Progressive
            ? (first == 0 ? last == 0 : last is >= 1 and <= 63 && first <= last && count == 1) && low <= 13 && (high == 0 || high == low + 1)
            : (first, last, high, low) == (0, 63, 0, 0);
        if (!sound)
        {
            throw Bad("a scan's range of coefficients is wrong");
        }

        JpegComponent[] components = new JpegComponent[count];
        for (int i = 0; i < count; i++)
        {
            (int id, int tables) = (segment[1 + (2 * i)], segment[2 + (2 * i)]);
            JpegComponent c = frame.Components.FirstOrDefault(c => c.Id == id && !components.Contains(c)) ?? throw Bad("a scan is of a component that is not there");
            if (!frame.Progressive && c.Quantization is not null)
            {
                throw Bad("a component is there twice");
            }

            c.Quantization ??= _quantization[c.QuantizationIndex] ?? throw Bad("a quantisation table is missing");
            bool needsDc = first == 0 && high == 0;
            bool needsAc = last > 0;
            c.Dc = needsDc ? Table(_dc, tables >> 4) : null;
            c.Ac = needsAc ? Table(_ac, tables & 15) : null;
            components[i] = c;
        }

        return count > 1 && components.Sum(static c => c.H * c.V) > MostBlocksInUnit
            ? throw Bad("a unit has too many blocks")
            : new(frame, components, first, last, high, low, _restartInterval);
    }

    private static JpegHuffmanTable Table(JpegHuffmanTable?[] tables, int index) =>
        (index < tables.Length ? tables[index] : null) ?? throw Bad("a Huffman table is missing");

    private bool IsComplete() => _frame is not null && _frame.Components.All(static c => c.Quantization is not null);

    private RgbImage Finish()
    {
        JpegFrame frame = _frame ?? throw Bad("its frame header is missing");
        if (!IsComplete())
        {
            throw Bad("it holds no data");
        }

        if (frame.Progressive)
        {
            foreach (JpegComponent c in frame.Components)
            {
                Transform(c);
            }
        }

        RgbImage image = JpegColors.ToRgb(frame, IsRgb(frame.Components));
        return _settings.ApplyOrientation ? ExifOrientation.Apply(image, _orientation) : image;
    }

    private static void Transform(JpegComponent c)
    {
        for (int y = 0; y < c.RealBlockRows; y++)
        {
            for (int x = 0; x < c.RealBlocksPerRow; x++)
            {
                ReadOnlySpan<short> block = c.Coefficients.AsSpan(64 * ((y * c.BlocksPerRow) + x), 64);
                JpegInverseTransform.Run(block, c.Quantization, c.Samples.AsSpan((8 * y * c.Stride) + (8 * x)), c.Stride);
            }
        }

        c.Coefficients = [];
    }

    /// <summary>As libjpeg guesses: JFIF is luma and chroma, then Adobe's marker counts, then the components' numbers.</summary>
    private bool IsRgb(JpegComponent[] components) =>
        components.Length == 3 && !_isJfif && (_adobeTransform is { } transform
            ? transform == 0
            : (components[0].Id, components[1].Id, components[2].Id) == ('R', 'G', 'B'));
}
