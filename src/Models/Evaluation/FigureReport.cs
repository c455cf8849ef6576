using System.Text.Encodings.Web;
using System.Text.Json;

namespace CrossAlign.Models.Evaluation;

/// <summary>The document <c>report.json</c>: figures, speeds and the run they come from.</summary>
public sealed record FigureReport
{
    /// <summary>The name of this form of the document.</summary>
    public const string CurrentSchema = "crossalign/figures/1";

    private static readonly FigureJsonContext s_json = new(new JsonSerializerOptions(FigureJsonContext.Default.Options)
    {
        // Language names and captions stay readable; the document is a file, never part of a page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>The form of the document.</summary>
    public string Schema { get; init; } = CurrentSchema;

    /// <summary>The figures, one object each.</summary>
    public required IReadOnlyList<Figure> Figures { get; init; }

    /// <summary>How fast each set-up trained.</summary>
    public required IReadOnlyList<SetupThroughput> Throughput { get; init; }

    /// <summary>The run.</summary>
    public required FigureRun Run { get; init; }

    /// <summary>Reads a document.</summary>
    /// <param name="json">Its text in UTF-8.</param>
    /// <param name="name">What to call it in an error: its path.</param>
    /// <returns>The document.</returns>
    /// <exception cref="UserErrorException">It is not such a document.</exception>
    public static FigureReport Parse(ReadOnlySpan<byte> json, string name)
    {
        const string Remedy = "give a report.json that crossalign demo or eval --json wrote";
        try
        {
            FigureReport? report = JsonSerializer.Deserialize(json, s_json.FigureReport);
            return report is { Schema: CurrentSchema, Figures: not null }
                ? report
                : throw new UserErrorException($"{name} is not a document of the form {CurrentSchema}", Remedy);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{name} is not a document of the form {CurrentSchema}: {e.Message}", Remedy);
        }
    }

    /// <summary>Writes the document as indented JSON in UTF-8, ending in a line feed.</summary>
    /// <param name="stream">Where to.</param>
    public void Write(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        JsonSerializer.Serialize(stream, this, s_json.FigureReport);
        stream.WriteByte((byte)'\n');
    }
}
