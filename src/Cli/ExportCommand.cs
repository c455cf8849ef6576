using System.CommandLine;
using System.Text.Json;
using CrossAlign.Models.Data;
using CrossAlign.Models.Experiments;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary><c>crossalign export</c>: a run as folders that the published framework loads.</summary>
internal static class ExportCommand
{
    private const string HubFormat = "hf";

    public static Command Create()
    {
        Argument<DirectoryInfo> run = new("RUN") { Description = "The run's folder, or one of its checkpoints." };
        Option<string> format = new("--format") { Description = "hf: checkpoint folders as the public model hub has them.", DefaultValueFactory = _ => HubFormat };
        Option<DirectoryInfo> output = new("--out") { Description = "The folder to write.", Required = true };
        format.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is string given && given != HubFormat)
            {
                result.AddError($"there is no format '{given}'; give {HubFormat}");
            }
        });
        Command command = new("export", "Write a run's towers for other programs.") { run, format, output };
        command.SetAction((parsed, _) => Task.Run(
            () => Export(Terminal.Of(parsed), parsed, parsed.GetValue(run)!.FullName, parsed.GetValue(output)!.FullName),
            CancellationToken.None));
        return command;
    }

    private static int Export(Terminal terminal, ParseResult parsed, string run, string folder)
    {
        ModelSource source = WrongInvocationException.Guard(() => ModelSource.Find(run));
        using Device device = DeviceOptions.Open(parsed, terminal);
        string? cache = parsed.GetValue(GlobalOptions.Cache)?.FullName;
        IReadOnlyList<DataSource> sources = source.Config?.Data == PhotoAlbum.Name && PhotoAlbum.IsPrepared(cache) ? PhotoAlbum.Prepare(cache).Sources : [];
        bool existed = Directory.Exists(folder);
        IReadOnlyList<string> fresh;
        try
        {
            fresh = RunExport.Write(source, device, folder, Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), sources);
        }
        catch when (!existed && Directory.Exists(folder))
        {
            // Half an export looks like a whole one.
            Directory.Delete(folder, recursive: true);
            throw;
        }

        if (fresh.Count > 0)
        {
            terminal.Say($"newly initialised, since the checkpoint is without: {string.Join(", ", fresh)}");
        }

        string[] files = [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal)];
        if (terminal.IsJson)
        {
            using JsonLine line = new();
            terminal.Results.WriteLine(line.Text(json => Write(json, folder, source.Folder, files)));
        }
        else
        {
            terminal.Say($"exported {source.Folder} to {folder}:");
            foreach (string file in files)
            {
                terminal.Say($"  {file}");
            }
        }

        return CommandLine.Success;
    }

    private static void Write(Utf8JsonWriter json, string folder, string checkpoint, string[] files)
    {
        json.WriteStartObject();
        json.WriteString("folder", folder);
        json.WriteString("checkpoint", checkpoint);
        json.WriteStartArray("files");
        foreach (string file in files)
        {
            json.WriteStringValue(file);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
