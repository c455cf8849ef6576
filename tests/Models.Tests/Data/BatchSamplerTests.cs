using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class BatchSamplerTests
{
    private const int BatchSize = 64;

    private static readonly CaptionedPictures s_shapes = ShapesDataSet.Create(new DataSetOptions { PictureSize = 8 });

    private static readonly HashSet<string> s_heldOutNames =
        [.. s_shapes.Concepts.Where(c => c.NameHeldOut).SelectMany(c => Enumerable.Range(0, 5).Select(l => c.CaptionsIn(l)!.Name))];

    [Fact]
    public void A_batch_holds_different_train_concepts_in_seen_styles_with_a_caption_of_their_own()
    {
        BatchSampler sampler = new(s_shapes, new SamplingOptions(), BatchSize);
        SampledBatch batch = sampler.CreateBatch();
        for (int step = 0; step < 20; step++)
        {
            sampler.Sample(step, batch);
            Assert.Equal(BatchSize, batch.Concepts.ToArray().Distinct().Count());
            for (int example = 0; example < BatchSize; example++)
            {
                int concept = batch.Concepts[example];
                Assert.Equal(DataSplit.Train, s_shapes.Concepts[concept].Split);
                Assert.Equal(concept, s_shapes.ConceptOf(batch.Pictures[example]));
                Assert.False(s_shapes.Styles[s_shapes.StyleOf(batch.Pictures[example])].Unseen);
                HashSet<int> languages = [];
                for (int slot = 0; slot < 4; slot++)
                {
                    int caption = (slot * BatchSize) + example;
                    Assert.True(languages.Add(batch.Languages[caption]), "the four languages of a picture differ");
                    AssertSays(s_shapes.Concepts[concept], batch.Languages[caption], sampler, batch, caption);
                }
            }
        }
    }

    [Fact]
    public void Held_out_names_are_never_drawn_and_names_come_as_often_as_asked()
    {
        BatchSampler sampler = new(s_shapes, new SamplingOptions { NameProbability = 0.5f }, BatchSize);
        Assert.DoesNotContain(sampler.Texts, s_heldOutNames.Contains);
        SampledBatch batch = sampler.CreateBatch();
        int[] keywordCounts = new int[5];
        int names = 0;
        int seen = 0;
        for (int step = 0; step < 100; step++)
        {
            sampler.Sample(step, batch);
            for (int caption = 0; caption < batch.CaptionCount; caption++)
            {
                Concept concept = s_shapes.Concepts[batch.Concepts[caption % BatchSize]];
                string name = concept.CaptionsIn(batch.Languages[caption])!.Name;
                Assert.False(concept.NameHeldOut && sampler.TextOf(batch, caption) == name, "a held-out name, or keywords that spell it");
                bool isName = batch.TextsOf(caption).Length == 1 && sampler.TextOf(batch, caption) == name;
                seen += concept.NameHeldOut ? 0 : 1;
                names += isName ? 1 : 0;
                keywordCounts[isName ? 0 : batch.TextsOf(caption).Length]++;
            }
        }

        Assert.InRange((double)names / seen, 0.48, 0.52);
        double third = (keywordCounts[1] + keywordCounts[2] + keywordCounts[3]) / 3.0;
        Assert.All(keywordCounts[1..4], count => Assert.InRange(count, third * 0.93, third * 1.07));
        Assert.Equal(0, keywordCounts[4]);
    }

    [Fact]
    public void A_step_is_the_same_whatever_was_drawn_before()
    {
        BatchSampler first = new(s_shapes, new SamplingOptions { Seed = 7 }, BatchSize);
        BatchSampler second = new(s_shapes, new SamplingOptions { Seed = 7 }, BatchSize);
        SampledBatch a = first.CreateBatch();
        SampledBatch b = second.CreateBatch();
        for (int step = 0; step < 5; step++)
        {
            first.Sample(step, a);
        }

        second.Sample(4, b);
        Assert.Equal(a.Concepts.ToArray(), b.Concepts.ToArray());
        Assert.Equal(a.Pictures.ToArray(), b.Pictures.ToArray());
        Assert.Equal(Read(first, a), Read(second, b));
        second.Sample(5, b);
        Assert.NotEqual(a.Concepts.ToArray(), b.Concepts.ToArray());
        BatchSampler other = new(s_shapes, new SamplingOptions { Seed = 8 }, BatchSize);
        other.Sample(4, b);
        Assert.NotEqual(a.Concepts.ToArray(), b.Concepts.ToArray());
    }

    [Fact]
    public void What_an_example_shows_does_not_depend_on_its_batch_mates()
    {
        BatchSampler small = new(s_shapes, new SamplingOptions(), 8);
        BatchSampler large = new(s_shapes, new SamplingOptions(), 200);
        SampledBatch few = small.CreateBatch();
        SampledBatch many = large.CreateBatch();
        small.Sample(3, few);
        large.Sample(3, many);
        int met = 0;
        for (int i = 0; i < 8; i++)
        {
            int j = many.Concepts.IndexOf(few.Concepts[i]);
            if (j >= 0)
            {
                met++;
                Assert.Equal(few.Pictures[i], many.Pictures[j]);
                Assert.Equal(small.TextOf(few, i), large.TextOf(many, j));
            }
        }

        Assert.True(met > 0);
    }

    [Fact]
    public void Fewer_languages_than_captions_are_shown_in_turn()
    {
        BatchSampler sampler = new(s_shapes, new SamplingOptions { Languages = ["en", "qu"], CaptionsPerPicture = 4 }, BatchSize);
        SampledBatch batch = sampler.CreateBatch();
        sampler.Sample(0, batch);
        for (int example = 0; example < BatchSize; example++)
        {
            int[] languages = [.. Enumerable.Range(0, 4).Select(slot => batch.Languages[(slot * BatchSize) + example])];
            Assert.Equal(2, languages.Count(l => l == s_shapes.LanguageIndex("en")));
            Assert.Equal(2, languages.Count(l => l == s_shapes.LanguageIndex("qu")));
        }
    }

    [Fact]
    public void A_held_out_concept_without_keywords_shows_another_language_or_is_left_out()
    {
        Concept[] concepts =
        [
            Make("a", heldOut: false, "sun", [], "inti", []),
            Make("b", heldOut: true, "moon", ["night"], "killa", []),
            Make("c", heldOut: true, "star", [], "quyllur", []),
        ];
        CaptionedPictures data = Put(concepts);
        BatchSampler sampler = new(data, new SamplingOptions { CaptionsPerPicture = 2 }, 2);
        Assert.Equal([0, 1], sampler.Concepts);
        SampledBatch batch = sampler.CreateBatch();
        for (int step = 0; step < 20; step++)
        {
            sampler.Sample(step, batch);
            int moon = batch.Concepts.IndexOf(1);
            Assert.Equal("night", sampler.TextOf(batch, moon));
            Assert.Equal("night", sampler.TextOf(batch, 2 + moon));
        }

        UserErrorException e = Assert.Throws<UserErrorException>(() => new BatchSampler(data, new SamplingOptions(), 3));
        Assert.Contains("2 train concepts", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void Scrambled_captions_belong_to_other_concepts_and_the_others_stay()
    {
        BatchSampler sampler = new(s_shapes, new SamplingOptions { ScrambleCaptions = ["qu"], NameProbability = 1 }, BatchSize);
        SampledBatch batch = sampler.CreateBatch();
        int quechua = s_shapes.LanguageIndex("qu");
        Dictionary<int, string> shown = [];
        for (int step = 0; step < 60; step++)
        {
            sampler.Sample(step, batch);
            for (int caption = 0; caption < batch.CaptionCount; caption++)
            {
                int index = batch.Concepts[caption % BatchSize];
                ConceptCaptions captions = s_shapes.Concepts[index].CaptionsIn(batch.Languages[caption])!;
                string text = sampler.TextOf(batch, caption);
                if (batch.Languages[caption] != quechua)
                {
                    Assert.True(text == captions.Name || batch.TextsOf(caption).ToArray().All(t => captions.Keywords.Contains(sampler.Texts[t])));
                }
                else if (!s_heldOutNames.Contains(captions.Name))
                {
                    Assert.NotEqual(captions.Name, text);
                    if (text.Split(' ').Length >= 3 && sampler.Texts.Contains(text))
                    {
                        // The permutation is fixed: a concept always shows the same wrong name.
                        Assert.Equal(text, shown.GetValueOrDefault(index, text));
                        shown[index] = text;
                    }
                }
            }
        }

        Assert.True(shown.Count > 200);
        Assert.Equal(shown.Count, shown.Values.Distinct().Count());
    }

    [Fact]
    public void Disjoint_styles_by_language_never_share_a_picture()
    {
        SamplingOptions options = new()
        {
            Languages = ["en", "ja", "qu"],
            StylesByLanguage = new Dictionary<string, IReadOnlyList<string>> { ["en"] = ["filled"], ["ja"] = ["outline", "striped"], ["qu"] = ["shaded"] },
        };
        BatchSampler sampler = new(s_shapes, options, BatchSize);
        SampledBatch batch = sampler.CreateBatch();
        HashSet<(string, string)> met = [];
        for (int step = 0; step < 30; step++)
        {
            sampler.Sample(step, batch);
            for (int caption = 0; caption < batch.CaptionCount; caption++)
            {
                string style = s_shapes.Styles[s_shapes.StyleOf(batch.Pictures[caption % BatchSize])].Name;
                met.Add((s_shapes.Languages[batch.Languages[caption]], style));
            }
        }

        Assert.Equal([("en", "filled"), ("ja", "outline"), ("ja", "striped"), ("qu", "shaded")], met.Order());
    }

    [Fact]
    public void Distinct_groups_never_meet_in_a_batch()
    {
        Concept[] concepts = [.. Enumerable.Range(0, 40).Select(i => Make($"c{i}", false, $"thing {i}", [], $"ima {i}", [], group: i / 4))];
        BatchSampler sampler = new(Put(concepts), new SamplingOptions { DistinctGroups = true }, 10);
        SampledBatch batch = sampler.CreateBatch();
        for (int step = 0; step < 50; step++)
        {
            sampler.Sample(step, batch);
            Assert.Equal(10, batch.Concepts.ToArray().Select(c => c / 4).Distinct().Count());
        }
    }

    [Fact]
    public void Sentences_are_shown_alone_and_all_of_them()
    {
        Concept concept = new("p", DataSplit.Train, false, [new("a dog runs", "A dog runs.", [], ["the dog is fast", "brown dog"])]);
        CaptionedPictures data = new("folder", ["en"], [concept], [new("photo", false, "photo", "")], new PictureStore(4, 1), [0], [0], [], "");
        BatchSampler sampler = new(data, new SamplingOptions { CaptionsPerPicture = 1 }, 1);
        SampledBatch batch = sampler.CreateBatch();
        HashSet<string> met = [];
        for (int step = 0; step < 50; step++)
        {
            sampler.Sample(step, batch);
            met.Add(sampler.TextOf(batch, 0));
        }

        Assert.Equal(["a dog runs", "brown dog", "the dog is fast"], met.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Drawing_allocates_nothing()
    {
        BatchSampler sampler = new(s_shapes, new SamplingOptions(), BatchSize);
        SampledBatch batch = sampler.CreateBatch();
        sampler.Sample(0, batch);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 1; step < 20; step++)
        {
            sampler.Sample(step, batch);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Theory]
    [InlineData("xx", "filled")]
    [InlineData("en", "cubist")]
    public void Unknown_languages_and_styles_are_named(string language, string style)
    {
        SamplingOptions options = new() { Languages = [language], Styles = [style] };
        UserErrorException e = Assert.Throws<UserErrorException>(() => new CaptionSampler(s_shapes, options));
        Assert.Contains(language == "xx" ? "'xx'" : "'cubist'", e.What, StringComparison.Ordinal);
    }

    private static void AssertSays(Concept concept, int language, BatchSampler sampler, SampledBatch batch, int caption)
    {
        ConceptCaptions captions = concept.CaptionsIn(language)!;
        string[] texts = [.. batch.TextsOf(caption).ToArray().Select(t => sampler.Texts[t])];
        Assert.True(texts is [string only] && only == captions.Name || texts.All(captions.Keywords.Contains), string.Join('|', texts));
        Assert.Equal(texts.Length, texts.Distinct().Count());
    }

    private static string[] Read(BatchSampler sampler, SampledBatch batch) => [.. Enumerable.Range(0, batch.CaptionCount).Select(c => sampler.TextOf(batch, c))];

    private static Concept Make(string id, bool heldOut, string english, string[] englishKeywords, string quechua, string[] quechuaKeywords, int group = -1) => new(
        id,
        DataSplit.Train,
        heldOut,
        [ConceptCaptions.FromNameAndKeywords(english, englishKeywords), ConceptCaptions.FromNameAndKeywords(quechua, quechuaKeywords)],
        group);

    private static CaptionedPictures Put(Concept[] concepts)
    {
        int[] indices = [.. Enumerable.Range(0, concepts.Length)];
        return new("small", ["en", "qu"], concepts, [new("photo", false, "photo", "")], new PictureStore(4, concepts.Length), indices, new int[concepts.Length], [], "");
    }
}
