using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Images.Preprocessing;

/// <summary>
/// Reads <c>preprocessor_config.json</c>. A key that a file leaves out has the default of the processor that it names; a key with a value
/// that would change the numbers and is not known here is an error that names it.
/// </summary>
internal sealed class PreprocessorConfigReader
{
    private const string Known = "the processors of ViT, DeiT and CLIP are supported";

    // Say nothing about the numbers of a picture. "do_convert_rgb": pictures are decoded to RGB; a mask's labels are no pictures.
    private static readonly HashSet<string> s_harmless = new(StringComparer.Ordinal)
    {
        "_processor_class", "_valid_processor_keys", "auto_map", "device", "disable_grouping", "do_convert_rgb", "do_reduce_labels", "input_data_format",
        "processor_class", "reduce_labels", "return_tensors", "transformers_version",
    };

    private static readonly string[] s_suffixes = ["FeatureExtractor", "ImageProcessorFast", "ImageProcessorPil", "ImageProcessor"];

    private readonly string _path;
    private readonly JsonObject _json;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    private PreprocessorConfigReader(string path, JsonObject json)
    {
        _path = path;
        _json = json;
    }

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>preprocessor_config.json</c>, or a <c>processor_config.json</c> that holds one.</param>
    /// <exception cref="UserErrorException">It cannot be read, or asks for what is not done here.</exception>
    public static ImagePreprocessor Read(string path)
    {
        JsonObject json = EncoderConfigReader.ReadFile(path);
        return new PreprocessorConfigReader(path, json["image_processor"] as JsonObject ?? json).Read();
    }

    private ImagePreprocessor Read()
    {
        (ImagePreprocessor standard, bool crops, bool squares) = Family();
        bool resizes = Flag("do_resize", true);
        ImagePreprocessor result = standard with
        {
            Filter = Filter(standard.Filter),
            RescaleFactor = Number("rescale_factor", standard.RescaleFactor),
            Mean = Triple("image_mean", standard.Mean),
            Deviation = Triple("image_std", standard.Deviation),
        };
        result = Sized(result, Flag("default_to_square", squares));
        result = resizes ? result : result with { Sizing = ImageSizing.None };
        (int cropHeight, int cropWidth) = CropSize(standard);
        result = Flag("do_center_crop", crops) ? result with { CropHeight = cropHeight, CropWidth = cropWidth } : result with { CropHeight = 0, CropWidth = 0 };
        result = Flag("do_rescale", true) ? result : result with { RescaleFactor = 1 };
        result = Flag("do_normalize", true) ? result : result with { Mean = [0, 0, 0], Deviation = [1, 1, 1] };
        if (result.Deviation.Any(d => d == 0))
        {
            throw Bad("image_std", "divides by zero");
        }

        if (Text("data_format") is string format and not ("channels_first" or "FIRST"))
        {
            throw Bad("data_format", $"is '{format}'; towers read channels first");
        }

        if (Text("crossalign_fit") is string fit)
        {
            result = fit == "pad" && result.Height == result.Width ? result with { Sizing = ImageSizing.Pad } : throw Bad("crossalign_fit", $"is '{fit}'; known is \"pad\" to a square");
        }

        RefuseOthers();
        return result;
    }

    private (ImagePreprocessor Standard, bool Crops, bool Squares) Family()
    {
        string? newer = Text("image_processor_type");
        string? name = newer ?? Text("feature_extractor_type");
        _read.Add("feature_extractor_type");
        if (name is null)
        {
            // Files that name nobody: CLIP's are the ones that crop.
            return _json.ContainsKey("crop_size") ? (ImagePreprocessor.Clip(224), true, false) : (ImagePreprocessor.Vit(224), false, true);
        }

        string family = s_suffixes.Where(s => name.EndsWith(s, StringComparison.Ordinal)).Select(s => name[..^s.Length]).FirstOrDefault(name);
        return family switch
        {
            "ViT" => (ImagePreprocessor.Vit(224), false, true),
            "DeiT" => (ImagePreprocessor.Vit(256) with { Filter = ResizeFilter.Bicubic, CropHeight = 224, CropWidth = 224 }, true, true),
            "CLIP" => (ImagePreprocessor.Clip(224), true, false),
            _ => throw Bad(newer is null ? "feature_extractor_type" : "image_processor_type", $"is '{name}', which is not supported"),
        };
    }

