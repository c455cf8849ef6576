namespace CrossAlign.Models.Encoders;

/// <summary>The tokens of one text.</summary>
/// <param name="Ids">Token ids, special ones included.</param>
/// <param name="Mask">1 for real tokens, 0 for padding; empty where all are real.</param>
/// <param name="Truncated">Whether the text was longer and has been cut already.</param>
public readonly record struct TokenRow(int[] Ids, int[] Mask, bool Truncated = false)
{
    /// <summary>The number of real tokens.</summary>
    public int TokenCount => Mask.Length == 0 ? Ids.Length : Mask.Count(m => m != 0);
}
