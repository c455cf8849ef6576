using System.Text.RegularExpressions;

namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>In each piece puts a text in the place of every match of a pattern.</summary>
/// <param name="pattern">The pattern.</param>
/// <param name="content">The text, taken literally.</param>
internal sealed class ReplaceDecoder(Regex pattern, string content) : TokenDecoder
{
    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        for (int i = 0; i < pieces.Count; i++)
        {
            pieces[i] = pattern.Replace(pieces[i], _ => content);
        }

        return pieces;
    }
}
