using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Tests.Images;

/// <summary>Every resize of the fixtures against Pillow, to the level.</summary>
public sealed class ImageResizeTests
{
    public static TheoryData<string, string, bool> Pillow13()
    {
        TheoryData<string, string, bool> data = [];
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("images", "resize.json")));
        foreach (JsonProperty resize in index.RootElement.GetProperty("resize").EnumerateObject())
        {
            data.Add(resize.Name, resize.Value.GetProperty("sha256").GetString()!, false);
            if (resize.Value.TryGetProperty("sha256_horizontal_first", out JsonElement older))
            {
                data.Add(resize.Name, older.GetString()!, true);
            }
        }

        return data;
    }

    public static TheoryData<string, string> Pillow9()
    {
        TheoryData<string, string> data = [];
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("images", "resize-pillow-9.json")));
        foreach (JsonProperty resize in index.RootElement.GetProperty("sha256").EnumerateObject())
        {
            data.Add(resize.Name, resize.Value.GetString()!);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Pillow13))]
    public void AResizeHasPillowsLevels(string name, string sha256, bool horizontalFirst)
    {
        RgbImage resized = Resize(name, horizontalFirst ? ResizeOrder.HorizontalFirst : ResizeOrder.Pillow13);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.PathOf("images", "resize", "expected.safetensors"));
        if (!horizontalFirst && expected.Contains(name))
        {
            Assert.Equal(expected.ReadBytes(name), resized.Pixels);
        }

        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(resized.Pixels)));
    }

    [Theory]
    [MemberData(nameof(Pillow9))]
    public void EveryFilterHasTheLevelsOfAnOlderPillow(string name, string sha256) =>
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(Resize(name, ResizeOrder.HorizontalFirst).Pixels)));

    [Theory]
    [InlineData(ResizeFilter.Nearest, ResizeOrder.Pillow13)]
    [InlineData(ResizeFilter.Bilinear, ResizeOrder.Pillow13)]
    [InlineData(ResizeFilter.Bicubic, ResizeOrder.HorizontalFirst)]
    [InlineData(ResizeFilter.Lanczos, ResizeOrder.Pillow13)]
    public void AWindowIsThatPartOfTheWhole(ResizeFilter filter, ResizeOrder order)
    {
        RgbImage source = Source("noise24x70");
        foreach ((int width, int height) in new[] { (24, 70), (24, 31), (40, 70), (31, 20), (97, 101) })
        {
            RgbImage whole = ImageResize.Resize(source, width, height, filter, order);
            foreach ((int left, int top, int w, int h) in new[] { (0, 0, width, height), (3, 5, 7, 11), (width - 1, height - 1, 1, 1), (0, 9, width, 2) })
            {
                RgbImage window = ImageResize.Resize(source, width, height, filter, order, left, top, w, h);
                for (int y = 0; y < h; y++)
                {
                    Assert.Equal(whole.Pixels.AsSpan(3 * (((top + y) * width) + left), 3 * w), window.Pixels.AsSpan(3 * y * w, 3 * w));
                }
            }
        }
    }

    [Fact]
    public void AnImpossibleSizeIsRefused()
    {
        RgbImage image = Source("7x5");
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageResize.Resize(image, 0, 5, ResizeFilter.Bilinear));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageResize.Resize(image, 1 << 16, 1 << 16, ResizeFilter.Bilinear));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageResize.Resize(image, 5, 5, (ResizeFilter)6));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageResize.Resize(image, 5, 5, ResizeFilter.Box, ResizeOrder.Pillow13, 2, 0, 4, 5));
    }

    private static RgbImage Resize(string name, ResizeOrder order)
    {
        string[] parts = name.Split('.');
        int[] size = [.. parts[2].Split('x').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        RgbImage resized = ImageResize.Resize(Source(parts[0]), size[0], size[1], Enum.Parse<ResizeFilter>(parts[1], ignoreCase: true), order);
        Assert.Equal((size[0], size[1]), (resized.Width, resized.Height));
        return resized;
    }

    private static RgbImage Source(string name) => ImageDecoder.Default.DecodeFile(Fixtures.PathOf("images", "resize", $"source-{name}.png"));
}
