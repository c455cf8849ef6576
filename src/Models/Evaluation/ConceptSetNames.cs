using CrossAlign.Models.Data;

namespace CrossAlign.Models.Evaluation;

/// <summary>The names that sets of concepts have in report files and on the command line.</summary>
public static class ConceptSetNames
{
    /// <summary>The name of the declaration of human rights as a set.</summary>
    public const string Udhr = "udhr";

    /// <summary>The sets that figures are reported on: the validation concepts are left out, they decide things.</summary>
    public static IReadOnlyList<ConceptSet> Reported { get; } = [ConceptSet.Seen, ConceptSet.HeldOutCaptions, ConceptSet.Unseen];

    /// <summary>The name of a set.</summary>
    /// <param name="set">The set.</param>
    /// <returns><c>seen</c>, <c>held-out-captions</c>, <c>validation</c> or <c>unseen</c>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such set.</exception>
    public static string Of(ConceptSet set) => set switch
    {
        ConceptSet.Seen => "seen",
        ConceptSet.HeldOutCaptions => "held-out-captions",
        ConceptSet.Validation => "validation",
        ConceptSet.Unseen => "unseen",
        _ => throw new ArgumentOutOfRangeException(nameof(set), set, "Not a set of concepts."),
    };

    /// <summary>Reads a set's name.</summary>
    /// <param name="name">The name as a user writes it.</param>
    /// <returns>The set; null for <c>udhr</c>, which is no set of concepts.</returns>
    /// <exception cref="UserErrorException">There is no set of that name.</exception>
    public static ConceptSet? Parse(string name)
    {
        if (name == Udhr)
        {
            return null;
        }

        foreach (ConceptSet set in Enum.GetValues<ConceptSet>())
        {
            if (Of(set) == name)
            {
                return set;
            }
        }

        string known = string.Join(", ", Enum.GetValues<ConceptSet>().Select(Of));
        throw new UserErrorException($"there is no set named '{name}'", $"use one of {known}, {Udhr}");
    }
}
