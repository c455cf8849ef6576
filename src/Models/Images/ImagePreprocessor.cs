using System.Globalization;
using System.Text.Json.Nodes;
using CrossAlign.Models.Images.Preprocessing;

namespace CrossAlign.Models.Images;

/// <summary>
/// What a published <c>preprocessor_config.json</c> does to a decoded picture, in its order: resize, centre crop, rescale, normalise.
/// The levels after resize and crop are those of transformers' processors on Pillow; the numbers after them are correctly rounded.
/// </summary>
public sealed record ImagePreprocessor
{
    /// <summary>The file's name in a checkpoint folder.</summary>
    public const string FileName = "preprocessor_config.json";

    private const int Channels = 3;

    private static readonly double[] s_none = [];

    /// <summary>How the picture comes to its size.</summary>
    public ImageSizing Sizing { get; init; } = ImageSizing.Squash;

    /// <summary>The height of <see cref="ImageSizing.Squash"/>, else the length of the side that is given one.</summary>
    public int Height { get; init; } = 224;

    /// <summary>The width of <see cref="ImageSizing.Squash"/>; not read otherwise.</summary>
    public int Width { get; init; } = 224;

    /// <summary>How it is resized.</summary>
    public ResizeFilter Filter { get; init; } = ResizeFilter.Bilinear;

    /// <summary>Which pass of the resize comes first.</summary>
    public ResizeOrder Order { get; init; } = ResizeOrder.Pillow13;

    /// <summary>The height of the centre crop; 0 for none. What the picture lacks is black.</summary>
    public int CropHeight { get; init; }

    /// <summary>The width of the centre crop; 0 for none.</summary>
    public int CropWidth { get; init; }

    /// <summary>Whether the crop's offset is rounded half to even, as torchvision does for open_clip, and not downwards, as transformers does.</summary>
    public bool CropRoundsToEven { get; init; }

    /// <summary>What levels of 0 to 255 are multiplied by; 1 where nothing is rescaled.</summary>
    public double RescaleFactor { get; init; } = 1 / 255.0;

    /// <summary>What is subtracted from each channel.</summary>
    public IReadOnlyList<double> Mean { get; init; } = [0.5, 0.5, 0.5];

    /// <summary>What each channel is then divided by.</summary>
    public IReadOnlyList<double> Deviation { get; init; } = [0.5, 0.5, 0.5];

    /// <summary>Whether every picture comes out at one size, so that any of them go into one batch.</summary>
    public bool HasOneSize => CropHeight > 0 || Sizing is ImageSizing.Squash or ImageSizing.Pad;

    /// <summary>The part before rescaling and normalising: equal for preprocessors from which pictures come with the same levels.</summary>
    internal ImagePreprocessor Fitting => this with { Mean = s_none, Deviation = s_none, RescaleFactor = 1 };

    /// <summary>The standard of ViT: stretched to a square, bilinear, from -1 to 1.</summary>
    /// <param name="size">Height and width.</param>
    public static ImagePreprocessor Vit(int size) => new() { Height = size, Width = size };

    /// <summary>The standard of CLIP: shortest edge, bicubic, centre crop, its own mean and deviation.</summary>
    /// <param name="size">Height and width.</param>
    public static ImagePreprocessor Clip(int size) => new()
    {
        Sizing = ImageSizing.ShortestEdge,
        Height = size,
        Width = size,
        Filter = ResizeFilter.Bicubic,
        CropHeight = size,
        CropWidth = size,
        Mean = [0.48145466, 0.4578275, 0.40821073],
        Deviation = [0.26862954, 0.26130258, 0.27577711],
    };

    /// <summary>Reads a <c>preprocessor_config.json</c>, of today or of older releases.</summary>
    /// <param name="path">The file.</param>
    /// <returns>What it says.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or asks for what is not done here; the message names the key.</exception>
    public static ImagePreprocessor Read(string path) => PreprocessorConfigReader.Read(path);

