namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Cuts at Unicode white space and drops it (<c>WhitespaceSplit</c>).</summary>
internal sealed class WhiteSpacePreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsWhiteSpace(text[i]))
            {
                next.Accept(text[start..i], atStart && start == 0);
                start = i + 1;
            }
        }

        next.Accept(text[start..], atStart && start == 0);
    }
}
