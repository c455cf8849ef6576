using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Writes each byte of the UTF-8 form as one visible character.</summary>
internal sealed class ByteLevelPreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        CharBuffer buffer = next.Buffer;
        ReadOnlySpan<byte> utf8 = next.State.ToUtf8(text);
        Span<char> room = buffer.Reserve(utf8.Length);
        for (int i = 0; i < utf8.Length; i++)
        {
            room[i] = ByteAlphabet.Of(utf8[i]);
        }

        next.Accept(buffer.Written, atStart);
    }
}
