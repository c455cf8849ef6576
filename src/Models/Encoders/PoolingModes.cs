using System.Collections.Immutable;
using CrossAlign.Kernels;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// How the rows of a text become its vector: one pooling, or several whose vectors stand one behind the other, as a sentence-transformers
/// folder may declare them.
/// </summary>
public sealed class PoolingModes : IEquatable<PoolingModes>
{
    // In the order in which the library concatenates what its older configurations only switch on and off.
    private static readonly (PoolingKind Kind, string Name, string PublishedName, string Flag)[] s_known =
    [
        (PoolingKind.Cls, "cls", "cls", "pooling_mode_cls_token"),
        (PoolingKind.Max, "max", "max", "pooling_mode_max_tokens"),
        (PoolingKind.Mean, "mean", "mean", "pooling_mode_mean_tokens"),
        (PoolingKind.MeanSqrtLength, "mean_sqrt_len_tokens", "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
        (PoolingKind.WeightedMean, "weightedmean", "weightedmean", "pooling_mode_weightedmean_tokens"),
        (PoolingKind.Eos, "eos", "lasttoken", "pooling_mode_lasttoken"),
    ];

    /// <summary>Several poolings, or one.</summary>
    /// <param name="kinds">Their vectors are concatenated in this order.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public PoolingModes(params ReadOnlySpan<PoolingKind> kinds)
    {
        if (kinds.IsEmpty)
        {
            throw new ArgumentException("A text's vector needs a pooling.", nameof(kinds));
        }

        Kinds = [.. kinds];
    }

    /// <summary>The names of single poolings, for people.</summary>
    public static string KnownNames { get; } = string.Join(", ", s_known.Select(k => k.Name)) + " (the last token)";

    /// <summary>The flags of the library's older configurations, with the kinds that they switch on, in the order of concatenation.</summary>
    internal static IEnumerable<(string Flag, PoolingKind Kind)> Flags => s_known.Select(k => (k.Flag, k.Kind));

    /// <summary>The poolings, in the order of their vectors.</summary>
    public ImmutableArray<PoolingKind> Kinds { get; }

    /// <summary>As <c>mean</c> or <c>cls+max</c>.</summary>
    public string Name => string.Join('+', Kinds.Select(NameOf));

    /// <summary>The only pooling.</summary>
    /// <exception cref="UserErrorException">There are several.</exception>
    public PoolingKind Only => Kinds.Length == 1
        ? Kinds[0]
        : throw new UserErrorException($"the model concatenates the poolings {Name}, which is for embedding alone", $"choose one of {KnownNames}");

    /// <summary>One pooling.</summary>
    /// <param name="kind">Which.</param>
    public static implicit operator PoolingModes(PoolingKind kind) => new(kind);

    /// <summary>Whether two are the same poolings in the same order.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    public static bool operator ==(PoolingModes? left, PoolingModes? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Whether two are not the same poolings in the same order.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    public static bool operator !=(PoolingModes? left, PoolingModes? right) => !(left == right);

    /// <summary>The name of a pooling in files and on the command line.</summary>
    /// <param name="kind">The pooling.</param>
    /// <returns>Its name, as the library's but for the last token's, <c>eos</c>.</returns>
    public static string NameOf(PoolingKind kind) => s_known.First(k => k.Kind == kind).Name;

    /// <summary>The library's name of a pooling.</summary>
    /// <param name="kind">The pooling.</param>
    /// <returns>The name.</returns>
    internal static string PublishedNameOf(PoolingKind kind) => s_known.First(k => k.Kind == kind).PublishedName;

    /// <summary>The pooling of a name, ours or the library's.</summary>
    /// <param name="name">As <see cref="NameOf"/> gives it.</param>
    /// <returns>The pooling; null where there is none of that name.</returns>
    public static PoolingKind? Find(string name)
    {
        int found = Array.FindIndex(s_known, k => k.Name == name || k.PublishedName == name);
        return found < 0 ? null : s_known[found].Kind;
    }

    /// <summary>The pooling of one of the library's names.</summary>
    /// <param name="name">As <see cref="PublishedNameOf"/> gives it.</param>
    /// <returns>The pooling; null where the library has none of that name.</returns>
    internal static PoolingKind? FindPublished(string name)
    {
        int found = Array.FindIndex(s_known, k => k.PublishedName == name);
        return found < 0 ? null : s_known[found].Kind;
    }

    /// <summary>One pooling or several.</summary>
    /// <param name="text">As <see cref="Name"/> gives it.</param>
    /// <returns>The poolings.</returns>
    /// <exception cref="UserErrorException">One has another name.</exception>
    public static PoolingModes Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        PoolingKind[] kinds = [.. text.Split('+').Select(name => Find(name) ?? throw new UserErrorException($"'{name}' is no pooling", $"use one of {KnownNames}, or several as in cls+mean"))];
        return new PoolingModes(kinds);
    }

    /// <inheritdoc/>
    public bool Equals(PoolingModes? other) => other is not null && Kinds.SequenceEqual(other.Kinds);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as PoolingModes);

    /// <inheritdoc/>
    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
