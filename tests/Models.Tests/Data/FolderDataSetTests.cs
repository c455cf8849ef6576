using System.Text;
using CrossAlign.Models.Data;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Tests.Data;

public sealed class FolderDataSetTests : IDisposable
{
    private static readonly DataSetOptions s_options = new() { PictureSize = 4 };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_folder_is_read()
    {
        WritePicture("pics/dog.ppm", 4, 4, 10);
        WritePicture("cat.ppm", 4, 4, 200);
        Captions(
            """{"image": "pics/dog.ppm", "id": "dog", "captions": {"en": ["A dog.", "Brown  DOG", "a dog"], "am": ["ውሻ"]}, "split": "test"}""",
            "",
            """{"image": "cat.ppm", "captions": {"es": "Un gato"}}""");
        CaptionedPictures data = Load();
        Assert.Equal(["en", "am", "es"], data.Languages);
        Assert.Equal(["dog", "cat.ppm"], data.Concepts.Select(c => c.Id));
        Assert.Equal(DataSplit.Test, data.Concepts[0].Split);
        Assert.Equal(ConceptHash.SplitOf("cat.ppm"), data.Concepts[1].Split);
        ConceptCaptions english = data.Concepts[0].CaptionsIn(0)!;
        Assert.Equal("a dog", english.Name);
        Assert.Equal("A dog.", english.Display);
        Assert.Equal(["brown dog"], english.OtherCaptions);
        Assert.Equal("ውሻ", data.NameOf(0, "am"));
        Assert.Null(data.Concepts[1].CaptionsIn(0));
        Assert.Equal("un gato", data.Concepts[1].SpanishName);
        Assert.All(data.Pictures[0].ToArray(), b => Assert.Equal(10, b));
        Assert.All(data.Pictures[1].ToArray(), b => Assert.Equal(200, b));
        Assert.Empty(data.Warnings);
        Assert.Equal(["es"], Load(new DataSetOptions { PictureSize = 4, Languages = ["es"] }).Languages);
    }

