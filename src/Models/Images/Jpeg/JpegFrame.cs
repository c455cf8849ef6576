using System.Buffers.Binary;
using System.Globalization;

namespace CrossAlign.Models.Images.Jpeg;

/// <summary>The frame header.</summary>
internal sealed class JpegFrame
{
    private JpegFrame(int width, int height, bool progressive, JpegComponent[] components)
    {
        (Width, Height, Progressive, Components) = (width, height, progressive, components);
        (MaxH, MaxV) = (components.Max(static c => c.H), components.Max(static c => c.V));
        (UnitColumns, UnitRows) = (CeilingOf(width, 8 * MaxH), CeilingOf(height, 8 * MaxV));
    }

    public int Width { get; }

    public int Height { get; }

    public bool Progressive { get; }

    public JpegComponent[] Components { get; }

    /// <summary>The largest horizontal sampling factor.</summary>
    public int MaxH { get; }

    /// <summary>The largest vertical sampling factor.</summary>
    public int MaxV { get; }

    /// <summary>Interleaved units in a row.</summary>
    public int UnitColumns { get; }

    /// <summary>Rows of interleaved units.</summary>
    public int UnitRows { get; }

    /// <summary>Reads and checks a frame header, and makes room for its samples.</summary>
    /// <param name="segment">The content of the segment.</param>
    /// <param name="progressive">Whether it is progressive.</param>
    /// <param name="fileBytes">The length of the file, which bounds what it can hold.</param>
    /// <param name="settings">The limit of the size.</param>
    /// <returns>The frame.</returns>
    public static JpegFrame Parse(ReadOnlySpan<byte> segment, bool progressive, int fileBytes, ImageDecoder settings)
    {
        if (segment.Length < 6 || segment.Length != 6 + (3 * segment[5]))
        {
            throw Bad("its frame header is of a wrong length");
        }

        if (segment[0] != 8)
        {
            throw segment[0] == 12
                ? ImageFormatException.Refused("a JPEG of 12 bits")
                : Bad(string.Create(CultureInfo.InvariantCulture, $"its samples have {segment[0]} bits"));
        }

        int height = BinaryPrimitives.ReadUInt16BigEndian(segment[1..]);
        int width = BinaryPrimitives.ReadUInt16BigEndian(segment[3..]);
        settings.CheckSize(width, height);
        JpegComponent[] components = new JpegComponent[segment[5]];
        if (components.Length is not (1 or 3))
        {
            throw components.Length == 4
                ? ImageFormatException.Refused("a CMYK JPEG")
                : Bad(string.Create(CultureInfo.InvariantCulture, $"it has {components.Length} components"));
        }

        for (int i = 0; i < components.Length; i++)
        {
            ReadOnlySpan<byte> c = segment.Slice(6 + (3 * i), 3);
            (int h, int v) = (c[1] >> 4, c[1] & 15);
            if (h is < 1 or > 4 || v is < 1 or > 4 || c[2] > 3)
            {
                throw Bad("a component's sampling factor or quantisation table is out of range");
            }

            components[i] = new() { Id = c[0], H = h, V = v, QuantizationIndex = c[2] };
        }

        if (components.DistinctBy(static c => c.Id).Count() < components.Length)
        {
            throw Bad("two components have the same number");
        }

        JpegFrame frame = new(width, height, progressive, components);
        frame.Allocate(fileBytes);
        return frame;
    }

    private static int CeilingOf(int a, int b) => (a + b - 1) / b;

    private static ImageFormatException Bad(string what) => new("is a damaged JPEG: " + what);

    private void Allocate(int fileBytes)
    {
        long blocks = 0;
        foreach (JpegComponent c in Components)
        {
            if (MaxH % c.H != 0 || MaxV % c.V != 0)
            {
                throw ImageFormatException.Refused("a JPEG with fractional sampling factors");
            }

            (c.Width, c.Height) = (CeilingOf(Width * c.H, MaxH), CeilingOf(Height * c.V, MaxV));
            (c.BlocksPerRow, c.BlockRows) = (UnitColumns * c.H, UnitRows * c.V);
            blocks += (long)c.RealBlocksPerRow * c.RealBlockRows;
        }

        // A block takes at least a bit for its first coefficient, and without progression another for the end of the rest.
        if (blocks > 8L * fileBytes / (Progressive ? 1 : 2))
        {
            throw Bad(string.Create(CultureInfo.InvariantCulture, $"{fileBytes} bytes cannot hold {Width} x {Height} pixels"));
        }

        foreach (JpegComponent c in Components)
        {
            long samples = 64L * c.BlocksPerRow * c.BlockRows;
            if (samples > Array.MaxLength)
            {
                throw new ImageFormatException("is too large");
            }

            c.Samples = new byte[samples];
            c.Coefficients = Progressive ? new short[samples] : [];
        }
    }
}
