using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>The name of a model of the public hub: <c>ORGANISATION/NAME</c>, and the revision wanted.</summary>
/// <param name="Id"><c>ORGANISATION/NAME</c>.</param>
/// <param name="Revision">A branch, tag or commit.</param>
public sealed partial record HubModelName(string Id, string Revision)
{
    /// <summary>The revision that is taken where none is named.</summary>
    public const string MainRevision = "main";

    /// <summary>Reads a name.</summary>
    /// <param name="text"><c>ORGANISATION/NAME</c>, or with <c>@REVISION</c> behind it.</param>
    /// <param name="name">The name.</param>
    /// <returns>False where the text is no such name.</returns>
    public static bool TryParse(string? text, [NotNullWhen(true)] out HubModelName? name)
    {
        Match match = Form().Match(text ?? string.Empty);
        name = match.Success && !match.Value.Contains("..", StringComparison.Ordinal)
            ? new HubModelName(match.Groups["id"].Value, match.Groups["revision"] is { Success: true } revision ? revision.Value : MainRevision)
            : null;
        return name is not null;
    }

    /// <summary>Reads a name that must be one.</summary>
    /// <param name="text"><c>ORGANISATION/NAME</c>, or with <c>@REVISION</c> behind it.</param>
    /// <returns>The name.</returns>
    /// <exception cref="UserErrorException">The text is no such name.</exception>
    public static HubModelName Parse(string text) => TryParse(text, out HubModelName? name)
        ? name
        : throw new UserErrorException($"'{text}' is no name of a model", "give ORGANISATION/NAME, such as intfloat/multilingual-e5-small");

    /// <inheritdoc/>
    public override string ToString() => Revision == MainRevision ? Id : $"{Id}@{Revision}";

    [GeneratedRegex(@"\A(?<id>[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})(@(?<revision>[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}))?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
