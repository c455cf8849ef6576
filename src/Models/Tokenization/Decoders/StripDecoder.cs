namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>Takes a character off the ends of each piece.</summary>
/// <param name="content">The character.</param>
/// <param name="start">How many at most at the beginning.</param>
/// <param name="stop">How many at most at the end.</param>
internal sealed class StripDecoder(char content, int start, int stop) : TokenDecoder
{
    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        for (int i = 0; i < pieces.Count; i++)
        {
            string piece = pieces[i];
            int from = 0;
            while (from < start && from < piece.Length && piece[from] == content)
            {
                from++;
            }

            int to = piece.Length;
            while (piece.Length - to < stop && to > from && piece[to - 1] == content)
            {
                to--;
            }

            pieces[i] = piece[from..to];
        }

        return pieces;
    }
}
