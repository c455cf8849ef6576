using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class ShapesDataSetTests
{
    private static readonly CaptionedPictures s_shapes = ShapesDataSet.Create(new DataSetOptions());

    [Fact]
    public void Every_set_has_concepts_and_every_concept_a_picture_in_every_style()
    {
        Assert.Equal(528, s_shapes.Concepts.Count);
        Assert.Equal(528 * 6, s_shapes.Pictures.Count);
        foreach (ConceptSet set in Enum.GetValues<ConceptSet>())
        {
            Assert.InRange(s_shapes.ConceptsOf(set).Length, 30, 400);
        }

        for (int concept = 0; concept < s_shapes.Concepts.Count; concept++)
        {
            for (int style = 0; style < s_shapes.Styles.Count; style++)
            {
                int picture = s_shapes.PictureOf(concept, style);
                Assert.Equal(concept, s_shapes.ConceptOf(picture));
                Assert.Equal(style, s_shapes.StyleOf(picture));
            }
        }

        Assert.Equal(["dotted"], s_shapes.Styles.Where(s => s.Unseen).Select(s => s.Name));
    }

    /// <summary>A concept is told by its picture: no two concepts may look the same or nearly so in the same style.</summary>
    [Fact]
    public void Pictures_of_different_concepts_differ_and_are_neither_empty_nor_full()
    {
        for (int style = 0; style < s_shapes.Styles.Count; style++)
        {
            HashSet<string> met = [];
            for (int concept = 0; concept < s_shapes.Concepts.Count; concept++)
            {
                ReadOnlySpan<byte> rgb = s_shapes.Pictures[s_shapes.PictureOf(concept, style)];
                Assert.True(met.Add(Convert.ToBase64String(rgb)), s_shapes.Concepts[concept].Id);
                int drawn = 0;
                for (int i = 0; i < rgb.Length; i += 3)
                {
                    drawn += rgb[i] < 250 || rgb[i + 1] < 250 || rgb[i + 2] < 250 ? 1 : 0;
                }

                Assert.InRange(drawn, 20, 900);
            }
        }
    }

    [Theory]
    [InlineData("big-red-star", "es", "estrella roja grande")]
    [InlineData("three-blue-fish", "es", "tres peces azules")]
    [InlineData("small-yellow-flower", "es", "flor amarilla pequeña")]
    [InlineData("two-black-circle", "es", "dos círculos negros")]
    [InlineData("left-green-boat", "en", "green boat on the left")]
    [InlineData("top-green-boat", "en", "green boat at the top")]
    [InlineData("two-yellow-fish", "ja", "二匹の黄色い魚")]
    [InlineData("right-purple-moon", "ja", "右にある紫の月")]
    [InlineData("big-yellow-fish", "hi", "बड़ी पीली मछली")]
    [InlineData("three-blue-star", "hi", "तीन नीले तारे")]
    [InlineData("two-black-boat", "hi", "दो काली नावें")]
    [InlineData("bottom-red-flower", "qu", "urapi puka t'ika")]
    [InlineData("two-yellow-star", "qu", "iskay q'illu quyllur")]
    public void Captions_are_grammatical(string id, string language, string expected)
    {
        int concept = s_shapes.Concepts.Index().Single(c => c.Item.Id == id).Index;
        Assert.Equal(CaptionText.Normalize(expected), s_shapes.NameOf(concept, language));
    }

    [Fact]
    public void Names_tell_the_concepts_apart_in_every_language_and_Quechua_is_strict()
    {
        foreach (string language in s_shapes.Languages)
        {
            int index = s_shapes.LanguageIndex(language);
            Assert.Equal(528, s_shapes.Concepts.Select(c => c.CaptionsIn(index)!.Name).Distinct().Count());
            Assert.All(s_shapes.Concepts, c => Assert.Equal(3, c.CaptionsIn(index)!.Keywords.Count));
        }

        Assert.All(Enumerable.Range(0, 528), concept => Assert.True(s_shapes.IsStrictQuery(concept, "qu")));
    }

    [Fact]
    public void Training_texts_hold_no_held_out_name_and_nothing_of_other_splits()
    {
        HashSet<string> shown = [.. s_shapes.TrainingTexts("en")];
        Assert.All(s_shapes.Concepts, c => Assert.Equal(c.Set == ConceptSet.Seen, shown.Contains(c.CaptionsIn(0)!.Name)));
    }

    [Fact]
    public void Making_it_again_gives_the_same_bytes()
    {
        CaptionedPictures again = ShapesDataSet.Create(new DataSetOptions { PictureSize = 32, Languages = ["qu", "en"] });
        Assert.Equal(s_shapes.Checksum, again.Checksum);
        Assert.Equal(["qu", "en"], again.Languages);
        Assert.Equal("big red circle", again.Concepts[0].EnglishName);
    }

    [Fact]
    public void An_unknown_language_names_those_there_are()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => ShapesDataSet.Create(new DataSetOptions { Languages = ["en", "xx"] }));
        Assert.Contains("'xx'", e.What, StringComparison.Ordinal);
        Assert.Contains("qu", e.Remedy, StringComparison.Ordinal);
    }
}
