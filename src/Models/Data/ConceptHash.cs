using System.Text;

namespace CrossAlign.Models.Data;

/// <summary>
/// Splits by hash of a concept's identifier, so that they are the same in every language and every program and do not depend on order.
/// </summary>
public static class ConceptHash
{
    /// <summary>The prefix that makes the standard split.</summary>
    public const string DefaultSplitSalt = "crossalign:";

    private const string HeldOutPrefix = "name:";
    private const int TrainBelow = 80;
    private const int ValidationBelow = 90;
    private const int HeldOutBelow = 15;

    /// <summary>The 32-bit FNV-1a hash of a string's UTF-8 bytes.</summary>
    /// <param name="text">Any text.</param>
    /// <returns>The hash.</returns>
    /// <remarks>Source: G. Fowler, L. C. Noll, K.-P. Vo, "The FNV Non-Cryptographic Hash Algorithm".</remarks>
    public static uint Fnv1A32(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        uint hash = 2166136261;
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            hash = unchecked((hash ^ b) * 16777619);
        }

        return hash;
    }

    /// <summary>The split of a concept: 80 % train, 10 % validation, 10 % test.</summary>
    /// <param name="id">The concept's identifier.</param>
    /// <param name="splitSalt">The prefix that is hashed before it; another one gives another split.</param>
    /// <returns>The split.</returns>
    public static DataSplit SplitOf(string id, string splitSalt = DefaultSplitSalt)
    {
        uint bucket = Fnv1A32(splitSalt + id) % 100;
        return bucket < TrainBelow ? DataSplit.Train : bucket < ValidationBelow ? DataSplit.Validation : DataSplit.Test;
    }

    /// <summary>Whether a train concept's short name is held out. Does not depend on the split's salt.</summary>
    /// <param name="id">The concept's identifier.</param>
    /// <returns>True for 15 % of all identifiers; it means something for train concepts only.</returns>
    public static bool HoldsOutName(string id) => Fnv1A32(HeldOutPrefix + id) % 100 < HeldOutBelow;
}
