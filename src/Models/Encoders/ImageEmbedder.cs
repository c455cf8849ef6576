using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Runtime;
using Microsoft.Extensions.AI;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// Picture files to vectors: decoder, preprocessor, tower, pooling, head. Pictures of one size go through the tower in batches; a
/// picture's vector does not depend on the others to the bit. Calls from several threads wait for each other.
/// </summary>
/// <example>
/// <code>
/// using ImageEmbedder embedder = ImageEmbedder.Load("vit-base-patch16-224-in21k");
/// float[][] vectors = embedder.Embed(Directory.GetFiles("photos"));
/// </code>
/// </example>
public sealed class ImageEmbedder : ModelEmbedder<DataContent>
{
    private readonly ImageTower _tower;
    private readonly ImageEmbedderOptions _options;

    /// <summary>An embedder over a model that is loaded already.</summary>
    /// <param name="model">A model with an image tower; owned by the embedder from now on.</param>
    /// <param name="preprocessor">How pictures are prepared.</param>
    /// <param name="options">What deviates from the model.</param>
    /// <exception cref="UserErrorException">The model has no image tower, or the pictures would be smaller than a patch.</exception>
    public ImageEmbedder(TwoTowerModel model, ImagePreprocessor preprocessor, ImageEmbedderOptions? options = null)
        : this(model, ownsModel: true, preprocessor, options ?? new ImageEmbedderOptions(), null)
    {
    }

