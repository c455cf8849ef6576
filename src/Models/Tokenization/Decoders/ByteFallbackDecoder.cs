using System.Text;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>Runs of byte pieces become the characters that they spell; each byte of a run that is not UTF-8 becomes U+FFFD.</summary>
internal sealed class ByteFallbackDecoder : TokenDecoder
{
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        List<string> decoded = new(pieces.Count);
        List<byte> run = [];
        foreach (string piece in pieces)
        {
            if (BytePiece.TryParse(piece, out byte value))
            {
                run.Add(value);
            }
            else
            {
                Flush(run, decoded);
                decoded.Add(piece);
            }
        }

        Flush(run, decoded);
        return decoded;
    }

    private static void Flush(List<byte> run, List<string> decoded)
    {
        if (run.Count == 0)
        {
            return;
        }

        try
        {
            decoded.Add(s_strict.GetString([.. run]));
        }
        catch (DecoderFallbackException)
        {
            decoded.Add(new string('\uFFFD', run.Count));
        }

        run.Clear();
    }
}
