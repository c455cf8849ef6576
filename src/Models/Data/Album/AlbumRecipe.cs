namespace CrossAlign.Models.Data.Album;

/// <summary>What the album is made of, and what must come out.</summary>
/// <param name="Styles">Its drawing styles with the package of each.</param>
/// <param name="NamesAtLeast">A language is taken up where it names at least so many concepts.</param>
/// <param name="Expected">Counts that must come out, by what they count.</param>
internal sealed record AlbumRecipe(
    IReadOnlyList<AlbumStyle> Styles,
    int NamesAtLeast,
    IReadOnlyList<(string What, int Count)> Expected)
{
    /// <summary>The file format and the rules; another number makes an older cache be built anew.</summary>
    internal const int Version = 1;

    /// <summary>Height and width that pictures are kept at.</summary>
    internal const int PictureSize = 64;

    /// <summary>White pixels around a drawing.</summary>
    internal const int Margin = 2;

    /// <summary>The published album.</summary>
    internal static AlbumRecipe Standard { get; } = new(
        [
            new(new("noto", Unseen: false, "Noto Emoji", "Apache-2.0"), "@iconify-json/noto", "1.2.9"),
            new(new("twemoji", Unseen: false, "Twemoji", "CC-BY-4.0"), "@iconify-json/twemoji", "1.2.5"),
            new(new("fluent-emoji-flat", Unseen: false, "Fluent Emoji, flat", "MIT"), "@iconify-json/fluent-emoji-flat", "1.2.6"),
            new(new("fluent-emoji", Unseen: false, "Fluent Emoji, colour", "MIT"), "@iconify-json/fluent-emoji", "1.2.7"),
            new(new("noto-v1", Unseen: false, "Noto Emoji, version 1", "Apache-2.0"), "@iconify-json/noto-v1", "1.2.5"),
            new(new("emojione", Unseen: false, "EmojiOne 2", "CC-BY-4.0"), "@iconify-json/emojione", "1.2.3"),
            new(new("openmoji", Unseen: true, "OpenMoji", "CC-BY-SA-4.0"), "@iconify-json/openmoji", "1.2.29"),
        ],
        NamesAtLeast: 1000,
        [
            ("concepts", 1417),
            ("train concepts", 1139),
            ("validation concepts", 148),
            ("test concepts", 130),
            ("held-out captions", 187),
            ("pictures noto", 1416),
            ("pictures twemoji", 1417),
            ("pictures fluent-emoji-flat", 1400),
            ("pictures fluent-emoji", 1400),
            ("pictures noto-v1", 1067),
            ("pictures emojione", 1064),
            ("pictures openmoji", 1417),
            ("names en", 1417),
            ("names es", 1417),
            ("names ja", 1417),
            ("names hi", 1417),
            ("names qu", 1413),
            ("names quc", 1129),
            ("strict queries es", 881),
            ("strict queries ja", 950),
            ("strict queries hi", 936),
            ("strict queries qu", 661),
        ]);
}

/// <summary>A drawing style and the package that holds it.</summary>
/// <param name="Style">The style.</param>
/// <param name="Package">The npm package.</param>
/// <param name="PackageVersion">Its pinned version.</param>
internal sealed record AlbumStyle(PictureStyle Style, string Package, string PackageVersion);
