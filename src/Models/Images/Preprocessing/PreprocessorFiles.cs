using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Images.Preprocessing;

/// <summary>The files of a published folder that say how pictures are prepared, for a tower that reads pictures of another size now.</summary>
internal static class PreprocessorFiles
{
    private const string Newer = "processor_config.json";
    private const string Nested = "image_processor";

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Gives the files at a size: what they say beside it stays as it is written.</summary>
    /// <param name="folder">The folder that the files come from.</param>
    /// <param name="files">Files of the folder, among them those that prepare pictures, if it has any.</param>
    /// <param name="size">Height and width of the pictures that the tower reads.</param>
    /// <returns>The files; the same bytes where they give that size already.</returns>
    /// <exception cref="UserErrorException">A file cannot be read, asks for what is not done here, or gives no squares.</exception>
    public static IReadOnlyList<(string Name, byte[] Content)> AtSize(string folder, IReadOnlyList<(string Name, byte[] Content)> files, int size)
    {
        if (ImagePreprocessor.FileIn(folder) is not string path)
        {
            return files;
        }

        ImagePreprocessor published = ImagePreprocessor.Read(path);
        ImagePreprocessor resized = published.ForSquares(size, path);
        if (published == resized)
        {
            return files;
        }

        JsonObject json = EncoderConfigReader.ReadFile(path);
        JsonObject said = Resized(json[Nested] as JsonObject ?? json, resized);

        string beside = Path.Combine(Path.GetDirectoryName(path)!, Newer);
        beside = File.Exists(beside) ? beside : Path.Combine(folder, Newer);

        // A folder with both files means the same by both; which of them a release of the published framework reads differs.
        return [.. files.Select(f => f.Name switch
        {
            ImagePreprocessor.FileName => (f.Name, Bytes(said)),
            Newer => (f.Name, WithProcessor(beside, f.Content, said)),
            _ => f,
        })];
    }

    private static byte[] WithProcessor(string path, byte[] content, JsonObject processor)
    {
        JsonObject json = EncoderConfigReader.ReadFile(path);
        if (!json.ContainsKey(Nested))
        {
            return content;
        }

        json[Nested] = processor.DeepClone();
        return Bytes(json);
    }

    private static JsonObject Resized(JsonObject said, ImagePreprocessor resized)
    {
        JsonObject json = said.DeepClone().AsObject();
        if (resized.CropHeight > 0)
        {
            // A file that names nobody is taken for CLIP's once it has a crop's size.
            if (!json.ContainsKey("crop_size") && !json.ContainsKey("image_processor_type") && !json.ContainsKey("feature_extractor_type"))
            {
                json["image_processor_type"] = "ViTImageProcessor";
            }

            json["crop_size"] = json["crop_size"] is JsonValue ? resized.CropHeight : Sides(resized.CropHeight, resized.CropWidth);
        }

        if (resized.Sizing != ImageSizing.None)
        {
            json["size"] = json["size"] is JsonValue ? resized.Height
                : resized.Sizing == ImageSizing.ShortestEdge ? new JsonObject { ["shortest_edge"] = resized.Height }
                : Sides(resized.Height, resized.Width);
        }

        return json;
    }

    private static JsonObject Sides(int height, int width) => new() { ["height"] = height, ["width"] = width };

    private static byte[] Bytes(JsonObject json) => Encoding.UTF8.GetBytes(json.ToJsonString(s_indented) + "\n");
}
