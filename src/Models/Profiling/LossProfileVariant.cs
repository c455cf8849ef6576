using CrossAlign.Kernels;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Profiling;

/// <summary>
/// A form of the loss to be profiled: a variant as a run's configuration names it, and what is added to it, as in
/// <c>symmetricNormalized+masked+kept</c>.
/// </summary>
public sealed class LossProfileVariant
{
    private const float Smoothing = 0.1f;
    private const float Margin = 0.1f;

    private static readonly Dictionary<string, LossVariant> s_variants =
        Enum.GetValues<LossVariant>().ToDictionary(v => char.ToLowerInvariant(v.ToString()[0]) + v.ToString()[1..], StringComparer.Ordinal);

    private static readonly string[] s_additions = ["masked", "shared", "smoothing", "falseNegatives", "matryoshka", "lockedCaptions", "lockedImages", "kept"];

    private readonly LossVariant _variant;
    private readonly HashSet<string> _additions;

    private LossProfileVariant(string name, LossVariant variant, HashSet<string> additions)
    {
        Name = name;
        _variant = variant;
        _additions = additions;
    }

    /// <summary>The variants, as in a run's configuration.</summary>
    public static IReadOnlyCollection<string> VariantNames => s_variants.Keys;

    /// <summary>What can be added: groups of two that are masked or shared, label smoothing of 0.1, a false-negative mask with a margin of 0.1, prefixes E and E/2, a locked tower, memory to keep the similarities.</summary>
    public static IReadOnlyCollection<string> AdditionNames => s_additions;

    /// <summary>The name as it was given.</summary>
    public string Name { get; }

    /// <summary>Whether rows and columns have groups.</summary>
    public bool HasGroups => _additions.Contains("masked") || _additions.Contains("shared");

    /// <summary>Whether the captions get no gradient.</summary>
    public bool LocksCaptions => _additions.Contains("lockedCaptions");

    /// <summary>Whether the images get no gradient.</summary>
    public bool LocksImages => _additions.Contains("lockedImages");

    /// <summary>Whether there is memory to keep the similarities.</summary>
    public bool KeepsSimilarities => _additions.Contains("kept");

    /// <summary>Whether there is a bias: SigLIP's.</summary>
    public bool HasBias => _variant is LossVariant.Sigmoid or LossVariant.SigmoidNormalized;

    /// <summary>Reads a name.</summary>
    /// <param name="name">A variant and additions, joined by plus signs.</param>
    /// <returns>The variant.</returns>
    /// <exception cref="UserErrorException">A part of it is unknown, or the loss refuses the combination.</exception>
    public static LossProfileVariant Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string[] parts = name.Split('+', StringSplitOptions.TrimEntries);
        if (!s_variants.TryGetValue(parts[0], out LossVariant variant))
        {
            throw new UserErrorException($"there is no variant '{parts[0]}'", $"the nearest is '{NearestName.Find(parts[0], s_variants.Keys)}'");
        }

        foreach (string addition in parts.Skip(1))
        {
            if (!s_additions.Contains(addition))
            {
                throw new UserErrorException($"'{addition}' cannot be added to a variant", $"the nearest is '{NearestName.Find(addition, s_additions)}'");
            }
        }

        LossProfileVariant parsed = new(name, variant, [.. parts.Skip(1)]);
        if (parsed._additions.Contains("masked") && parsed._additions.Contains("shared"))
        {
            throw new UserErrorException($"'{name}': groups are masked or shared, not both", "give one of them");
        }

        if (parsed.LocksCaptions && parsed.LocksImages)
        {
            throw new UserErrorException($"'{name}': with both towers locked there is nothing to learn", "lock one of them");
        }

        return parsed.OptionsFor(2, 2).Refusal() is string refusal
            ? throw new UserErrorException($"'{name}': {refusal.TrimEnd('.')}", "choose another combination")
            : parsed;
    }

    /// <summary>The loss's options at a size.</summary>
    /// <param name="batchSize">B.</param>
    /// <param name="width">E.</param>
    /// <returns>The options.</returns>
    public SimilarityCrossEntropyOptions OptionsFor(int batchSize, int width)
    {
        SimilarityCrossEntropyOptions options = LossOptions.From(new LossConfig { Variant = _variant });
        return options with
        {
            Groups = _additions.Contains("masked") ? SimilarityCrossEntropyGroups.Masked
                : _additions.Contains("shared") ? SimilarityCrossEntropyGroups.Shared
                : SimilarityCrossEntropyGroups.None,
            LabelSmoothing = _additions.Contains("smoothing") ? Smoothing : 0,
            FalseNegativeMargin = _additions.Contains("falseNegatives") ? Margin : null,
            Prefixes = _additions.Contains("matryoshka") ? [new(width, 1), new(Math.Max(1, width / 2), 1)] : [],
            MemoryBudgetBytes = SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes
                + (_additions.Contains("kept") ? sizeof(float) * (long)batchSize * batchSize : 0),
        };
    }
}
