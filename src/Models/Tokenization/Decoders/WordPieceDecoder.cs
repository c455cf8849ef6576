namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>Joins pieces inside a word, puts spaces between words, and takes the spaces before punctuation away again.</summary>
/// <param name="prefix">Marks pieces that do not begin a word.</param>
/// <param name="cleanUp">Whether spaces before punctuation and in English contractions are taken away.</param>
internal sealed class WordPieceDecoder(string prefix, bool cleanUp) : TokenDecoder
{
    private static readonly (string From, string To)[] s_cleaned =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
        (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        for (int i = 0; i < pieces.Count; i++)
        {
            string piece = pieces[i];
            if (i > 0)
            {
                piece = piece.StartsWith(prefix, StringComparison.Ordinal) ? piece[prefix.Length..] : " " + piece;
            }

            foreach ((string from, string to) in s_cleaned)
            {
                piece = cleanUp ? piece.Replace(from, to, StringComparison.Ordinal) : piece;
            }

            pieces[i] = piece;
        }

        return pieces;
    }
}
