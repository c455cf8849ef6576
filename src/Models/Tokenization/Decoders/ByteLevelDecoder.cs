using System.Text;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>
/// Puts the bytes together that a byte-level vocabulary writes as visible characters; a piece with any other character is taken as
/// it is. What is not UTF-8 becomes U+FFFD.
/// </summary>
internal sealed class ByteLevelDecoder : TokenDecoder
{
    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        List<byte> bytes = [];
        foreach (string piece in pieces)
        {
            int start = bytes.Count;
            foreach (char c in piece)
            {
                if (!ByteAlphabet.TryGetByte(c, out byte value))
                {
                    bytes.RemoveRange(start, bytes.Count - start);
                    bytes.AddRange(Encoding.UTF8.GetBytes(piece));
                    break;
                }

                bytes.Add(value);
            }
        }

        return [Encoding.UTF8.GetString([.. bytes])];
    }
}
