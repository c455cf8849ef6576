using System.Text;

namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>Cuts at white space, which is dropped, and on either side of every punctuation character.</summary>
internal sealed class BertPreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(ReadOnlySpan<char> text, bool atStart, in WordChain next)
    {
        int start = 0;
        int at = 0;
        while (at < text.Length)
        {
            Rune.DecodeFromUtf16(text[at..], out Rune rune, out int units);
            bool space = Rune.IsWhiteSpace(rune);
            bool punctuation = PublishedCategories.IsPunctuation(rune);
            if (space || punctuation)
            {
                next.Accept(text[start..at], atStart && start == 0);
                start = at + units;
                if (punctuation)
                {
                    next.Accept(text[at..start], atStart && at == 0);
                }
            }

            at += units;
        }

        next.Accept(text[start..], atStart && start == 0);
    }
}
