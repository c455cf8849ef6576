namespace CrossAlign.Models.Images.Jpeg;

/// <summary>
/// One full-size row of a component at a time. Factors of 2 are libjpeg's "fancy" triangle filter (planes of at most 2 columns apart,
/// which are repeated when halved across), others are repeated; beyond the edge the last real sample or row counts.
/// </summary>
internal sealed class JpegUpsampling
{
    private readonly JpegComponent _component;
    private readonly int _h;
    private readonly int _v;
    private readonly int[] _column;

    /// <summary>Prepares a component.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="component">The component.</param>
    public JpegUpsampling(JpegFrame frame, JpegComponent component)
    {
        (_component, _h, _v) = (component, frame.MaxH / component.H, frame.MaxV / component.V);
        _column = new int[component.Width];
        Row = new byte[component.Width * _h];
    }

    /// <summary>The row that was made last; at least as wide as the picture.</summary>
    public byte[] Row { get; }

    /// <summary>Makes a row.</summary>
    /// <param name="y">The picture's row.</param>
    public void Make(int y)
    {
        bool fancyAcross = _h == 2 && _component.Width > 2;
        if (_v == 1 && fancyAcross)
        {
            Across(Source(y));
        }
        else if (_v == 2 && _h == 1)
        {
            Down(y);
        }
        else if (_v == 2 && fancyAcross)
        {
            Both(y);
        }
        else
        {
            ReadOnlySpan<byte> source = Source(y / _v);
            for (int x = 0; x < Row.Length; x++)
            {
                Row[x] = source[x / _h];
            }
        }
    }

    private ReadOnlySpan<byte> Source(int y) => _component.Samples.AsSpan(Math.Clamp(y, 0, _component.Height - 1) * _component.Stride, _component.Width);

    /// <summary>The nearer row, and the one on the other side of the wanted row.</summary>
    private static (int Near, int Far) Neighbours(int y) => (y / 2, (y / 2) + ((y & 1) == 0 ? -1 : 1));

    private void Across(ReadOnlySpan<byte> s)
    {
        int end = s.Length - 1;
        Row[0] = s[0];
        Row[1] = (byte)(((3 * s[0]) + s[1] + 2) >> 2);
        for (int x = 1; x < end; x++)
        {
            Row[2 * x] = (byte)(((3 * s[x]) + s[x - 1] + 1) >> 2);
            Row[(2 * x) + 1] = (byte)(((3 * s[x]) + s[x + 1] + 2) >> 2);
        }

        Row[2 * end] = (byte)(((3 * s[end]) + s[end - 1] + 1) >> 2);
        Row[(2 * end) + 1] = s[end];
    }

    private void Down(int y)
    {
        (int nearRow, int farRow) = Neighbours(y);
        ReadOnlySpan<byte> near = Source(nearRow);
        ReadOnlySpan<byte> far = Source(farRow);
        int round = 1 + (y & 1);
        for (int x = 0; x < near.Length; x++)
        {
            Row[x] = (byte)(((3 * near[x]) + far[x] + round) >> 2);
        }
    }

    private void Both(int y)
    {
        (int nearRow, int farRow) = Neighbours(y);
        ReadOnlySpan<byte> near = Source(nearRow);
        ReadOnlySpan<byte> far = Source(farRow);
        int[] c = _column;
        for (int x = 0; x < c.Length; x++)
        {
            c[x] = (3 * near[x]) + far[x];
        }

        int end = c.Length - 1;
        Row[0] = (byte)(((4 * c[0]) + 8) >> 4);
        Row[1] = (byte)(((3 * c[0]) + c[1] + 7) >> 4);
        for (int x = 1; x < end; x++)
        {
            Row[2 * x] = (byte)(((3 * c[x]) + c[x - 1] + 8) >> 4);
            Row[(2 * x) + 1] = (byte)(((3 * c[x]) + c[x + 1] + 7) >> 4);
        }

        Row[2 * end] = (byte)(((3 * c[end]) + c[end - 1] + 8) >> 4);
        Row[(2 * end) + 1] = (byte)(((4 * c[end]) + 7) >> 4);
    }
}
