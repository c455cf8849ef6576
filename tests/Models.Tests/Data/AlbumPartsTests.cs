using System.Buffers.Binary;
using CrossAlign.Models.Data;
using CrossAlign.Models.Data.Album;

namespace CrossAlign.Models.Tests.Data;

public sealed class AlbumPartsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("es-MX", "es es-419 es-MX")]
    [InlineData("pt-PT", "pt pt-PT")]
    [InlineData("en-GB", "en en-001 en-GB")]
    [InlineData("zh-Hant-HK", "zh-Hant zh-Hant-HK")]
    [InlineData("sr-Cyrl-BA", "sr sr-Cyrl sr-Cyrl-BA")]
    [InlineData("qu", "qu")]
    public void Sub_locales_lie_over_their_parents_but_not_over_another_script(string locale, string chain) =>
        Assert.Equal(chain.Split(' '), CldrAnnotations.Chain(locale));

    [Theory]
    [InlineData("1f468-200d-1f33e", "1f9d1-200d-1f33e")]
    [InlineData("1f3c3-200d-2640-fe0f-200d-27a1-fe0f", "1f3c3")]
    [InlineData("1f44b-1f3fd", "1f44b")]
    [InlineData("2640-fe0f", "2640")]
    [InlineData("27a1-fe0f", "27a1")]
    public void A_family_is_what_woman_man_and_person_have_in_common(string id, string family) => Assert.Equal(family, EmojiList.FamilyOf(id));

    [Theory]
    [InlineData("A button (blood type)", "a-button-blood-type")]
    [InlineData("piñata", "pinata")]
    [InlineData("woman\u2019s hat", "womans-hat")]
    [InlineData("Mrs. Claus", "mrs-claus")]
    [InlineData("t-shirt", "t-shirt")]
    public void Names_become_slugs(string name, string slug) => Assert.Equal(slug, IconSet.Slug(name));

    [Fact]
    public void Aliases_are_followed_with_their_flips_and_turns()
    {
        _folder.Write("icons.json", """
            {"width": 32, "height": 20, "icons": {"left": {"body": "<p/>"}, "small": {"body": "<q/>", "width": 8, "left": 1}},
             "aliases": {"right": {"parent": "left", "hFlip": true}, "again": {"parent": "right", "hFlip": true}, "up": {"parent": "left", "rotate": 1}, "lost": {"parent": "nowhere"}}}
            """);
        using IconSet set = new(_folder.Path);
        Assert.Contains("viewBox=\"0 0 32 20\"><p/></svg>", set.Svg("left"), StringComparison.Ordinal);
        Assert.Contains("<g transform=\"translate(32 0) scale(-1 1)\"><p/></g>", set.Svg("right"), StringComparison.Ordinal);
        Assert.Equal(set.Svg("left"), set.Svg("again"));
        Assert.Contains("viewBox=\"0 0 20 32\"><g transform=\"rotate(90 10 10)\"><p/></g>", set.Svg("up"), StringComparison.Ordinal);
        Assert.Contains("viewBox=\"1 0 8 20\"", set.Svg("small"), StringComparison.Ordinal);
        Assert.True(set.Has("right"));
        Assert.False(set.Has("nowhere"));
        Assert.Throws<UserErrorException>(() => set.Svg("lost"));
    }

    [Fact]
    public void A_drawing_is_cropped_and_set_into_a_white_frame()
    {
        // A grey square of 20 x 20 pixels, half transparent, in a corner of 64 x 48.
        byte[] rgba = new byte[4 * 64 * 48];
        for (int y = 0; y < 20; y++)
        {
            for (int x = 0; x < 20; x++)
            {
                int i = 4 * ((y * 64) + x);
                (rgba[i], rgba[i + 1], rgba[i + 2], rgba[i + 3]) = (55, 55, 55, 128);
            }
        }

        byte[] frame = new byte[3 * 16 * 16];
        Assert.True(PictureFraming.Fit(new(64, 48, rgba), 16, 2, frame));
        byte expected = (byte)Math.Round((55 * 128 / 255.0) + (255 * 127 / 255.0));
        for (int y = 0; y < 16; y++)
        {
            for (int x = 0; x < 16; x++)
            {
                bool inside = x is >= 2 and < 14 && y is >= 2 and < 14;
                Assert.Equal(inside ? expected : 255, frame[3 * ((y * 16) + x)]);
            }
        }

        Assert.False(PictureFraming.Fit(new(8, 8, new byte[4 * 64]), 16, 2, frame));
        Assert.All(frame, b => Assert.Equal(255, b));
    }

    [Fact]
    public void Pictures_survive_a_file_and_damage_is_noticed()
    {
        string path = Path.Combine(_folder.Path, "pictures.bin");
        byte[][] pictures = [.. Enumerable.Range(0, 3).Select(i => Enumerable.Range(0, 48).Select(j => (byte)((i * 48) + j)).ToArray())];
        PicturesFile.Write(path, 4, [7, 8, 9], [0, 1, 0], pictures);
        (PictureStore store, int[] concepts, int[] styles) = PicturesFile.Read(path, 4);
        Assert.Equal([7, 8, 9], concepts);
        Assert.Equal([0, 1, 0], styles);
        Assert.Equal(pictures[2], store[2].ToArray());

        // Halved: the mean of each block of 2 x 2.
        (PictureStore half, _, _) = PicturesFile.Read(path, 2);
        Assert.Equal((byte)((0 + 3 + 12 + 15 + 2) / 4), half[0][0]);

        byte[] bytes = File.ReadAllBytes(path);
        foreach (int place in new[] { 0, 8, 12, 30, 64, 70, bytes.Length - 1 })
        {
            byte[] damaged = [.. bytes];
            damaged[place] ^= 0x40;
            File.WriteAllBytes(path, damaged);
            Assert.Throws<InvalidDataException>(() => PicturesFile.Read(path, 4));
        }

        File.WriteAllBytes(path, bytes[..^1]);
        Assert.Throws<InvalidDataException>(() => PicturesFile.Read(path, 4));
    }

    /// <summary>The library aborts its process on some drawings: these are given up, all others are drawn.</summary>
    [Fact]
    public void A_renderer_that_dies_is_started_again_behind_the_drawing_it_died_of()
    {
        string[] documents = ["a", "die", "b", "die", "die", "none", "c"];
        int started = 0;
        NodeIconRenderer renderer = new(() =>
        {
            started++;
            return new FakeChild();
        });
        List<string> drawn = [];
        renderer.Render(documents, (i, icon) => drawn.Add($"{i}{(icon is null ? "-" : (char)icon.Rgba[0])}"), TestContext.Current.CancellationToken);
        Assert.Equal(["0a", "1-", "2b", "3-", "4-", "5-", "6c"], drawn);
        Assert.Equal(4, started);
    }

    [Fact]
    public void A_renderer_that_never_starts_is_an_error_with_what_it_said()
    {
        NodeIconRenderer renderer = new(() => new FakeChild(greets: false));
        UserErrorException e = Assert.Throws<UserErrorException>(() => renderer.Render(["a"], (_, _) => { }, TestContext.Current.CancellationToken));
        Assert.Equal(["Cannot find module"], e.Details);
    }

    /// <summary>Answers a document with a picture of one pixel that holds its first letter; "none" with no picture; dies of "die".</summary>
    private sealed class FakeChild : IRenderChild
    {
        private readonly MemoryStream _answers = new();
        private readonly JobStream _jobs;
        private readonly ManualResetEventSlim _done = new();

        internal FakeChild(bool greets = true)
        {
            _jobs = new(this);
            if (greets)
            {
                _answers.Write("draw"u8);
            }
        }

        public Stream Jobs => _jobs;

        /// <summary>The greeting comes at once; what follows is read when all documents are in or the child has died.</summary>
        public Stream Answers => new AnswerStream(this);

        public void Stop()
        {
        }

        public string ReadErrors() => "Cannot find module\n";

        public void Dispose() => _done.Dispose();

        private sealed class AnswerStream(FakeChild child) : MemoryStream
        {
            private int _read;

            public override int Read(Span<byte> buffer)
            {
                if (_read >= 4)
                {
                    child._done.Wait(TimeSpan.FromSeconds(30));
                }

                byte[] all = child._answers.ToArray();
                int count = Math.Min(buffer.Length, all.Length - _read);
                all.AsSpan(_read, count).CopyTo(buffer);
                _read += count;
                return count;
            }
        }

        private sealed class JobStream(FakeChild child) : MemoryStream
        {
            private int _length = -1;
            private bool _dead;

            public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

            public override void Write(ReadOnlySpan<byte> buffer)
            {
                if (_dead)
                {
                    throw new IOException("broken pipe");
                }

                if (_length < 0)
                {
                    _length = BinaryPrimitives.ReadInt32LittleEndian(buffer);
                    return;
                }

                string document = System.Text.Encoding.UTF8.GetString(buffer);
                Assert.Equal(_length, buffer.Length);
                _length = -1;
                if (document == "die")
                {
                    _dead = true;
                    child._done.Set();
                    return;
                }

                byte[] header = new byte[8];
                header[0] = header[4] = (byte)(document == "none" ? 0 : 1);
                child._answers.Write(header);
                if (document != "none")
                {
                    child._answers.Write([(byte)document[0], 0, 0, 255]);
                }
            }

            public override void Close()
            {
                child._done.Set();
                base.Close();
            }
        }
    }
}
