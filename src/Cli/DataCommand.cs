using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Data;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary><c>crossalign data</c>: fetches, checks and prepares data, and says what is there.</summary>
internal static class DataCommand
{
    public static Command Create()
    {
        Command album = new("photo-album", "Some 1,400 pictured concepts in seven drawing styles, named in over 100 languages. Needs npm once.");
        album.SetAction((parsed, cancellation) => Task.Run(() => PrepareAlbum(parsed, cancellation), CancellationToken.None));
        Command shapes = new("shapes", "Drawn scenes with composed captions in five languages. Needs nothing.");
        shapes.SetAction((parsed, _) => Task.Run(() => ShowShapes(parsed), CancellationToken.None));
        Argument<string> name = new("name") { Description = "ORGANISATION/NAME, such as intfloat/multilingual-e5-small; @REVISION behind it for a branch, tag or commit." };
        Command model = new(
            "model",
            "A checkpoint of the public model hub: safetensors, tokenizer, preprocessor. Kept in the cache and named ORGANISATION/NAME wherever a model is taken. HF_ENDPOINT, HF_TOKEN.")
        {
            name,
        };
        model.SetAction((parsed, cancellation) => FetchModelAsync(parsed, parsed.GetValue(name)!, cancellation));
        Command list = new("list", "What there is, and whether it is prepared.");
        list.SetAction((parsed, _) => Task.Run(() => List(parsed), CancellationToken.None));
        return new Command("data", "Fetch, check and prepare data.") { album, shapes, model, list };
    }

    /// <summary>Shows how far a preparation has come.</summary>
    public static IProgress<DataProgress> Progress(Terminal terminal) => new ProgressLines(terminal);

    private static int PrepareAlbum(ParseResult parsed, CancellationToken cancellation)
    {
        Terminal terminal = Terminal.Of(parsed);
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        PhotoAlbumSummary summary = PhotoAlbum.Prepare(cache, Progress(terminal), cancellation);
        terminal.ClearLive();
        string folder = PhotoAlbum.Folder(cache);
        if (terminal.IsJson)
        {
            WriteJson(terminal, json =>
            {
                json.WriteString("name", PhotoAlbum.Name);
                json.WriteString("folder", folder);
                json.WriteNumber("byteCount", SizeOf(folder));
                json.WriteNumber("concepts", summary.Concepts);
                json.WriteNumber("train", summary.Train);
                json.WriteNumber("validation", summary.Validation);
                json.WriteNumber("test", summary.Test);
                json.WriteNumber("heldOutCaptions", summary.HeldOutCaptions);
                json.WriteNumber("pictures", summary.Pictures);
                json.WriteStartArray("styles");
                foreach (PhotoAlbumStyle style in summary.Styles)
                {
                    JsonSerializer.Serialize(json, style, CliJson.Default.PhotoAlbumStyle);
                }

                json.WriteEndArray();
                json.WriteStartArray("languages");
                foreach (PhotoAlbumLanguage language in summary.Languages)
                {
                    JsonSerializer.Serialize(json, language, CliJson.Default.PhotoAlbumLanguage);
                }

                json.WriteEndArray();
                WriteSources(json, summary.Sources);
            });
            return CommandLine.Success;
        }

        terminal.Say(string.Create(
            CultureInfo.InvariantCulture,
            $"photo album: {summary.Concepts:N0} concepts ({summary.Train:N0} train, {summary.Validation} validation, {summary.Test} test; {summary.HeldOutCaptions} train names held out), {summary.Pictures:N0} pictures of {summary.PictureSize} x {summary.PictureSize}"));
        Table styles = new Table().Border(TableBorder.Simple).AddColumns("style", "pictures", "for", "licence");
        foreach (PhotoAlbumStyle style in summary.Styles)
        {
            styles.AddRow(Markup.Escape(style.Style.Title), style.Pictures.ToString("N0", CultureInfo.InvariantCulture), style.Style.Unseen ? "evaluation only (unseen)" : "training", Markup.Escape(style.Style.Licence));
        }

        terminal.Write(styles);
        terminal.Say($"{summary.Languages.Count} languages: {string.Join(" ", summary.Languages.Select(l => l.Code))}");
        WriteSources(terminal, summary.Sources);
        terminal.Say(string.Create(CultureInfo.InvariantCulture, $"in {folder} ({SizeOf(folder) / 1e6:F0} MB)"));
        return CommandLine.Success;
    }

    private static int ShowShapes(ParseResult parsed)
    {
        Terminal terminal = Terminal.Of(parsed);
        CaptionedPictures shapes = ShapesDataSet.Create(new DataSetOptions());
        if (terminal.IsJson)
        {
            WriteJson(terminal, json =>
            {
                json.WriteString("name", shapes.Name);
                json.WriteNumber("concepts", shapes.Concepts.Count);
                json.WriteNumber("pictures", shapes.Pictures.Count);
                json.WriteStartArray("languages");
                foreach (string language in shapes.Languages)
                {
                    json.WriteStringValue(language);
                }

                json.WriteEndArray();
                WriteSources(json, shapes.Sources);
            });
            return CommandLine.Success;
        }

        terminal.Say(string.Create(
            CultureInfo.InvariantCulture,
            $"shapes: {shapes.Concepts.Count:N0} concepts ({shapes.ConceptsOf(DataSplit.Train).Length:N0} train, {shapes.ConceptsOf(DataSplit.Validation).Length} validation, {shapes.ConceptsOf(DataSplit.Test).Length} test), {shapes.Pictures.Count:N0} pictures in {shapes.Styles.Count} styles, languages {string.Join(" ", shapes.Languages)}"));
        terminal.Say("drawn by this program when it is used; nothing is fetched or kept");
        return CommandLine.Success;
    }