    [Fact]
    public void Every_bad_line_is_named_with_its_number()
    {
        WritePicture("a.ppm", 1, 1, 0);
        Captions(
            """{"image": "a.ppm", "captions": {"en": ["fine"]}}""",
            """{"image": "a.ppm", "captions": {"en": [""",
            """{"captions": {"en": ["x"]}}""",
            """{"image": "a.ppm", "id": "b"}""",
            """{"image": "a.ppm", "id": "c", "captions": {}}""",
            """{"image": "a.ppm", "id": "d", "captions": {"en": [3]}}""",
            """{"image": "a.ppm", "id": "e", "captions": {"en": ["x"]}, "split": "training"}""",
            """{"image": "a.ppm", "id": "a.ppm", "captions": {"en": ["x"]}}""",
            "[]");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Load());
        string[] all = [e.What, .. e.Details];
        string[] expected =
        [
            "line 2 of|is not JSON", "line 3 of|no \"image\"", "line 4 of|no \"captions\"", "line 5 of|no caption", "line 6 of|not a text",
            "line 7 of|'training'", "line 8 of|'a.ppm' of line 1", "line 9 of|not a JSON object",
        ];
        Assert.Equal(expected.Length, all.Length);
        foreach ((string message, string parts) in all.Zip(expected))
        {
            Assert.All(parts.Split('|'), part => Assert.Contains(part, message, StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("../secret.ppm")]
    [InlineData("a/../../secret.ppm")]
    [InlineData("/etc/passwd")]
    [InlineData("..\\\\secret.ppm")]
    [InlineData("C:/secret.ppm")]
    public void Paths_out_of_the_folder_are_refused(string path)
    {
        Captions("{\"image\": \"" + path + "\", \"captions\": {\"en\": [\"x\"]}}");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Load());
        Assert.Contains("line 1", e.What, StringComparison.Ordinal);
        Assert.Contains("outside the folder", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_picture_that_cannot_be_read_is_an_error_or_left_out_with_a_warning()
    {
        WritePicture("good.ppm", 2, 2, 50);
        _folder.Write("bad.ppm", "rubbish");
        Captions(
            """{"image": "bad.ppm", "id": "1", "captions": {"en": ["x"]}}""",
            """{"image": "good.ppm", "id": "2", "captions": {"en": ["y"]}}""",
            """{"image": "gone.ppm", "id": "3", "captions": {"en": ["z"]}}""");
        UserErrorException e = Assert.Throws<UserErrorException>(() => Load());
        Assert.Contains("'bad.ppm' of line 1", e.What, StringComparison.Ordinal);
        Assert.Contains("'gone.ppm' of line 3", Assert.Single(e.Details), StringComparison.Ordinal);

        CaptionedPictures data = FolderDataSet.Load(_folder.Path, new PlainDecoder(), s_options, new FolderOptions { SkipUnreadable = true }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("2", Assert.Single(data.Concepts).Id);
        Assert.Equal(1, data.Pictures.Count);
        Assert.Equal(50, data.Pictures[0][0]);
        Assert.Equal(3, data.Warnings.Count);
        Assert.StartsWith("2 of 3 pictures", data.Warnings[0], StringComparison.Ordinal);

        Captions(
            """{"image": "bad.ppm", "id": "1", "captions": {"en": ["x"]}}""",
            """{"image": "gone.ppm", "id": "3", "captions": {"en": ["z"]}}""");
        e = Assert.Throws<UserErrorException>(() => FolderDataSet.Load(_folder.Path, new PlainDecoder(), s_options, new FolderOptions { SkipUnreadable = true }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.StartsWith("none of the pictures can be read", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void Groups_hold_together_and_one_that_is_split_is_a_warning()
    {
        WritePicture("a.ppm", 1, 1, 0);
        Captions(
            """{"image": "a.ppm", "id": "1", "captions": {"en": ["x"]}, "split": "train", "group": "g"}""",
            """{"image": "a.ppm", "id": "2", "captions": {"en": ["x"]}, "split": "train", "group": "h"}""",
            """{"image": "a.ppm", "id": "3", "captions": {"en": ["x"]}, "split": "test", "group": "g"}""",
            """{"image": "a.ppm", "id": "4", "captions": {"en": ["x"]}, "licence": "CC0"}""");
        CaptionedPictures data = Load();
        Assert.Equal([0, 1, 0, -1], data.Concepts.Select(c => c.Group));
        Assert.Contains(data.Warnings, w => w.Contains("1 groups", StringComparison.Ordinal) && w.Contains("(g)", StringComparison.Ordinal));
        Assert.Contains(data.Warnings, w => w.Contains("\"licence\"", StringComparison.Ordinal) && w.Contains("line 4", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(PictureFit.Pad, 255, 100, 255)]
    [InlineData(PictureFit.Crop, 100, 100, 100)]
    [InlineData(PictureFit.Squash, 100, 100, 100)]
    public void A_wide_picture_becomes_square(PictureFit fit, int top, int middle, int bottom)
    {
        WritePicture("wide.ppm", 16, 8, 100);
        Captions("""{"image": "wide.ppm", "captions": {"en": ["x"]}}""");
        CaptionedPictures data = FolderDataSet.Load(_folder.Path, new PlainDecoder(), new DataSetOptions { PictureSize = 8 }, new FolderOptions { Fit = fit }, cancellationToken: TestContext.Current.CancellationToken);
        ReadOnlySpan<byte> picture = data.Pictures[0];
        Assert.Equal([top, middle, bottom], new int[] { picture[0], picture[3 * ((4 * 8) + 4)], picture[^1] });
    }

    [Fact]
    public void A_published_preprocessor_decides_how_a_picture_becomes_square()
    {
        WritePicture("wide.ppm", 16, 8, 0);
        Captions("""{"image": "wide.ppm", "captions": {"en": ["x"]}}""");
        ImagePreprocessor crop = ImagePreprocessor.Clip(8);
        CaptionedPictures cropped = Ramp(crop);
        CaptionedPictures squashed = Ramp(ImagePreprocessor.Vit(8));
        Assert.Equal(crop.Fit(new RampDecoder().Decode([], string.Empty)).Pixels, cropped.Pictures[0].ToArray());

        // Columns 4 to 11 of 16, as they are; all sixteen in eight.
        Assert.Equal([60, 75, 90, 105, 120, 135, 150, 165], Enumerable.Range(0, 8).Select(x => (int)cropped.Pictures[0][3 * x]));
        Assert.InRange(squashed.Pictures[0][0], 0, 20);
        Assert.Equal(cropped.Checksum, squashed.Checksum);

        CaptionedPictures Ramp(ImagePreprocessor preprocessor) => FolderDataSet.Load(
            _folder.Path, new RampDecoder(), new DataSetOptions { PictureSize = 8, Preprocessor = preprocessor }, cancellationToken: TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Missing_empty_and_undecodable_files_are_named()
    {
        Assert.Contains("captions.jsonl", Assert.Throws<UserErrorException>(() => Load()).What, StringComparison.Ordinal);
        Captions("");
        Assert.Contains("is empty", Assert.Throws<UserErrorException>(() => Load()).What, StringComparison.Ordinal);
        File.WriteAllBytes(Path.Combine(_folder.Path, "captions.jsonl"), [.. "{\"image\": \""u8, 0xFF, 0xFE, .. "\"}"u8]);
        Assert.Contains("UTF-8", Assert.Throws<UserErrorException>(() => Load()).What, StringComparison.Ordinal);
        Captions("""{"image": "a.ppm", "captions": {"en": ["x"]}}""");
        WritePicture("a.ppm", 1, 1, 0);
        UserErrorException unknown = Assert.Throws<UserErrorException>(() => Load(new DataSetOptions { PictureSize = 4, Languages = ["qu"] }));
        Assert.Contains("'qu'", unknown.What, StringComparison.Ordinal);
        Captions("""{"image": "a.ppm", "captions": {"en": ["..."]}}""");
        Assert.Contains("line 1", Assert.Throws<UserErrorException>(() => Load()).What, StringComparison.Ordinal);
    }

    [Fact]
    public void The_checksum_follows_captions_and_pictures()
    {
        WritePicture("a.ppm", 1, 1, 0);
        Captions("""{"image": "a.ppm", "captions": {"en": ["x"]}}""");
        string first = Load().Checksum;
        Assert.Equal(first, Load().Checksum);
        WritePicture("a.ppm", 1, 1, 1);
        Assert.NotEqual(first, Load().Checksum);
    }

    private CaptionedPictures Load(DataSetOptions? options = null) => FolderDataSet.Load(_folder.Path, new PlainDecoder(), options ?? s_options, cancellationToken: TestContext.Current.CancellationToken);

    private void Captions(params string[] lines) => _folder.Write("captions.jsonl", string.Join('\n', lines) + "\n");

    private void WritePicture(string name, int width, int height, byte grey) =>
        _folder.Write(name, FormattableString.Invariant($"{width} {height} {grey}"));

    /// <summary>A picture of 16 x 8 whose columns have the levels 0, 15, 30 ... 225.</summary>
    private sealed class RampDecoder : IImageDecoder
    {
        public RgbImage Decode(ReadOnlySpan<byte> bytes, string name) =>
            new(16, 8, [.. Enumerable.Range(0, 3 * 16 * 8).Select(i => (byte)(15 * (i / 3 % 16)))]);
    }

    /// <summary>Reads "width height grey": the folder's reader is tested, not a file format.</summary>
    private sealed class PlainDecoder : IImageDecoder
    {
        public RgbImage Decode(ReadOnlySpan<byte> bytes, string name)
        {
            string[] parts = Encoding.UTF8.GetString(bytes).Split(' ');
            if (parts.Length != 3)
            {
                throw new UserErrorException($"'{name}' is no picture", "draw it again");
            }

            int[] numbers = [.. parts.Select(p => int.Parse(p, System.Globalization.CultureInfo.InvariantCulture))];
            byte[] pixels = new byte[3 * numbers[0] * numbers[1]];
            Array.Fill(pixels, (byte)numbers[2]);
            return new(numbers[0], numbers[1], pixels);
        }
    }
}
