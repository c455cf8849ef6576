using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Data;

/// <summary>Opens a data set by the name that configurations and commands use.</summary>
public static class DataSets
{
    /// <summary>
    /// What a run's configuration asks of its data set: its languages (English beside them: figures are compared with it), picture size and split, and of
    /// a published image tower how pictures come to their size.
    /// </summary>
    /// <param name="config">The configuration.</param>
    /// <param name="moreLanguages">Languages that are evaluated beside those trained on.</param>
    /// <param name="checkpoint">A checkpoint of the run, which has the published tower's files wherever they came from; null for a run that is not started yet.</param>
    /// <returns>The options.</returns>
    /// <exception cref="UserErrorException">The published tower's preprocessor cannot be read, or gives no squares.</exception>
    public static DataSetOptions OptionsOf(RunConfig config, IEnumerable<string>? moreLanguages = null, string? checkpoint = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new DataSetOptions
        {
            Languages = [.. config.Languages.Append("en").Concat(moreLanguages ?? []).Distinct(StringComparer.Ordinal)],
            PictureSize = config.ImageTower.ImageSize,
            SplitSalt = config.SplitSalt,
            Preprocessor = config.Objective == Objective.ImageText && config.ImageTower.From is string published
                ? TowerPreparation.Of(config, checkpoint is null ? published : Path.Combine(checkpoint, ModelFolder.ImageName))
                : null,
        };
    }

    /// <summary>Opens a data set, preparing it where needed.</summary>
    /// <param name="name"><c>photo-album</c>, <c>shapes</c>, or a folder with a <c>captions.jsonl</c>.</param>
    /// <param name="options">Languages, picture size, split.</param>
    /// <param name="cache">The value of <c>--cache</c>, or null.</param>
    /// <param name="progress">Told how far a preparation has come.</param>
    /// <param name="cancellationToken">Stops a preparation.</param>
    /// <returns>The data set.</returns>
    /// <exception cref="UserErrorException">There is no such data set, it cannot be read, or it lacks a language.</exception>
    /// <exception cref="OperationCanceledException">The work was stopped.</exception>
    public static CaptionedPictures Open(
        string name, DataSetOptions options, string? cache = null, IProgress<DataProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        return name switch
        {
            PhotoAlbum.Name => PhotoAlbum.Load(options, cache, progress, cancellationToken),
            ShapesDataSet.Name => ShapesDataSet.Create(options),

            // One damaged file among many thousands must not end a training; what is left out is said, with its name.
            _ when Directory.Exists(name) => FolderDataSet.Load(
                name, ImageDecoder.Current, options, new FolderOptions { SkipUnreadable = true }, progress: progress, cancellationToken: cancellationToken),
            _ => throw new UserErrorException(
                $"there is no data set '{name}'", $"give {PhotoAlbum.Name}, {ShapesDataSet.Name}, or a folder with a captions.jsonl"),
        };
    }
}
