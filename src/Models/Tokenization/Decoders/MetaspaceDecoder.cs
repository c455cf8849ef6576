namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>Visible spaces become spaces; those of the first piece, which encoding put there, are dropped.</summary>
/// <param name="replacement">The visible space.</param>
/// <param name="dropFirst">Whether encoding puts one in front of a text.</param>
internal sealed class MetaspaceDecoder(char replacement, bool dropFirst) : TokenDecoder
{
    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces)
    {
        for (int i = 0; i < pieces.Count; i++)
        {
            pieces[i] = i == 0 && dropFirst
                ? pieces[i].Replace(replacement.ToString(), "", StringComparison.Ordinal)
                : pieces[i].Replace(replacement, ' ');
        }

        return pieces;
    }
}
