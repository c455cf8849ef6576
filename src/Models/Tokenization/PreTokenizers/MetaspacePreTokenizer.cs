namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Writes spaces as a visible character (<c>▁</c>) and cuts in front of each.</summary>
/// <param name="replacement">The visible character.</param>
/// <param name="scheme">Where one is put in front of a part that does not begin with one.</param>
/// <param name="split">Whether to cut.</param>
internal sealed class MetaspacePreTokenizer(char replacement, MetaspaceScheme scheme, bool split) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        CharBuffer buffer = next.Buffer;
        bool prepend = scheme == MetaspaceScheme.Always || (scheme == MetaspaceScheme.First && atStart);
        if (prepend && text[0] != ' ' && text[0] != replacement)
        {
            buffer.Append(replacement);
        }

        text.Replace(buffer.Reserve(text.Length), ' ', replacement);
        ReadOnlySpan<char> rest = buffer.Written;
        while (split)
        {
            int cut = rest[1..].IndexOf(replacement);
            if (cut < 0)
            {
                break;
            }

            next.Accept(rest[..(cut + 1)], atStart);
            rest = rest[(cut + 1)..];
            atStart = false;
        }

        next.Accept(rest, atStart);
    }
}
