using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Data;

/// <summary>How pictures are prepared for a run's image tower: alike in training, in evaluation, for embeddings, and as its checkpoints and exports say.</summary>
internal static class TowerPreparation
{
    /// <summary>The preparation of a run.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="imageFolder">The image tower's folder: the published one, or the checkpoint's copy of it; read only where the tower is a published one.</param>
    /// <param name="image">The tower; null where it is not read yet, and the configuration's word for its kind is taken.</param>
    /// <returns>
    /// Of a published tower what its folder says, or the standard of its architecture where the folder says nothing, at the run's size; of a tower from
    /// scratch that pictures are shown whole on white.
    /// </returns>
    /// <exception cref="UserErrorException">The folder's file cannot be read, asks for what is not done here, or gives no squares.</exception>
    public static ImagePreprocessor Of(RunConfig config, string imageFolder, ImageEncoderConfig? image = null) =>
        config.ImageTower.From is not null && ImagePreprocessor.FileIn(imageFolder) is string path
            ? ImagePreprocessor.Read(path).ForSquares(config.ImageTower.ImageSize, path)
            : WithoutFile(config, image);

    /// <summary>The preparation of a run whose image tower's folder has no file that says it.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="image">The tower; null where it is not read yet, and the configuration's word for its kind is taken.</param>
    /// <returns>The standard of a published tower's architecture, or that of towers from scratch.</returns>
    public static ImagePreprocessor WithoutFile(RunConfig config, ImageEncoderConfig? image)
    {
        ImageTowerConfig tower = config.ImageTower;
        return tower.From is null ? PictureAugmentation.PreprocessorOf(tower.ImageSize, PictureNormalization.Scratch)
            : image?.IsClip ?? tower.Kind != "vit" ? ImagePreprocessor.Clip(tower.ImageSize)
            : ImagePreprocessor.Vit(tower.ImageSize);
    }
}
