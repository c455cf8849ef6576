using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

/// <summary><c>compute decode</c>, <c>resize</c>, <c>preprocess</c> against the published pixels.</summary>
public sealed class ComputePicturesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task DecodeGivesThePixelsOfFilesAndOfTheirBytes()
    {
        string output = _folder.File("out.safetensors");
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.PathOf("images", "jpeg", "expected.safetensors"));
        SafetensorsWriter packed = new();
        string[] names = [.. Directory.GetFiles(Fixtures.PathOf("images", "jpeg"), "*.jpg").Order(StringComparer.Ordinal).Take(5).Select(f => Path.GetFileNameWithoutExtension(f))];
        foreach (string name in names)
        {
            byte[] bytes = File.ReadAllBytes(Fixtures.PathOf("images", "jpeg", name + ".jpg"));
            packed.AddRaw(name, SafetensorsDType.U8, [bytes.Length], bytes);
        }

        packed.Save(_folder.File("in.safetensors"));
        await RunAsync("decode", _folder.File("in.safetensors"), output, "orientation=false");
        using (SafetensorsFile decoded = SafetensorsFile.Open(output))
        {
            Assert.All(names, n => Assert.Equal(expected.ReadBytes(n + ".rgb"), decoded.ReadBytes(n)));
        }

        await RunAsync("decode", Fixtures.PathOf("images", "jpeg", names[0] + ".jpg"), output, "orientation=false");
        using SafetensorsFile one = SafetensorsFile.Open(output);
        Assert.Equal(expected.Entry(names[0] + ".rgb").Shape, one.Entry("pixels").Shape);
        Assert.Equal(expected.ReadBytes(names[0] + ".rgb"), one.ReadBytes("pixels"));
    }

    [Fact]
    public async Task ResizeGivesPillowsLevels()
    {
        string decoded = _folder.File("decoded.safetensors");
        string output = _folder.File("out.safetensors");
        await RunAsync("decode", Fixtures.PathOf("images", "resize", "source-noise24x70.png"), decoded);
        await RunAsync("resize", decoded, output, "width=3", "height=9", "filter=bicubic");
        using SafetensorsFile resized = SafetensorsFile.Open(output);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.PathOf("images", "resize", "expected.safetensors"));
        Assert.Equal(expected.ReadBytes("noise24x70.bicubic.3x9"), resized.ReadBytes("pixels"));
    }

    [Theory]
    [InlineData("form=clip", "clip")]
    [InlineData("form=vit", "vit")]
    public async Task PreprocessGivesThePublishedNumbers(string setting, string form)
    {
        string output = _folder.File("out.safetensors");
        await RunAsync("preprocess", Fixtures.PathOf("images", "transforms", "source-48x96.png"), output, setting, "size=32");
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.PathOf("images", "transforms", "expected.safetensors"));
        using (SafetensorsFile prepared = SafetensorsFile.Open(output))
        {
            Assert.Equal(expected.ReadBytes($"48x96.{form}.32.uint8"), prepared.ReadBytes("pixels.uint8"));
            Assert.Equal([1, 3, 32, 32], prepared.Entry("pixel_values").Shape);
            float[] numbers = prepared.ReadSingles("pixel_values");
            Assert.All(expected.ReadSingles($"48x96.{form}.32.pixel_values").Zip(numbers), p => Assert.InRange(Math.Abs(p.First - p.Second), 0, 1e-6));
        }

        string config = _folder.Write("preprocessor_config.json", form == "vit" ? """{"image_processor_type": "ViTImageProcessor", "size": 32}""" : """{"crop_size": 32, "size": 32}""");
        string again = _folder.File("again.safetensors");
        Invocation compute = await Invocation.RunAsync("compute", "preprocess", "--preprocessor", config, "--in", Fixtures.PathOf("images", "transforms", "source-48x96.png"), "--out", again);
        Assert.True(compute.ExitCode == 0, compute.Error);
        Assert.Equal(File.ReadAllBytes(output), File.ReadAllBytes(again));
    }

    [Theory]
    [InlineData("decode", "alpha=black", 2, "alpha")]
    [InlineData("resize", "filter=bilinear", 2, "size")]
    [InlineData("resize", "size=0.5", 2, "size")]
    [InlineData("preprocess", "form=resnet", 2, "resnet")]
    [InlineData("preprocess", "colour=grey", 2, "colour")]
    public async Task AWrongSettingIsNamed(string operation, string setting, int exitCode, string named)
    {
        Invocation compute = await Invocation.RunAsync(
            "compute", operation, "--in", Fixtures.PathOf("images", "resize", "source-7x5.png"), "--out", _folder.File("out.safetensors"), "--set", setting);
        Assert.Equal(exitCode, compute.ExitCode);
        Assert.Contains(named, Assert.Single(compute.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADamagedPictureAndATensorThatIsNoneAreNamed()
    {
        string broken = Fixtures.PathOf("images", "broken", "jpg-truncated-in-dht.jpg");
        Invocation decode = await Invocation.RunAsync("compute", "decode", "--in", broken, "--out", _folder.File("out.safetensors"));
        Assert.Equal(1, decode.ExitCode);
        Assert.Contains("jpg-truncated-in-dht.jpg", Assert.Single(decode.ErrorLines), StringComparison.Ordinal);
        SafetensorsWriter floats = new();
        floats.Add("x", [2, 2, 3], new float[12]);
        floats.Save(_folder.File("floats.safetensors"));
        Invocation resize = await Invocation.RunAsync("compute", "resize", "--in", _folder.File("floats.safetensors"), "--out", _folder.File("out.safetensors"), "--set", "size=4");
        Assert.Equal(1, resize.ExitCode);
        Assert.Contains("x F32 [2, 2, 3]", resize.Error, StringComparison.Ordinal);
    }

    private static async Task RunAsync(string operation, string input, string output, params string[] settings)
    {
        Invocation compute = await Invocation.RunAsync(["compute", operation, "--in", input, "--out", output, .. settings.SelectMany(s => new[] { "--set", s })]);
        Assert.True(compute.ExitCode == 0, compute.Error);
    }
}