    private ImagePreprocessor Sized(ImagePreprocessor standard, bool squares)
    {
        _read.Add("size");
        switch (_json["size"])
        {
            case null:
                return standard;
            case JsonValue:
                int side = Length("size", _json["size"]);
                return standard with { Sizing = squares ? ImageSizing.Squash : ImageSizing.ShortestEdge, Height = side, Width = side };
            case JsonObject size when Keys(size) is "height,width":
                return standard with { Sizing = ImageSizing.Squash, Height = Length("size.height", size["height"]), Width = Length("size.width", size["width"]) };
            case JsonObject size when Keys(size) is "shortest_edge":
                int edge = Length("size.shortest_edge", size["shortest_edge"]);
                return standard with { Sizing = ImageSizing.ShortestEdge, Height = edge, Width = edge };
            case JsonObject size:
                throw Bad("size", $"has the keys {string.Join(", ", size.Select(p => p.Key))}; known are height and width, or shortest_edge");
            default:
                throw Bad("size", "is neither a number nor an object");
        }
    }

    private (int Height, int Width) CropSize(ImagePreprocessor standard)
    {
        _read.Add("crop_size");
        switch (_json["crop_size"])
        {
            case null:
                return (standard.CropHeight, standard.CropWidth) is (0, 0) ? (224, 224) : (standard.CropHeight, standard.CropWidth);
            case JsonValue:
                int side = Length("crop_size", _json["crop_size"]);
                return (side, side);
            case JsonObject size when Keys(size) is "height,width":
                return (Length("crop_size.height", size["height"]), Length("crop_size.width", size["width"]));
            default:
                throw Bad("crop_size", "is neither a number nor an object with height and width");
        }
    }

    private ResizeFilter Filter(ResizeFilter standard)
    {
        _read.Add("resample");
        switch (_json["resample"])
        {
            case null:
                return standard;
            case JsonValue value when value.TryGetValue(out int code) && Enum.IsDefined((ResizeFilter)code):
                return (ResizeFilter)code;
            case JsonValue value when value.TryGetValue(out string? name) && Enum.TryParse(name, ignoreCase: true, out ResizeFilter filter) && !int.TryParse(name, CultureInfo.InvariantCulture, out _):
                return filter;
            default:
                throw Bad("resample", $"is {_json["resample"]!.ToJsonString()}; known are 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming");
        }
    }

    private static string Keys(JsonObject size) => string.Join(",", size.Where(p => p.Value is not null).Select(p => p.Key).Order(StringComparer.Ordinal));

    private bool Flag(string key, bool standard)
    {
        _read.Add(key);
        return _json[key] switch
        {
            null => standard,
            JsonValue value when value.TryGetValue(out bool flag) => flag,
            _ => throw Bad(key, "is neither true nor false"),
        };
    }

    private double Number(string key, double standard)
    {
        _read.Add(key);
        return _json[key] switch
        {
            null => standard,
            JsonValue value when value.TryGetValue(out double number) && double.IsFinite(number) => number,
            _ => throw Bad(key, "is no number"),
        };
    }

    private IReadOnlyList<double> Triple(string key, IReadOnlyList<double> standard)
    {
        _read.Add(key);
        switch (_json[key])
        {
            case null:
                return standard;
            case JsonValue value when value.TryGetValue(out double one) && double.IsFinite(one):
                return [one, one, one];
            case JsonArray list when list.Count == 3 && list.All(n => n is JsonValue v && v.TryGetValue(out double x) && double.IsFinite(x)):
                return [.. list.Select(n => n!.GetValue<double>())];
            default:
                throw Bad(key, "is no list of three numbers");
        }
    }

    private string? Text(string key)
    {
        _read.Add(key);
        return _json[key] switch
        {
            null => null,
            JsonValue value when value.TryGetValue(out string? text) => text,
            _ => throw Bad(key, "is no text"),
        };
    }

    private int Length(string key, JsonNode? node)
    {
        // A picture of this side fills 600 MB as floating-point numbers; published towers take up to 1,024.
        const int Largest = 1 << 12;
        return node is JsonValue value && value.TryGetValue(out int length) && length is >= 1 and <= Largest
            ? length
            : throw Bad(key, FormattableString.Invariant($"is no number of pixels from 1 to {Largest}"));
    }

    private void RefuseOthers()
    {
        string[] others = [.. _json
            .Where(p => !_read.Contains(p.Key) && !s_harmless.Contains(p.Key) && p.Value is not null && p.Value.GetValueKind() != JsonValueKind.False)
            .Select(p => p.Key)];
        if (others.Length > 0)
        {
            throw new UserErrorException($"'{_path}' asks for '{others[0]}', which is not supported", Known) { Details = others[1..] };
        }
    }

    private UserErrorException Bad(string key, string problem) => new($"'{_path}': '{key}' {problem}", Known);
}
