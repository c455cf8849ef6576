namespace CrossAlign.Models.Images.Jpeg;

/// <summary>One component of a frame.</summary>
internal sealed class JpegComponent
{
    /// <summary>The number it goes by.</summary>
    public required int Id { get; init; }

    /// <summary>Horizontal sampling factor, 1 to 4.</summary>
    public required int H { get; init; }

    /// <summary>Vertical sampling factor, 1 to 4.</summary>
    public required int V { get; init; }

    /// <summary>The number of its quantisation table.</summary>
    public required int QuantizationIndex { get; init; }

    /// <summary>Samples in a row, without padding.</summary>
    public int Width { get; set; }

    /// <summary>Rows, without padding.</summary>
    public int Height { get; set; }

    /// <summary>Blocks in a row, padded to whole interleaved units.</summary>
    public int BlocksPerRow { get; set; }

    /// <summary>Rows of blocks, padded to whole interleaved units.</summary>
    public int BlockRows { get; set; }

    /// <summary>Samples, uint8 [8 BlockRows, 8 BlocksPerRow].</summary>
    public byte[] Samples { get; set; } = [];

    /// <summary>Progressive only: coefficients in natural order, [BlockRows, BlocksPerRow, 64].</summary>
    public short[] Coefficients { get; set; } = [];

    /// <summary>The quantisation table as it was in the component's first scan, natural order; null before.</summary>
    public ushort[]? Quantization { get; set; }

    /// <summary>Samples from a row to the next.</summary>
    public int Stride => 8 * BlocksPerRow;

    /// <summary>Blocks in a row that hold samples.</summary>
    public int RealBlocksPerRow => (Width + 7) / 8;

    /// <summary>Rows of blocks that hold samples.</summary>
    public int RealBlockRows => (Height + 7) / 8;

    /// <summary>The last DC value of the running scan.</summary>
    public int Predictor { get; set; }

    /// <summary>The DC table of the running scan.</summary>
    public JpegHuffmanTable? Dc { get; set; }

    /// <summary>The AC table of the running scan.</summary>
    public JpegHuffmanTable? Ac { get; set; }
}