    /// <summary>The file of a checkpoint folder that says how pictures are prepared.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns><see cref="FileName"/>, or the newer <c>processor_config.json</c> where it has an image processor; null where there is neither.</returns>
    /// <exception cref="UserErrorException">A <c>processor_config.json</c> is no JSON object.</exception>
    public static string? FileIn(string folder)
    {
        folder = Checkpoints.SentenceTransformersReader.TowerIn(folder);
        string usual = Path.Combine(folder, FileName);
        string newer = Path.Combine(folder, "processor_config.json");
        return File.Exists(usual) ? usual
            : File.Exists(newer) && Encoders.EncoderConfigReader.ReadFile(newer).ContainsKey("image_processor") ? newer
            : null;
    }

    /// <summary>The size of a picture after resize and crop.</summary>
    /// <param name="width">Its width.</param>
    /// <param name="height">Its height.</param>
    /// <returns>Width and height.</returns>
    /// <exception cref="UserErrorException">The picture is so long that the size is out of range.</exception>
    public (int Width, int Height) SizeOf(int width, int height) => CropHeight > 0 ? (CropWidth, CropHeight) : ResizedSize(width, height);

    /// <summary>The same preparation for squares of another size: what a tower is given whose positions are interpolated.</summary>
    /// <param name="size">Height and width of what comes out.</param>
    /// <param name="name">Names the preprocessor in an error: its file.</param>
    /// <returns>A preprocessor from which every picture comes as a square of that size.</returns>
    /// <exception cref="UserErrorException">What comes out here is no square, or of no one size.</exception>
    public ImagePreprocessor ForSquares(int size, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        if (!HasOneSize)
        {
            throw new UserErrorException($"'{name}' gives pictures of different sizes, which do not go into one batch", "add a centre crop to it, or resize to a height and a width");
        }

        (int width, int height) = SizeOf(1, 1);
        if (width != height)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"'{name}' gives pictures of {width} x {height}, and towers are trained on squares"), "give it a height and a width that are the same");
        }

        return this with
        {
            Height = Scaled(Height),
            Width = Scaled(Width),
            CropHeight = CropHeight == 0 ? 0 : size,
            CropWidth = CropWidth == 0 ? 0 : size,
        };

        int Scaled(int side) => width == size ? side : Math.Max(1, (int)Math.Round((double)side * size / width));
    }

    /// <summary>Resizes and crops.</summary>
    /// <param name="image">The picture.</param>
    /// <returns>The picture at the size of <see cref="SizeOf"/>.</returns>
    /// <exception cref="UserErrorException">The picture is so long that its size is out of range.</exception>
    public RgbImage Fit(RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (Sizing == ImageSizing.Pad)
        {
            RgbImage padded = ImagePadding.Pad(image, Height, Filter, Order);
            return CropHeight == 0 ? padded : Crop(padded, padded.Width, padded.Height);
        }

        (int width, int height) = ResizedSize(image.Width, image.Height);
        return CropHeight == 0 ? ImageResize.Resize(image, width, height, Filter, Order) : Crop(image, width, height);
    }

    /// <summary>Rescales and normalises: (level factor - mean) / deviation.</summary>
    /// <param name="image">The picture after <see cref="Fit"/>.</param>
    /// <param name="destination">float32 [3, H, W], overwritten.</param>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is of another length.</exception>
    public void Normalize(RgbImage image, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (destination.Length != image.Pixels.Length)
        {
            throw new ArgumentException("A normalised picture has three numbers for every pixel.", nameof(destination));
        }

        int plane = image.Width * image.Height;
        Span<float> levels = stackalloc float[256];
        for (int channel = 0; channel < Channels; channel++)
        {
            for (int level = 0; level < levels.Length; level++)
            {
                levels[level] = (float)(((level * RescaleFactor) - Mean[channel]) / Deviation[channel]);
            }

            Span<float> target = destination.Slice(channel * plane, plane);
            ReadOnlySpan<byte> source = image.Pixels;
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = levels[source[(Channels * i) + channel]];
            }
        }
    }

    /// <summary>
    /// The file's content, as <c>ViTImageProcessor</c> reads it, and <c>CLIPImageProcessor</c> where a crop follows. Padding, which neither knows,
    /// stands under a key of its own: there a picture that is not square is stretched, and one that is square comes out the same.
    /// </summary>
    /// <returns>The JSON object, its keys in order.</returns>
    /// <exception cref="InvalidOperationException">No published preprocessor does the same.</exception>
    internal JsonObject ToJson()
    {
        bool isClip = Sizing == ImageSizing.ShortestEdge && CropHeight > 0;
        if (!isClip && (Sizing is not (ImageSizing.Squash or ImageSizing.Pad) || CropHeight > 0))
        {
            throw new InvalidOperationException("published preprocessors stretch to a size, or give the shortest edge one and crop.");
        }

        JsonObject json = [];
        if (isClip)
        {
            json["crop_size"] = new JsonObject { ["height"] = CropHeight, ["width"] = CropWidth };
        }

        if (Sizing == ImageSizing.Pad)
        {
            json["crossalign_fit"] = "pad";
        }

        if (isClip)
        {
            json["do_center_crop"] = true;
        }

        json["do_normalize"] = true;
        json["do_rescale"] = true;
        json["do_resize"] = true;
        json["image_mean"] = new JsonArray([.. Mean.Select(v => (JsonNode)v)]);
        json["image_processor_type"] = isClip ? "CLIPImageProcessor" : "ViTImageProcessor";
        json["image_std"] = new JsonArray([.. Deviation.Select(v => (JsonNode)v)]);
        json["resample"] = (int)Filter;
        json["rescale_factor"] = RescaleFactor;
        json["size"] = isClip
            ? new JsonObject { ["shortest_edge"] = Height }
            : new JsonObject { ["height"] = Height, ["width"] = Sizing == ImageSizing.Pad ? Height : Width };
        return json;
    }

    private (int Width, int Height) ResizedSize(int width, int height)
    {
        switch (Sizing)
        {
            case ImageSizing.Squash:
                return (Width, Height);
            case ImageSizing.Pad:
                return (Height, Height);
            case ImageSizing.ShortestEdge:
                long shorter = Math.Min(width, height);
                long longer = Height * (long)Math.Max(width, height) / shorter;
                return longer > int.MaxValue
                    ? throw new UserErrorException(
                        string.Create(CultureInfo.InvariantCulture, $"a picture of {width} x {height} is too long to give its shorter side {Height} pixels"), "leave it out")
                    : width <= height ? (Height, (int)longer) : ((int)longer, Height);
            default:
                return (width, height);
        }
    }

    // Of a resize only the part that stays is computed: a picture of 1 x 60,000 costs no more than its middle.
    private RgbImage Crop(RgbImage image, int width, int height)
    {
        bool isPadded = Sizing == ImageSizing.Pad;
        (int left, int windowWidth, int atX) = Window(width, CropWidth);
        (int top, int windowHeight, int atY) = Window(height, CropHeight);
        ResizeFilter filter = isPadded ? ResizeFilter.Nearest : Filter;
        RgbImage window = ImageResize.Resize(image, width, height, filter, Order, left, top, windowWidth, windowHeight);
        if (windowWidth == CropWidth && windowHeight == CropHeight)
        {
            return window;
        }

        RgbImage black = new(CropWidth, CropHeight, new byte[3 * CropWidth * CropHeight]);
        ImagePadding.Place(window, black, atX, atY);
        return black;
    }

    // Where a side is shorter than the crop, transformers puts the odd row of padding in front.
    private (int First, int Count, int At) Window(int length, int crop)
    {
        int spare = length - crop;
        return spare < 0 ? (0, length, (1 - spare) / 2)
            : (CropRoundsToEven ? (int)Math.Round(spare / 2.0, MidpointRounding.ToEven) : spare / 2, crop, 0);
    }
}
