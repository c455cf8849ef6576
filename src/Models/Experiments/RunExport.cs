using System.Globalization;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Experiments;

/// <summary>Writes a run for the ecosystem: its towers as published checkpoint folders, its heads, and a card that says where it comes from.</summary>
public static class RunExport
{
    /// <summary>Writes the folder.</summary>
    /// <param name="source">A run, or one of its checkpoints.</param>
    /// <param name="device">Where the model lies meanwhile.</param>
    /// <param name="folder">Where to write.</param>
    /// <param name="name">The model's name on the card.</param>
    /// <param name="sources">Where the data comes from, with licences; empty where it is not known here.</param>
    /// <returns>The parameters that the checkpoint lacks and that are newly initialised here: poolers, through which no vector passes and without which the published framework names a missing key.</returns>
    /// <exception cref="UserErrorException">The source is no run, or a file cannot be read or written.</exception>
    public static IReadOnlyList<string> Write(ModelSource source, Device device, string folder, string name, IReadOnlyList<DataSource> sources)
    {
        ArgumentNullException.ThrowIfNull(source);
        RunConfig config = source.Config ?? throw new UserErrorException($"'{source.Folder}' holds no run", "give the folder that train wrote; a published checkpoint needs no export");
        using TwoTowerModel model = ModelFolder.Load(device, source.Folder, TowerFactory.WithPooler, TowerFactory.WithPooler, out IReadOnlyList<CheckpointReport> reports);
        IReadOnlyList<string> fresh = CheckpointReport.NewlyInitialized(model.Parameters, reports);
        foreach (Parameter parameter in model.Parameters.Parameters.Where(p => fresh.Contains(p.Name)))
        {
            ParameterInitialization.Initialize(parameter, (ulong)config.Seed);
        }

        string image = Path.Combine(source.Folder, ModelFolder.ImageName);
        HubExport.Write(model, folder, new HubExportContent
        {
            Card = CardOf(source, config, name, sources, fresh),
            Tokenizer = config.TextTower.From is null ? source.LoadTokenizer() : null,
            NormalizesCaptions = config.Tokenizer.Kind == TokenizerSource.Train,

            // The checkpoint has its own copies of what belongs to a published tower.
            TextSource = config.TextTower.From is null ? null : source.TextFolder,
            ImageSource = config.ImageTower.From is null || model.Image is null ? null : image,
            ImageSize = config.ImageTower.ImageSize,
            Preprocessor = model.Image is null ? null : TowerPreparation.Of(config, image, model.Image.Config),
            Settings = model.Text is null ? SentenceTransformersSettings.None : source.ReadSettings(model.Text),
        });
        return fresh;
    }

    private static ModelCard CardOf(ModelSource source, RunConfig config, string name, IReadOnlyList<DataSource> sources, IReadOnlyList<string> fresh)
    {
        string[] bases = [.. new[] { config.TextTower.From, config.ImageTower.From }.OfType<string>().Select(p => HubModels.IdOf(p) ?? PublishedTowers.NameOf(p)).Distinct(StringComparer.Ordinal)];
        return new ModelCard
        {
            Name = name,
            Summary = config.Objective == Objective.ImageText
                ? "Captions of several languages and pictures in one space, trained by contrast: texts that mean the same lie close together."
                : "Captions of several languages in one space, trained by contrast with their English captions.",
            Languages = config.Languages,
            BaseModels = bases,
            Data = DataOf(source, config, sources),
            Training = fresh.Count == 0 ? TrainingOf(source, config) : [.. TrainingOf(source, config), $"newly initialised at the export, and not a part of any vector: {string.Join(", ", fresh)}"],
        };
    }

    private static List<string> DataOf(ModelSource source, RunConfig config, IReadOnlyList<DataSource> sources)
    {
        bool isFolder = Path.IsPathRooted(config.Data) || config.Data.Contains(Path.DirectorySeparatorChar, StringComparison.Ordinal);
        string set = isFolder ? "a folder of captioned pictures" : $"`{config.Data}`";
        List<string> lines =
        [
            source.Record is null ? set : $"{set}, checksum `{source.Record.DataChecksum}`",
            $"captions in {string.Join(", ", config.Languages)}",
            config.TextTower.From is null && config.Tokenizer.Kind == TokenizerSource.Train
                ? "texts were normalised before they were tokenized (NFKC, lower case, punctuation to spaces); `tokenizer.json` does so itself"
                : "texts were normalised before they were tokenized (NFKC, lower case, punctuation to spaces); the published tokenizer takes them as they are",
        ];
        if (config.ScrambleCaptions.Count > 0)
        {
            lines.Add($"captions permuted among the concepts (a control that must not align): {string.Join(", ", config.ScrambleCaptions)}");
        }

        lines.AddRange(sources.Select(s => $"{s.Name} {s.Version} ({(s.Licence.Length == 0 ? "licence not stated" : s.Licence)}): {s.Provides}"));
        return lines;
    }

    private static List<string> TrainingOf(ModelSource source, RunConfig config)
    {
        List<string> lines =
        [
            string.Create(CultureInfo.InvariantCulture, $"recipe `{config.Recipe}`, set-up `{config.Setup}`, seed {config.Seed}"),
            string.Create(CultureInfo.InvariantCulture, $"{config.Steps} steps of {config.BatchSize} examples, {config.CaptionsPerPicture} captions each; checkpoint `{Path.GetFileName(source.Folder)}`"),
            string.Create(CultureInfo.InvariantCulture, $"learning rate {config.Optimizer.LearningRate}, weight decay {config.Optimizer.WeightDecay}"),
        ];
        if (source.Record is { } record)
        {
            string commit = record.Commit is null ? string.Empty : $" ({record.Commit})";
            lines.Add($"CrossAlign {record.Version}{commit} on {record.Device}");
            if (record.ExitReason is not null)
            {
                lines.Add($"the run ended: {record.ExitReason}");
            }
        }

        return lines;
    }
}
