using System.CommandLine;
using System.Text.Json.Nodes;
using CrossAlign.Models;
using CrossAlign.Models.Data;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Cli;

/// <summary>The options that put a run's configuration together.</summary>
internal sealed class RunConfigOptions
{
    private readonly Option<string> _recipe = new("--recipe")
    {
        Description = $"How: {string.Join(", ", Recipes.Names)}.",
        DefaultValueFactory = _ => "album",
    };

    private readonly Option<string> _setup = new("--setup")
    {
        Description = $"Who meets whom: {string.Join(", ", Setups.Names)}.",
        DefaultValueFactory = _ => "multilingual+quechua",
    };

    private readonly Option<string> _data;

    private readonly Option<string?> _languages = new("--languages") { Description = "Languages trained on, as in en,es,sw." };

    private readonly Option<string?> _precision = new("--precision") { Description = "Of matrix products: f32, tf32 (GPU) or bf16 (on a CUDA device of activations too)." };

    private readonly Option<string?> _accumulate = new("--accumulate")
    {
        Description = "none; exact: micro-batches, with the loss over the whole batch; plain: a loss for each micro-batch, which is another loss.",
    };

    private readonly Option<int?> _microBatch = new("--micro-batch") { Description = "Pictures a micro-batch, for --accumulate exact or plain." };

    private readonly Option<FileInfo?> _config = new("--config") { Description = "A JSON file with any part of the configuration." };

    private readonly Option<string[]> _set = new("--set")
    {
        Description = "One setting, as in --set optimizer.learningRate=1e-3; may be repeated.",
        DefaultValueFactory = _ => [],
    };

    public RunConfigOptions(string defaultData = PhotoAlbum.Name)
    {
        _data = new Option<string>("--data")
        {
            Description = "photo-album, shapes, or a folder with a captions.jsonl.",
            DefaultValueFactory = _ => defaultData,
        };
    }

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_recipe, _setup, _data, _languages, _precision, _accumulate, _microBatch, _config, _set])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>What <c>--precision</c> says, or null.</summary>
    public string? GivenPrecision(ParseResult parsed) => parsed.GetValue(_precision);

    /// <summary>The configuration in the order of precedence: recipe, set-up, file, settings, named options.</summary>
    /// <exception cref="WrongInvocationException">Something in it is unknown or out of range.</exception>
    /// <exception cref="UserErrorException">A published tower's folder cannot be read, or contradicts what is given.</exception>
    public RunConfig Read(ParseResult parsed) => WrongInvocationException.Guard(() => Gather(parsed)).Resolve(parsed.GetValue(GlobalOptions.Cache)?.FullName);

    /// <summary>
    /// The configuration that a run goes on with: the one that it was started with. Threads and device may be others; whatever else is
    /// given must be what the run has.
    /// </summary>
    /// <exception cref="WrongInvocationException">Something is given that the run was not started with, is unknown or out of range.</exception>
    /// <exception cref="UserErrorException">The folder holds no run.</exception>
    public RunConfig ReadResumed(ParseResult parsed, RunFolder folder)
    {
        if (!File.Exists(folder.ConfigPath))
        {
            throw new WrongInvocationException(new UserErrorException($"'{folder.FullPath}' holds no run", "give the folder that train wrote"));
        }

        RunConfigReader reader = RunConfigReader.OfRun(folder.ConfigPath);
        RunConfig saved = reader.Build();
        return WrongInvocationException.Guard(() => LayOver(parsed, folder, reader, saved));
    }

    private RunConfig LayOver(ParseResult parsed, RunFolder folder, RunConfigReader reader, RunConfig saved)
    {
        RunConfig asked = saved;
        IEnumerable<GivenSetting> starts = new[] { Named(parsed, _recipe, "recipe"), Named(parsed, _setup, "setup") }.OfType<GivenSetting>();
        foreach (GivenSetting setting in starts.Concat(Settings(parsed)))
        {
            setting.Lay(reader);
            asked = reader.Build();
            if (ConfigDifference.First(saved, asked) is { IsPlace: true })
            {
                // A tower may be named otherwise than by the folder that the run took it from.
                asked = reader.Resolve(parsed.GetValue(GlobalOptions.Cache)?.FullName);
            }

            if (ConfigDifference.First(saved, asked) is { } difference)
            {
                throw new UserErrorException(
                    $"{setting.Text} contradicts the run in '{folder.FullPath}': its '{difference.Key}' is {difference.Before}, not {difference.After}",
                    $"leave it out, for a run goes on with the configuration that it was started with; or start another run with another --out");
            }
        }

        return asked;
    }

    private RunConfigReader Gather(ParseResult parsed)
    {
        RunConfigReader reader = RunConfigReader.From(parsed.GetValue(_recipe)!, parsed.GetValue(_setup)!, parsed.GetValue(_data)!);
        foreach (GivenSetting setting in Settings(parsed))
        {
            setting.Lay(reader);
        }

        // What is wrong in itself is a wrong invocation; what a folder on disk says is not.
        reader.Build();
        return reader;
    }

    // In the order of precedence: file, settings, named options. One that was not given is absent: its default must not undo what a file says.
    private IEnumerable<GivenSetting> Settings(ParseResult parsed)
    {
        if (parsed.GetValue(_config) is { } file)
        {
            yield return new GivenSetting($"--config {file}", r => r.OverlayFile(file.FullName));
        }

        foreach (string assignment in parsed.GetValue(_set)!)
        {
            yield return new GivenSetting($"--set {assignment}", r => r.Set(assignment));
        }

        if (parsed.GetValue(_languages) is { } languages)
        {
            yield return new GivenSetting($"--languages {languages}", r => r.Set("languages", SplitList(languages)));
        }

        GivenSetting?[] named =
        [
            Named(parsed, _data, "data"), Named(parsed, _precision, "precision"), Named(parsed, _accumulate, "accumulate"), Named(parsed, _microBatch, "microBatchSize"),
            Named(parsed, GlobalOptions.Seed, "seed"), Named(parsed, GlobalOptions.Threads, "threads"), Named(parsed, GlobalOptions.Device, "device"),
            Named(parsed, GlobalOptions.Matmul, "matmul"),
        ];
        foreach (GivenSetting setting in named.OfType<GivenSetting>())
        {
            yield return setting;
        }
    }

    private static GivenSetting? Named<T>(ParseResult parsed, Option<T> option, string key) =>
        parsed.GetResult(option) is { Implicit: false } && JsonValue.Create(parsed.GetValue(option)) is { } value
            ? new GivenSetting($"{option.Name} {value}", r => r.Set(key, value))
            : null;

    private static JsonArray SplitList(string text) =>
        [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(s => (JsonNode)JsonValue.Create(s))];

    // One thing that was given on the command line: how it reads there, and what it does to a configuration.
    private sealed record GivenSetting(string Text, Action<RunConfigReader> Lay);
}
