namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Puts a space in front of a part that does not begin with one.</summary>
internal sealed class PrefixSpacePreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        if (text[0] == ' ')
        {
            next.Accept(text, atStart);
            return;
        }

        CharBuffer buffer = next.Buffer;
        buffer.Append(' ');
        buffer.Append(text);
        next.Accept(buffer.Written, atStart);
    }
}