    private static async Task<int> FetchModelAsync(ParseResult parsed, string name, CancellationToken cancellation)
    {
        Terminal terminal = Terminal.Of(parsed);
        HubModelName parsedName = WrongInvocationException.Guard(() => HubModelName.Parse(name));
        HubOptions options = WrongInvocationException.Guard(HubOptions.FromEnvironment);
        Stopwatch watch = Stopwatch.StartNew();
        HubModel model = await HubModels.FetchAsync(parsedName, parsed.GetValue(GlobalOptions.Cache)?.FullName, options, Progress(terminal), cancellation).ConfigureAwait(false);
        terminal.ClearLive();
        if (model.Warning.Length > 0)
        {
            terminal.Say($"warning: {model.Warning}");
        }

        if (terminal.IsJson)
        {
            WriteJson(terminal, json => WriteModel(json, model));
            return CommandLine.Success;
        }

        double seconds = Math.Max(watch.Elapsed.TotalSeconds, 1e-3);
        string how = model.FetchedByteCount == 0
            ? "all of it was in the cache"
            : string.Create(CultureInfo.InvariantCulture, $"{model.FetchedByteCount / 1e6:F1} MB fetched in {seconds:F1} s ({model.FetchedByteCount / 1e6 / seconds:F1} MB/s), sizes and checksums as the hub says");
        terminal.Say($"{model.Name} at commit {model.Commit}: {how}");
        terminal.Say($"licence: {(model.Licence.Length == 0 ? "not stated" : model.Licence)}");
        terminal.Say(string.Create(CultureInfo.InvariantCulture, $"in {model.Folder} ({model.ByteCount / 1e6:F1} MB)"));
        return CommandLine.Success;
    }

    private static void WriteModel(Utf8JsonWriter json, HubModel model)
    {
        json.WriteString("name", model.Name.ToString());
        json.WriteString("commit", model.Commit);
        json.WriteString("folder", model.Folder);
        json.WriteNumber("byteCount", model.ByteCount);
        json.WriteNumber("fetchedByteCount", model.FetchedByteCount);
        json.WriteString("licence", model.Licence);
    }

    private static int List(ParseResult parsed)
    {
        Terminal terminal = Terminal.Of(parsed);
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        bool prepared = PhotoAlbum.IsPrepared(cache);
        string folder = PhotoAlbum.Folder(cache);
        IReadOnlyList<HubModel> models = HubModels.List(cache);
        if (terminal.IsJson)
        {
            WriteJson(terminal, json =>
            {
                json.WriteStartArray("data");
                json.WriteStartObject();
                json.WriteString("name", PhotoAlbum.Name);
                json.WriteBoolean("prepared", prepared);
                json.WriteString("folder", folder);
                json.WriteEndObject();
                json.WriteStartObject();
                json.WriteString("name", ShapesDataSet.Name);
                json.WriteBoolean("prepared", true);
                json.WriteEndObject();
                json.WriteEndArray();
                json.WriteStartArray("models");
                foreach (HubModel model in models)
                {
                    json.WriteStartObject();
                    WriteModel(json, model);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            });
            return CommandLine.Success;
        }

        Table table = new Table().Border(TableBorder.Simple).AddColumns("name", "state", "where")
            .AddRow(PhotoAlbum.Name, prepared ? "prepared" : "not prepared: crossalign data photo-album", Markup.Escape(folder))
            .AddRow(ShapesDataSet.Name, "built in", "drawn when it is used");
        foreach (HubModel model in models)
        {
            table.AddRow(Markup.Escape(model.Name.ToString()), string.Create(CultureInfo.InvariantCulture, $"model, {model.ByteCount / 1e6:F1} MB"), Markup.Escape(model.Folder));
        }

        terminal.Write(table);
        return CommandLine.Success;
    }

    private static void WriteSources(Terminal terminal, IReadOnlyList<DataSource> sources)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("source", "version", "licence", "gives");
        foreach (DataSource source in sources)
        {
            table.AddRow(Markup.Escape(source.Name), Markup.Escape(source.Version), Markup.Escape(source.Licence), Markup.Escape(source.Provides));
        }

        terminal.Write(table);
    }

    private static void WriteSources(Utf8JsonWriter json, IReadOnlyList<DataSource> sources)
    {
        json.WriteStartArray("sources");
        foreach (DataSource source in sources)
        {
            JsonSerializer.Serialize(json, source, CliJson.Default.DataSource);
        }

        json.WriteEndArray();
    }

    private static void WriteJson(Terminal terminal, Action<Utf8JsonWriter> write)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        terminal.Results.WriteLine(System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length));
    }

    private static long SizeOf(string folder) => Directory.Exists(folder)
        ? new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length)
        : 0;

    /// <summary>A live line on a terminal; elsewhere a line for each activity.</summary>
    private sealed class ProgressLines(Terminal terminal) : IProgress<DataProgress>
    {
        private readonly Lock _lock = new();
        private string _activity = string.Empty;

        public void Report(DataProgress value)
        {
            lock (_lock)
            {
                if (terminal.IsInteractive)
                {
                    terminal.Live(value.Fraction is { } fraction
                        ? string.Create(CultureInfo.InvariantCulture, $"{value.Activity} {100 * fraction:F0} %")
                        : value.Activity);
                }
                else if (value.Activity != _activity)
                {
                    terminal.Say(value.Activity);
                }

                _activity = value.Activity;
            }
        }
    }
}
