using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Tests.Images;

/// <summary>Every picture of the fixtures against what libpng and libjpeg-turbo decode, and every broken file against what must become of it.</summary>
public sealed class ImageDecoderTests
{
    private static readonly string s_root = Fixtures.PathOf("images");

    public static TheoryData<string> Pictures() =>
        [.. Files("png").Concat(Files("jpeg")).Select(f => Path.GetRelativePath(s_root, f).Replace('\\', '/'))];

    public static TheoryData<string, string> BrokenFiles()
    {
        TheoryData<string, string> data = [];
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(s_root, "broken.json")));
        foreach (JsonProperty file in index.RootElement.GetProperty("broken").EnumerateObject())
        {
            data.Add(file.Name, file.Value.GetString()!);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Pictures))]
    public void APictureHasThePublishedPixels(string path)
    {
        string file = Path.Combine(s_root, path);
        string name = Path.GetFileNameWithoutExtension(path);
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(Path.GetDirectoryName(file)!, "expected.safetensors"));
        int compared = 0;
        compared += Compare(expected, name + ".rgb", new ImageDecoder { Alpha = ImageAlpha.Drop, ApplyOrientation = false }, file, tolerance: 0);
        compared += Compare(expected, name + ".white", new ImageDecoder(), file, tolerance: 1);
        compared += Compare(expected, name + ".oriented", new ImageDecoder(), file, tolerance: 0);
        Assert.True(compared > 0, $"nothing is known of {path}");
    }

    [Theory]
    [MemberData(nameof(BrokenFiles))]
    public void ABrokenFileIsNamedOrReadAsItMayBe(string name, string expected)
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(s_root, "broken", name));
        UserErrorException? error = null;
        try
        {
            ImageDecoder.Default.Decode(bytes, name);
        }
        catch (UserErrorException e)
        {
            error = e;
            Assert.Contains(name, e.What, StringComparison.Ordinal);
        }

        switch (expected)
        {
            case "ok":
                Assert.Null(error);
                break;
            case "error":
                Assert.NotNull(error);
                break;
            case "refused":
                Assert.NotNull(error);
                Assert.StartsWith("convert", error.Remedy, StringComparison.Ordinal);
                break;
            default:
                Assert.Equal("either", expected);
                break;
        }
    }

    private static IEnumerable<string> Files(string folder) =>
        Directory.GetFiles(Path.Combine(s_root, folder)).Where(f => !f.EndsWith(".safetensors", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    private static int Compare(SafetensorsFile expected, string key, ImageDecoder decoder, string file, int tolerance)
    {
        if (!expected.TryGetEntry(key, out SafetensorsEntry? entry))
        {
            return 0;
        }

        RgbImage image = decoder.Decode(File.ReadAllBytes(file), file);
        Assert.Equal((entry.Shape[0], entry.Shape[1]), ((long)image.Height, (long)image.Width));
        byte[] pixels = expected.ReadBytes(key);
        Assert.Equal(pixels.Length, image.Pixels.Length);
        for (int i = 0; i < pixels.Length; i++)
        {
            Assert.True(Math.Abs(pixels[i] - image.Pixels[i]) <= tolerance, $"{key}: byte {i} is {image.Pixels[i]}, expected {pixels[i]}");
        }

        return 1;
    }
}
