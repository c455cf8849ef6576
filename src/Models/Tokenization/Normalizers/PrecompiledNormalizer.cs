using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace CrossAlign.Models.Tokenization.Normalizers;

/// <summary>
/// SentencePiece's character map as the tokenizers library applies it: a grapheme cluster of fewer than 6 bytes is looked up as a
/// whole and replaced by what its shortest sequence gives (what follows in the cluster is lost), otherwise each character by itself.
/// </summary>
/// <param name="map">The character map.</param>
internal sealed class PrecompiledNormalizer(CharacterMap map) : TextNormalizer
{
    private const int ClusterBytes = 6;

    /// <inheritdoc/>
    public override void Normalize(ReadOnlySpan<char> text, CharBuffer output)
    {
        int at = 0;
        while (at < text.Length)
        {
            int plain = PlainLength(text[at..]);
            output.Append(text.Slice(at, plain));
            at += plain;
            if (at == text.Length)
            {
                return;
            }

            // Plain characters end where one needs a look, which then begins a cluster.
            bool single = GraphemeBreaks.StandsAlone(text[at]) && (at + 1 == text.Length || GraphemeBreaks.StandsAlone(text[at + 1]));
            int length = single ? 1 : StringInfo.GetNextTextElementLength(text[at..]);
            AppendCluster(text.Slice(at, length), output);
            at += length;
        }
    }

    /// <summary>How many characters stay as they are, each a cluster of its own.</summary>
    private int PlainLength(ReadOnlySpan<char> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            bool next = i + 1 == text.Length || text[i + 1] < 0x80 || GraphemeBreaks.StandsAlone(text[i + 1]);
            bool plain = c < 0x80 ? map.IsPlainAscii(c) && c != '\r' : !map.MayStart(c) && GraphemeBreaks.StandsAlone(c);
            if (!plain || !next)
            {
                return i;
            }
        }

        return text.Length;
    }

    private void AppendCluster(ReadOnlySpan<char> cluster, CharBuffer output)
    {
        Span<byte> utf8 = stackalloc byte[ClusterBytes];
        if (Utf8.FromUtf16(cluster, utf8, out _, out int byteCount, replaceInvalidSequences: false) == OperationStatus.Done && byteCount < ClusterBytes
            && map.Shortest(utf8[..byteCount], out ReadOnlySpan<byte> value) > 0)
        {
            Append(value, output);
            return;
        }

        while (!cluster.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(cluster, out Rune rune, out int units) != OperationStatus.Done)
            {
                // Left for the piece model, which names it.
                output.Append(cluster[0]);
            }
            else if (map.Shortest(utf8[..rune.EncodeToUtf8(utf8)], out value) > 0)
            {
                Append(value, output);
            }
            else
            {
                output.Append(cluster[..units]);
            }

            cluster = cluster[units..];
        }
    }

    private static void Append(ReadOnlySpan<byte> value, CharBuffer output)
    {
        Span<char> room = output.Reserve(value.Length);
        int written = Encoding.UTF8.GetChars(value, room);
        output.Truncate(output.Length - value.Length + written);
    }
}
