using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CrossAlign.Models.Profiling;

/// <summary>Everything that one profile measured.</summary>
public sealed record ProfileReport
{
    /// <summary>The name of this form of the document.</summary>
    public const string CurrentSchema = "crossalign/profile/1";

    private static readonly ProfileJson s_json = new(new JsonSerializerOptions(ProfileJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>The form of the document.</summary>
    public string Schema { get; init; } = CurrentSchema;

    /// <summary>The machine.</summary>
    public required ProfileMachine Machine { get; init; }

    /// <summary>The loss, an item a size and form.</summary>
    public IReadOnlyList<LossProfileRow> Loss { get; init; } = [];

    /// <summary>The training step; null where none was taken apart.</summary>
    public StepProfile? Step { get; init; }

    /// <summary>The document as indented JSON.</summary>
    /// <returns>The text, ending in a line feed.</returns>
    public string ToJson() => JsonSerializer.Serialize(this, s_json.ProfileReport) + "\n";

    /// <summary>Writes <c>profile.json</c>, <c>profile.csv</c> and <c>profile.html</c>, replacing those that are there.</summary>
    /// <param name="folder">Where; made where it is missing.</param>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public void Write(string folder)
    {
        AtomicFile.WriteText(Path.Combine(folder, "profile.json"), ToJson());
        AtomicFile.WriteText(Path.Combine(folder, "profile.csv"), ProfileCsv.Write(this));
        AtomicFile.WriteText(Path.Combine(folder, "profile.html"), ProfilePage.ToHtml(this));
    }
}

/// <summary>How <see cref="ProfileReport"/> is written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ProfileReport))]
internal sealed partial class ProfileJson : JsonSerializerContext;
