using System.Globalization;

namespace CrossAlign.Models.Images.Png;

/// <summary>The five filters of rows.</summary>
internal static class PngFilter
{
    /// <summary>Undoes a filter in place.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="row">The row's bytes.</param>
    /// <param name="above">The row above, unfiltered; zeros above the first.</param>
    /// <param name="distance">Bytes from a pixel to the next, at least 1.</param>
    public static void Undo(int type, Span<byte> row, ReadOnlySpan<byte> above, int distance)
    {
        switch (type)
        {
            case 0:
                break;
            case 1:
                for (int i = distance; i < row.Length; i++)
                {
                    row[i] += row[i - distance];
                }

                break;
            case 2:
                for (int i = 0; i < row.Length; i++)
                {
                    row[i] += above[i];
                }

                break;
            case 3:
                for (int i = 0; i < row.Length; i++)
                {
                    int left = i < distance ? 0 : row[i - distance];
                    row[i] += (byte)((left + above[i]) >> 1);
                }

                break;
            case 4:
                for (int i = 0; i < row.Length; i++)
                {
                    row[i] += i < distance ? above[i] : Paeth(row[i - distance], above[i], above[i - distance]);
                }

                break;
            default:
                throw new ImageFormatException(string.Create(CultureInfo.InvariantCulture, $"is a damaged PNG: a row has the filter type {type}"));
        }
    }

    private static byte Paeth(int left, int above, int corner)
    {
        int p = left + above - corner;
        (int a, int b, int c) = (Math.Abs(p - left), Math.Abs(p - above), Math.Abs(p - corner));
        return (byte)(a <= b && a <= c ? left : b <= c ? above : corner);
    }
}
