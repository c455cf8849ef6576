namespace CrossAlign.Models.Tokenization.Decoders;

/// <summary>Joins all pieces into one.</summary>
internal sealed class FuseDecoder : TokenDecoder
{
    /// <inheritdoc/>
    public override List<string> Decode(List<string> pieces) => [string.Concat(pieces)];
}
