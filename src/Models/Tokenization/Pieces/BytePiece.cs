using System.Globalization;

namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>The pieces that stand for one byte each: <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>.</summary>
internal static class BytePiece
{
    /// <summary>The piece of a byte.</summary>
    /// <param name="value">The byte.</param>
    /// <returns>Its spelling.</returns>
    public static string Of(byte value) => string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");

    /// <summary>Whether a piece stands for a byte.</summary>
    /// <param name="piece">The piece.</param>
    /// <param name="value">The byte.</param>
    /// <returns>Whether it does.</returns>
    public static bool TryParse(string piece, out byte value)
    {
        value = 0;
        return piece.Length == 6 && piece.StartsWith("<0x", StringComparison.Ordinal) && piece[5] == '>'
            && byte.TryParse(piece.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
