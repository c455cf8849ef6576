using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Runtime;
using Microsoft.Extensions.AI;

namespace CrossAlign.Models.Encoders;

/// <content>The model as a library: from a folder to the vectors of texts and picture files.</content>
public sealed partial class TwoTowerModel
{
    private ModelSource? _source;
    private Device? _ownedDevice;
    private TextEmbedder? _textEmbedder;
    private ImageEmbedder? _imageEmbedder;

    /// <summary>Where the model was loaded from.</summary>
    /// <exception cref="InvalidOperationException">It was not loaded by <see cref="Load(string, Device?)"/>.</exception>
    internal ModelSource Source => _source ?? throw new InvalidOperationException("Only a model that was loaded from a folder by its path has a tokenizer and a preprocessor.");

    /// <summary>Held while the model computes: calls from several threads wait for each other.</summary>
    internal Lock Gate { get; } = new();

    /// <summary>
    /// Loads a model with all that belongs to it: a published checkpoint of a text tower, an image tower or CLIP, an exported folder, a run, a checkpoint of one.
    /// </summary>
    /// <param name="path">The folder.</param>
    /// <param name="device">Where the model is to lie, outliving it; null: the processor with all its threads, given back with the model.</param>
    /// <returns>The model, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no model that is known here, or its tensors do not fit; the message names what is wrong.</exception>
    /// <example>
    /// <code>
    /// using TwoTowerModel model = TwoTowerModel.Load("runs/mine");
    /// float[] dog = model.EmbedText("a dog in the snow");
    /// float[][] pictures = model.EmbedImage(Directory.GetFiles("photos"), cancellationToken);
    /// </code>
    /// </example>
    public static TwoTowerModel Load(string path, Device? device = null)
    {
        ModelSource source = ModelSource.Find(path);
        Device? owned = device is null ? new CpuDevice() : null;
        try
        {
            TwoTowerModel model = source.Load(device ?? owned!);
            (model._source, model._ownedDevice) = (source, owned);
            return model;
        }
        catch
        {
            owned?.Dispose();
            throw;
        }
    }

    /// <summary>The vector of a text, as the model's folder declares: prompt, pooling, head, length 1.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The vector.</returns>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no text tower or lacks its tokenizer, or the text is not well-formed.</exception>
    public float[] EmbedText(string text) => EmbedText([text])[0];

    /// <summary>The vectors of texts, in batches of about equal lengths; a text's vector does not depend on the others to the bit.</summary>
    /// <param name="texts">The texts; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a text, in the order of the texts.</returns>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no text tower or lacks its tokenizer, or a text is not well-formed.</exception>
    public float[][] EmbedText(IEnumerable<string> texts, CancellationToken cancellationToken = default) => Texts().Embed(texts, cancellationToken);

    /// <summary>The vector of a picture, prepared as the model's folder says.</summary>
    /// <param name="file">A PNG or JPEG file.</param>
    /// <returns>The vector.</returns>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no image tower, or the picture cannot be read; the message names it.</exception>
    public float[] EmbedImage(string file) => EmbedImage([file])[0];

    /// <summary>The vectors of pictures, in batches; the next ones are decoded by several threads.</summary>
    /// <param name="files">PNG or JPEG files; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a picture, in the order of the files.</returns>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no image tower, or a picture cannot be read; the message names it.</exception>
    public float[][] EmbedImage(IEnumerable<string> files, CancellationToken cancellationToken = default) => Images().Embed(files, cancellationToken);

    /// <summary>The vectors of decoded pictures.</summary>
    /// <param name="images">The pictures; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a picture, in the order of the pictures.</returns>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no image tower.</exception>
    public float[][] EmbedImage(IEnumerable<RgbImage> images, CancellationToken cancellationToken = default) => Images().Embed(images, cancellationToken);

    /// <summary>The text side as a generator for code that takes any provider's embeddings.</summary>
    /// <param name="options">What deviates from what the folder declares.</param>
    /// <returns>The generator; it lives as long as the model.</returns>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no text tower or lacks its tokenizer.</exception>
    public IEmbeddingGenerator<string, Embedding<float>> AsTextGenerator(TextEmbedderOptions? options = null) => TextEmbedder.Over(this, ownsModel: false, options);

    /// <summary>The image side as a generator for code that takes any provider's embeddings.</summary>
    /// <param name="options">What deviates from what the folder declares.</param>
    /// <returns>The generator; it lives as long as the model.</returns>
    /// <exception cref="InvalidOperationException">The model was not loaded by its path.</exception>
    /// <exception cref="UserErrorException">The model has no image tower.</exception>
    public IEmbeddingGenerator<DataContent, Embedding<float>> AsImageGenerator(ImageEmbedderOptions? options = null) => ImageEmbedder.Over(this, ownsModel: false, options);

    private TextEmbedder Texts()
    {
        lock (Gate)
        {
            return _textEmbedder ??= TextEmbedder.Over(this, ownsModel: false, null);
        }
    }

    private ImageEmbedder Images()
    {
        lock (Gate)
        {
            return _imageEmbedder ??= ImageEmbedder.Over(this, ownsModel: false, null);
        }
    }
}
