using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Tests.Images;

/// <summary>The published preprocessors: levels and numbers of every fixture, and every form of their files.</summary>
public sealed class ImagePreprocessorTests
{
    public static TheoryData<string, string> Transforms()
    {
        TheoryData<string, string> data = [];
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf("images", "transforms.json")));
        foreach (JsonProperty transform in index.RootElement.GetProperty("transforms").EnumerateObject())
        {
            data.Add(transform.Name, transform.Value.GetProperty("sha256_uint8_hwc").GetString()!);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Transforms))]
    public void APreprocessorGivesThePublishedLevelsAndNumbers(string name, string sha256)
    {
        string[] parts = name.Split('.');
        int size = int.Parse(parts[2], CultureInfo.InvariantCulture);
        ImagePreprocessor preprocessor = parts[1] switch
        {
            "vit" => ImagePreprocessor.Vit(size),
            "clip" => ImagePreprocessor.Clip(size),
            _ => ImagePreprocessor.Clip(size) with { CropRoundsToEven = true },
        };
        RgbImage source = Source(parts[0]);
        RgbImage fitted = preprocessor.Fit(source);
        Assert.Equal((size, size), (fitted.Width, fitted.Height));
        Assert.Equal((size, size), preprocessor.SizeOf(source.Width, source.Height));
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(fitted.Pixels)));
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.PathOf("images", "transforms", "expected.safetensors"));
        if (expected.Contains(name + ".pixel_values"))
        {
            float[] numbers = new float[3 * size * size];
            preprocessor.Normalize(fitted, numbers);
            float[] published = expected.ReadSingles(name + ".pixel_values");
            for (int i = 0; i < numbers.Length; i++)
            {
                Assert.True(Math.Abs(numbers[i] - published[i]) <= 1e-6, $"{name}: number {i} is {numbers[i]}, expected {published[i]}");
            }
        }
    }

    [Theory]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}, "resample": 2, "do_resize": true, "do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}""", "vit")]
    [InlineData("""{"feature_extractor_type": "ViTFeatureExtractor", "do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 64}""", "vit")]
    [InlineData("""{"image_processor_type": "ViTImageProcessorFast", "size": {"height": 64, "width": 64, "shortest_edge": null}, "resample": "bilinear", "data_format": "channels_first", "crop_size": null, "do_center_crop": null, "do_pad": null, "device": null, "do_convert_rgb": null}""", "vit")]
    [InlineData("""{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}, "do_convert_rgb": true, "processor_class": "CLIPProcessor"}""", "clip")]
    [InlineData("""{"feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 64, "do_center_crop": true, "do_normalize": true, "do_resize": true, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 64}""", "clip")]
    [InlineData("""{"crop_size": 64, "size": 64}""", "clip")]
    [InlineData("""{"processor_class": "CLIPProcessor", "image_processor": {"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}}""", "clip")]
    public void EveryFormOfTheFileIsTheSamePreprocessor(string json, string form)
    {
        ImagePreprocessor read = Read(json);
        ImagePreprocessor expected = form == "vit" ? ImagePreprocessor.Vit(64) : ImagePreprocessor.Clip(64);
        RgbImage source = Source("500x333");
        RgbImage fitted = read.Fit(source);
        Assert.Equal(expected.Fit(source).Pixels, fitted.Pixels);
        Assert.Equal(Numbers(expected, fitted), Numbers(read, fitted));
    }

    [Fact]
    public void EachStepCanBeLeftOut()
    {
        RgbImage source = Source("33x20");
        ImagePreprocessor plain = Read("""{"image_processor_type": "ViTImageProcessor", "do_resize": false, "do_normalize": false, "do_rescale": false}""");
        Assert.False(plain.HasOneSize);
        Assert.Same(source, plain.Fit(source));
        Assert.Equal((33, 20), plain.SizeOf(33, 20));
        float[] numbers = Numbers(plain, source);
        Assert.Equal(source.Pixels[3 * 5], numbers[5]);
        Assert.Equal(source.Pixels[(3 * 5) + 2], numbers[(2 * 33 * 20) + 5]);
        ImagePreprocessor shifted = Read("""{"image_processor_type": "ViTImageProcessor", "do_resize": false, "rescale_factor": 0.5, "image_mean": 1, "image_std": [2, 4, 8]}""");
        numbers = Numbers(shifted, source);
        Assert.Equal(((source.Pixels[(3 * 7) + 1] * 0.5f) - 1) / 4, numbers[(33 * 20) + 7]);
    }

    [Fact]
    public void ACropLargerThanThePictureIsBlackAround()
    {
        // transformers' center_crop on 3 x 2 (height x width) to 6 x 6: the odd row of padding goes in front.
        byte[] pixels = [.. Enumerable.Range(1, 18).Select(i => (byte)i)];
        ImagePreprocessor crop = Read("""{"image_processor_type": "CLIPImageProcessor", "do_resize": false, "crop_size": 6}""");
        RgbImage fitted = crop.Fit(new RgbImage(2, 3, pixels));
        Assert.Equal((6, 6), (fitted.Width, fitted.Height));
        for (int y = 0; y < 6; y++)
        {
            for (int x = 0; x < 6; x++)
            {
                bool inside = y is >= 2 and < 5 && x is >= 2 and < 4;
                int expected = inside ? pixels[3 * (((y - 2) * 2) + x - 2)] : 0;
                Assert.Equal(expected, fitted.Pixels[3 * ((y * 6) + x)]);
            }
        }
    }

    [Fact]
    public void APictureThatIsMuchTooLongCostsNoMoreThanItsMiddle()
    {
        ImagePreprocessor clip = ImagePreprocessor.Clip(224);
        long before = GC.GetAllocatedBytesForCurrentThread();
        RgbImage fitted = clip.Fit(new RgbImage(60_000, 1, new byte[180_000]));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4_000_000);
        Assert.Equal((224, 224), (fitted.Width, fitted.Height));
        UserErrorException error = Assert.Throws<UserErrorException>(() => clip.Fit(new RgbImage(1, 10_000_000, new byte[30_000_000])));
        Assert.Contains("1 x 10000000", error.What, StringComparison.Ordinal);
    }

    [Fact]
    public void PaddingShowsThePictureWholeOnWhite()
    {
        ImagePreprocessor pad = Read("""{"image_processor_type": "ViTImageProcessor", "size": 8, "crossalign_fit": "pad"}""");
        RgbImage fitted = pad.Fit(new RgbImage(16, 8, new byte[3 * 16 * 8]));
        byte[] column = [.. Enumerable.Range(0, 8).Select(y => fitted.Pixels[3 * 8 * y])];
        Assert.Equal<byte>([255, 255, 0, 0, 0, 0, 255, 255], column);
    }

    [Theory]
    [InlineData("""{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}""", "ConvNextImageProcessor")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "resample": 7}""", "'resample' is 7")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "resample": "2"}""", "resample")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 224}}""", "longest_edge")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "size": {"height": 224}}""", "size")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "size": 0}""", "size")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "size": [224, 224]}""", "size")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "do_pad": true}""", "do_pad")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "crop_pct": 0.875}""", "crop_pct")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "image_mean": [0.5]}""", "image_mean")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "image_std": [0.5, 0, 0.5]}""", "image_std")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "do_resize": "yes"}""", "do_resize")]
    [InlineData("""{"image_processor_type": "ViTImageProcessor", "data_format": "channels_last"}""", "data_format")]
    [InlineData("""{"image_processor_type": 3}""", "image_processor_type")]
    public void WhatIsNotDoneHereIsRefusedByName(string json, string name)
    {
        UserErrorException error = Assert.Throws<UserErrorException>(() => Read(json));
        Assert.Contains(name, error.What, StringComparison.Ordinal);
        Assert.Contains(ImagePreprocessor.FileName, error.What, StringComparison.Ordinal);
    }

    private static ImagePreprocessor Read(string json)
    {
        using TemporaryFolder folder = new();
        string path = folder.File(ImagePreprocessor.FileName);
        File.WriteAllText(path, json);
        return ImagePreprocessor.Read(path);
    }

    private static float[] Numbers(ImagePreprocessor preprocessor, RgbImage image)
    {
        float[] numbers = new float[image.Pixels.Length];
        preprocessor.Normalize(image, numbers);
        return numbers;
    }

    private static RgbImage Source(string name)
    {
        string file = Fixtures.PathOf("images", "transforms", $"source-{name}.png");
        return ImageDecoder.Default.DecodeFile(File.Exists(file) ? file : Fixtures.PathOf("images", "resize", $"source-{name}.png"));
    }
}