    private ImageEmbedder(TwoTowerModel model, bool ownsModel, ImagePreprocessor preprocessor, ImageEmbedderOptions options, string? name)
        : base(model, ownsModel, name)
    {
        ArgumentNullException.ThrowIfNull(preprocessor);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1, nameof(options));
        _tower = RequireTower(model);
        _options = options;
        Preprocessor = preprocessor;
        Pooling = options.Pooling ?? model.Options.ImagePooling;
    }

    /// <summary>How a picture's rows become its vector.</summary>
    public PoolingKind Pooling { get; }

    /// <summary>How pictures are prepared.</summary>
    public ImagePreprocessor Preprocessor { get; }

    /// <inheritdoc/>
    public override int Width => _options.Project && Model.ImageHead is not null ? Model.EmbeddingWidth() : _tower.Config.Width;

    /// <summary>Loads a model with an image tower: a published checkpoint, an exported folder, a run, or a checkpoint of one.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">What deviates from the model.</param>
    /// <param name="device">Where the model is to lie; null: the processor, with all its threads.</param>
    /// <returns>The embedder, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The folder holds no image model that is known here, or asks for a preparation that is not done here.</exception>
    public static ImageEmbedder Load(string folder, ImageEmbedderOptions? options = null, Device? device = null)
    {
        TwoTowerModel model = TwoTowerModel.Load(folder, device);
        try
        {
            return Over(model, ownsModel: true, options);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The vectors of picture files.</summary>
    /// <param name="files">PNG or JPEG files; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a picture, in the order of the files.</returns>
    /// <exception cref="UserErrorException">A picture cannot be read; the message names it.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public float[][] Embed(IEnumerable<string> files, CancellationToken cancellationToken = default) => EmbedEach(files, PrepareFile, cancellationToken);

    /// <summary>The vectors of decoded pictures.</summary>
    /// <param name="images">The pictures; none are allowed.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <returns>A vector a picture, in the order of the pictures.</returns>
    /// <exception cref="UserErrorException">A picture is smaller than a patch when it is prepared.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public float[][] Embed(IEnumerable<RgbImage> images, CancellationToken cancellationToken = default) => EmbedEach(images, image => Prepare(image, "the picture"), cancellationToken);

    /// <summary>Reads, decodes and prepares a file. Several threads may do so at once.</summary>
    /// <param name="file">A PNG or JPEG file.</param>
    /// <returns>What <see cref="EmbedPrepared"/> takes.</returns>
    /// <exception cref="UserErrorException">The picture cannot be read; the message names it.</exception>
    public PreparedImage PrepareFile(string file)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the picture '{file}' cannot be read: {e.Message}", "check the path", e);
        }

        return Prepare(_options.Decoder.Decode(bytes, file), $"the picture '{file}'");
    }

    /// <summary>The vectors of prepared pictures.</summary>
    /// <param name="images">The pictures; neighbours of one size go through the tower together.</param>
    /// <param name="destination">(number of pictures, <see cref="Width"/>), overwritten.</param>
    /// <param name="done">Told after each batch how many pictures it held and how many tokens; null for none.</param>
    /// <param name="cancellationToken">Looked at between batches.</param>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is too short.</exception>
    /// <exception cref="OperationCanceledException">The call was cancelled.</exception>
    public void EmbedPrepared(IReadOnlyList<PreparedImage> images, Span<float> destination, Action<int, int>? done = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        (float[] pixels, float[] next) = ([], []);
        EmbeddingInputs? inputs;
        lock (Model.Gate)
        {
            inputs = Model.Inputs;
        }

        int last = Fill(images, 0, ref pixels);
        for (int first = 0; first < images.Count;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            PreparedImage image = images[first];
            int count = last - first;
            int following = last;
            Span<float> vectors = destination.Slice(first * Width, count * Width);
            bool normalize = _options.Normalize ?? true;
            lock (Model.Gate)
            {
                if (inputs is null)
                {
                    Model.EmbedImages(pixels.AsSpan(0, count * image.Pixels.Length), count, image.Height, image.Width, vectors, _options.Project, normalize, Pooling);
                }
                else
                {
                    Model.EmbedImages(pixels, ShapeOf(images, first, last), vectors, _options.Project, normalize, Pooling, SendNext);
                }
            }

            following = inputs is null ? Fill(images, last, ref next) : following;
            done?.Invoke(count, count * image.TokenCount);
            (first, last) = (last, following);
            (pixels, next) = (next, pixels);

            // Beside the batch that is computed.
            void SendNext()
            {
                following = Fill(images, last, ref next);
                if (following > last)
                {
                    inputs!.Send(next, ShapeOf(images, last, following), _tower);
                }
            }
        }
    }

    private static Shape ShapeOf(IReadOnlyList<PreparedImage> images, int first, int last) => new(last - first, 3, images[first].Height, images[first].Width);

    // The pictures from a place on that go through the tower at once; gives the place behind them.
    private int Fill(IReadOnlyList<PreparedImage> images, int first, ref float[] pixels)
    {
        if (first == images.Count)
        {
            return first;
        }

        PreparedImage image = images[first];
        int last = first + 1;
        int most = Math.Max(1, _options.BatchTokens / image.TokenCount);
        while (last < images.Count && last - first < most && images[last].Height == image.Height && images[last].Width == image.Width)
        {
            last++;
        }

        int size = image.Pixels.Length;
        pixels = pixels.Length < (last - first) * size ? new float[(last - first) * size] : pixels;
        for (int i = first; i < last; i++)
        {
            images[i].Pixels.CopyTo(pixels, (i - first) * size);
        }

        return last;
    }

    private protected override float[][] Generate(IEnumerable<DataContent> values, CancellationToken cancellationToken)
    {
        return EmbedEach(values, PrepareContent, cancellationToken);

        PreparedImage PrepareContent(DataContent content)
        {
            string name = content.Name ?? "picture";
            return Prepare(_options.Decoder.Decode(content.Data.Span, name), $"the picture '{name}'");
        }
    }

    /// <summary>An embedder over a model that knows its folder.</summary>
    /// <param name="model">A model that <see cref="TwoTowerModel.Load(string, Device?)"/> gave.</param>
    /// <param name="ownsModel">Whether the model goes with the embedder.</param>
    /// <param name="options">What deviates from the model.</param>
    internal static ImageEmbedder Over(TwoTowerModel model, bool ownsModel, ImageEmbedderOptions? options)
    {
        ModelSource source = model.Source;
        ImagePreprocessor preprocessor = source.ReadPreprocessor(RequireTower(model).Config, out _);
        options ??= new ImageEmbedderOptions();
        return new ImageEmbedder(model, ownsModel, preprocessor, options with { Normalize = options.Normalize ?? source.NormalizesPictures(model) }, source.Name);
    }

    private static ImageTower RequireTower(TwoTowerModel model) =>
        model.Image ?? throw new UserErrorException("the model has no image tower", "name the folder of an image tower or of a two-tower model");

    private PreparedImage Prepare(RgbImage image, string name)
    {
        RgbImage fitted = Preprocessor.Fit(image);
        int patch = _tower.Config.PatchSize;
        if (fitted.Width < patch || fitted.Height < patch)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{name} is {fitted.Width} x {fitted.Height} when it is prepared, less than a patch of {patch} x {patch}"),
                "leave it out");
        }

        float[] pixels = new float[fitted.Pixels.Length];
        Preprocessor.Normalize(fitted, pixels);
        return new PreparedImage(pixels, fitted.Height, fitted.Width, 1 + (fitted.Height / patch * (fitted.Width / patch)));
    }

    // A window at a time: its pictures are decoded by all threads, then go through the tower.
    private float[][] EmbedEach<T>(IEnumerable<T> items, Func<T, PreparedImage> prepare, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(items);
        List<float[]> vectors = [];
        foreach (T[] window in items.Chunk(WindowSize()))
        {
            PreparedImage[] prepared = new PreparedImage[window.Length];
            ParallelFor(window.Length, i => prepared[i] = prepare(window[i]), cancellationToken);
            float[] packed = new float[window.Length * Width];
            EmbedPrepared(prepared, packed, cancellationToken: cancellationToken);
            vectors.AddRange(packed.Chunk(Width));
        }

        return [.. vectors];
    }

    private int WindowSize()
    {
        int grid = _tower.Config.GridSize;
        return Math.Clamp(2 * _options.BatchTokens / ((grid * grid) + 1), 2 * Environment.ProcessorCount, 1024);
    }

    // The first error by place, whatever the threads did first.
    private static void ParallelFor(int count, Action<int> body, CancellationToken cancellationToken)
    {
        UserErrorException?[] errors = new UserErrorException?[count];
        Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            try
            {
                body(i);
            }
            catch (UserErrorException e)
            {
                errors[i] = e;
            }
        });
        if (errors.FirstOrDefault(e => e is not null) is UserErrorException error)
        {
            throw error;
        }
    }
}
