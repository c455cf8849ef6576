using System.Globalization;

namespace CrossAlign.Models.Encoders;

/// <summary>How much of a tower training leaves alone: nothing, everything, or the embeddings and the lowest blocks.</summary>
/// <param name="LowestBlocks">0: nothing is frozen; n: embeddings and the lowest n blocks; <see cref="int.MaxValue"/>: everything.</param>
public readonly record struct TowerFreeze(int LowestBlocks)
{
    /// <summary>Everything is trained.</summary>
    public static TowerFreeze None => new(0);

    /// <summary>Nothing is trained.</summary>
    public static TowerFreeze All => new(int.MaxValue);

    /// <summary>Reads <c>none</c>, <c>all</c> or <c>lowest:N</c>.</summary>
    /// <param name="text">The text of a configuration.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="UserErrorException">The text is none of these.</exception>
    public static TowerFreeze Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        const string Lowest = "lowest:";
        return text switch
        {
            "none" => None,
            "all" => All,
            _ when text.StartsWith(Lowest, StringComparison.Ordinal)
                && int.TryParse(text.AsSpan(Lowest.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int blocks) => new TowerFreeze(blocks),
            _ => throw new UserErrorException($"'{text}' does not say what of a tower is frozen", "use none, all or lowest:N, N being a number of blocks"),
        };
    }

    /// <summary>The text that <see cref="Parse"/> reads.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => LowestBlocks switch
    {
        0 => "none",
        int.MaxValue => "all",
        _ => string.Create(CultureInfo.InvariantCulture, $"lowest:{LowestBlocks}"),
    };
}
