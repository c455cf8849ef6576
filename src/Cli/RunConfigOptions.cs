using System.CommandLine;
using System.Text.Json.Nodes;
using CrossAlign.Models.Data;
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

    /// <summary>The first of these options that was given, or null: resuming takes none.</summary>
    public string? FirstGiven(ParseResult parsed) =>
        ((Option[])[_recipe, _setup, _data, _languages, _precision, _accumulate, _microBatch, _config, _set, GlobalOptions.Seed, GlobalOptions.Matmul])
            .FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false })?.Name;

    /// <summary>The configuration in the order of precedence: recipe, set-up, file, settings, named options.</summary>
    /// <exception cref="WrongInvocationException">Something in it is unknown or out of range.</exception>
    /// <exception cref="Models.UserErrorException">A published tower's folder cannot be read, or contradicts what is given.</exception>
    public RunConfig Read(ParseResult parsed) => WrongInvocationException.Guard(() => Gather(parsed)).Resolve(parsed.GetValue(GlobalOptions.Cache)?.FullName);

    private RunConfigReader Gather(ParseResult parsed)
    {
        RunConfigReader reader = RunConfigReader.From(parsed.GetValue(_recipe)!, parsed.GetValue(_setup)!, parsed.GetValue(_data)!);
        if (parsed.GetValue(_config) is { } file)
        {
            reader.OverlayFile(file.FullName);
        }

        foreach (string setting in parsed.GetValue(_set)!)
        {
            reader.Set(setting);
        }

        // A named option counts only where it was given: its default must not undo what the file says.
        if (parsed.GetResult(_data) is { Implicit: false })
        {
            reader.Set("data", parsed.GetValue(_data)!);
        }

        if (parsed.GetValue(_languages) is { } languages)
        {
            reader.Set("languages", SplitList(languages));
        }

        if (parsed.GetValue(_precision) is { } precision)
        {
            reader.Set("precision", precision);
        }

        if (parsed.GetValue(_accumulate) is { } accumulate)
        {
            reader.Set("accumulate", accumulate);
        }

        if (parsed.GetValue(_microBatch) is { } microBatch)
        {
            reader.Set("microBatchSize", microBatch);
        }

        if (parsed.GetValue(GlobalOptions.Seed) is { } seed)
        {
            reader.Set("seed", seed);
        }

        if (parsed.GetValue(GlobalOptions.Threads) is { } threads)
        {
            reader.Set("threads", threads);
        }

        if (parsed.GetValue(GlobalOptions.Device) is { } device)
        {
            reader.Set("device", device);
        }

        if (parsed.GetValue(GlobalOptions.Matmul) is { } matmul)
        {
            reader.Set("matmul", matmul);
        }

        // What is wrong in itself is a wrong invocation; what a folder on disk says is not.
        reader.Build();
        return reader;
    }

    private static JsonArray SplitList(string text) =>
        [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(s => (JsonNode)JsonValue.Create(s))];
}
