using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class BitextEvaluationTests
{
    private static readonly FigureOrigin s_origin = new("multilingual", 3);
    private static readonly string[] s_languages = ["en", "es", "qu"];

    [Fact]
    public void EveryDirectionScoreAndSubsetHasItsFigure()
    {
        CaptionedPictures data = Data();
        ConceptEmbeddings embeddings = Aligned(data, noise: 0);
        IReadOnlyList<Figure> figures = BitextEvaluation.MeasureConcepts(
            s_origin, embeddings, ConceptSetNames.Reported, s_languages, [SimilarityScore.Cosine, SimilarityScore.Csls]);

        // 3 sets x 2 languages x 2 scores x 3 subsets x 2 directions.
        Assert.Equal(72, figures.Count);
        Assert.Equal(72, figures.Select(f => (f.Set, f.From, f.To, f.Score, f.Queries)).Distinct().Count());
        Assert.All(figures, f => Assert.Equal(("multilingual", 3L, "bitext", null), (f.Setup, f.Seed, f.Task, f.Style)));
        Assert.All(figures, f => Assert.Equal(f.Count > 0, f.R1 is not null && f.Baseline is not null));
    }

    [Fact]
    public void ThePoolIsEveryConceptNamedInBothLanguages()
    {
        CaptionedPictures data = Data();
        Figure figure = Find(data, "seen", "qu", "en", "all");

        // Concepts 0 to 5 are seen; number 4 has no Quechua name.
        Assert.Equal((5, 5), (figure.Count, figure.Pool));
        Assert.Equal((6, 6), (Find(data, "seen", "es", "en", "all").Count, Find(data, "seen", "es", "en", "all").Pool));

        // Number 1 has the English name, number 2 shares a word with the Spanish one.
        Assert.Equal((4, 5), (Find(data, "seen", "qu", "en", "not-identical").Count, Find(data, "seen", "qu", "en", "not-identical").Pool));
        Assert.Equal((3, 5), (Find(data, "seen", "qu", "en", "strict").Count, Find(data, "seen", "qu", "en", "strict").Pool));
        Assert.Equal(3, Find(data, "seen", "en", "qu", "strict").Count);
        Assert.Equal(0, Find(data, "unseen", "qu", "en", "strict").Count);
        Assert.Null(Find(data, "unseen", "qu", "en", "strict").R1);
    }

    [Fact]
    public void AlignedNamesAreAllFoundAndShuffledOnesAreNot()
    {
        CaptionedPictures data = Data();
        Assert.Equal(1, Find(data, "seen", "qu", "en", "all").R1);

        ConceptEmbeddings shifted = new(data);
        shifted.AddNames("en", Rows(data, 0, 0));
        shifted.AddNames("qu", Rows(data, 0, shift: 1));
        IReadOnlyList<Figure> figures = BitextEvaluation.MeasureConcepts(
            s_origin, shifted, [ConceptSet.Seen], ["qu"], [SimilarityScore.Cosine]);
        Assert.Equal(0, figures.Single(f => f.From == "qu" && f.Queries == "all").R1);
    }

    [Fact]
    public void TheBaselineSeesTheStringsOfTheSetAlone()
    {
        CaptionedPictures data = Data();
        Figure all = Find(data, "seen", "qu", "en", "all");
        int[] concepts = [0, 1, 2, 3, 5];
        NGramBaseline expected = new([.. concepts.Select(c => data.NameOf(c, "qu")!)], [.. concepts.Select(c => data.NameOf(c, "en")!)]);
        Assert.Equal(expected.FirstRate(), all.Baseline!.R1, 12);
        Assert.Equal(expected.FirstRate([0, 3, 4]), Find(data, "seen", "qu", "en", "strict").Baseline!.R1, 12);
        Assert.Equal(expected.FirstRateReversed(), Find(data, "seen", "en", "qu", "all").Baseline!.R1, 12);
        Assert.InRange(all.Baseline.R1, 0.2, 0.99);
    }

    [Fact]
    public void ConceptsOfOneGroupAreRightForEachOther()
    {
        EmbeddingMatrix x = new([1, 0, 0, 1, 0.9f, 0.1f], 3, 2);
        EmbeddingMatrix y = new([0.8f, 0.2f, 0, 1, 1, 0], 3, 2);
        string[] sources = ["a", "b", "c"];
        string[] targets = ["d", "e", "f"];
        BitextPairs alone = new("xx", "en", "seen", sources, targets, x, y);
        BitextPairs grouped = new("xx", "en", "seen", sources, targets, x, y) { Groups = [7, 8, 7] };
        Assert.Equal(2 / 3.0, First(alone), 12);
        Assert.Equal(1, First(grouped), 12);

        static double First(BitextPairs pairs) =>
            BitextEvaluation.Measure(s_origin, pairs, [SimilarityScore.Cosine]).First(f => f.From == "xx" && f.Queries == "all").R1!.Value;
    }

    [Fact]
    public void PicturesAreFoundStyleByStyle()
    {
        CaptionedPictures data = Data();
        ConceptEmbeddings embeddings = Aligned(data, noise: 0);
        IReadOnlyList<Figure> figures = PictureRetrievalEvaluation.Measure(
            s_origin, embeddings, [ConceptSet.Seen, ConceptSet.Unseen], ["flat", "line"], ["en", "qu"], [SimilarityScore.Cosine]);

        // 2 sets x 2 styles x 2 languages x 2 directions.
        Assert.Equal(16, figures.Count);
        Assert.All(figures, f => Assert.Null(f.Baseline));
        Assert.All(figures, f => Assert.Equal("retrieval", f.Task));
        Figure line = figures.Single(f => f.From == "picture" && f.To == "en" && f.Style == "line" && f.Set == "seen");

        // The line style does not draw concept 0.
        Assert.Equal((5, 5, 1.0), (line.Count, line.Pool, line.R1!.Value));
        Assert.Equal(6, figures.Single(f => f.From == "en" && f.To == "picture" && f.Style == "flat" && f.Set == "seen").Pool);
    }

    [Fact]
    public void MissingVectorsAreNamed()
    {
        CaptionedPictures data = Data();
        ConceptEmbeddings embeddings = new(data);
        embeddings.AddNames("en", Rows(data, 0, 0));
        UserErrorException e = Assert.Throws<UserErrorException>(() => BitextEvaluation.MeasureConcepts(
            s_origin, embeddings, [ConceptSet.Seen], ["qu"], [SimilarityScore.Cosine]));
        Assert.Contains("'qu'", e.What, StringComparison.Ordinal);
        Assert.Throws<UserErrorException>(() => embeddings.EncodeNames("zz", texts => Rows(data, 0, 0)));
        Assert.Throws<ArgumentException>(() => embeddings.AddNames("es", new EmbeddingMatrix(new float[4], 2, 2)));
        Assert.Throws<ArgumentException>(() => embeddings.AddNames("en", Rows(data, 0, 0)));
    }

    [Fact]
    public void NamesAndPicturesAreEncodedInPlace()
    {
        CaptionedPictures data = Data();
        ConceptEmbeddings embeddings = new(data);
        embeddings.EncodeNames("qu", texts => new EmbeddingMatrix([.. texts.SelectMany(t => (float[])[t.Length, t[0]])], texts.Count, 2));
        Assert.Equal([0f, 0f], embeddings.Names("qu").Row(4).ToArray());
        Assert.Equal([(float)"allqu".Length, 'a'], embeddings.Names("qu").Row(0).ToArray());

        embeddings.EncodePictures("line", pictures => new EmbeddingMatrix([.. pictures.Select(p => (float)p)], pictures.Count, 1));
        Assert.Equal(data.PictureOf(3, 1), embeddings.Pictures("line").Row(3)[0]);
    }

    [Fact]
    public void SetsAreReadByName()
    {
        foreach (ConceptSet set in Enum.GetValues<ConceptSet>())
        {
            Assert.Equal(set, ConceptSetNames.Parse(ConceptSetNames.Of(set)));
        }

        Assert.Null(ConceptSetNames.Parse("udhr"));
        Assert.Contains("held-out-captions", Assert.Throws<UserErrorException>(() => ConceptSetNames.Parse("test")).Remedy, StringComparison.Ordinal);
    }

    private static Figure Find(CaptionedPictures data, string set, string from, string to, string queries) =>
        BitextEvaluation.MeasureConcepts(s_origin, Aligned(data, noise: 0), ConceptSetNames.Reported, s_languages, [SimilarityScore.Cosine])
            .Single(f => f.Set == set && f.From == from && f.To == to && f.Queries == queries);

    private static ConceptEmbeddings Aligned(CaptionedPictures data, float noise)
    {
        ConceptEmbeddings embeddings = new(data);
        foreach (string language in s_languages)
        {
            embeddings.AddNames(language, Rows(data, noise, 0));
        }

        embeddings.AddPictures("flat", Rows(data, noise, 0));
        embeddings.AddPictures("line", Rows(data, noise, 0));
        return embeddings;
    }

    // A direction of its own for each concept; a shift gives it its neighbour's.
    private static EmbeddingMatrix Rows(CaptionedPictures data, float noise, int shift)
    {
        int n = data.Concepts.Count;
        CounterRandom random = new(1, 5, 0);
        float[] rows = new float[n * n];
        for (int i = 0; i < rows.Length; i++)
        {
            rows[i] = noise * random.NextNormal();
        }

        for (int i = 0; i < n; i++)
        {
            rows[(i * n) + ((i + shift) % n)] += 1;
        }

        return new EmbeddingMatrix(rows, n, n);
    }

    private static CaptionedPictures Data()
    {
        (string English, string Spanish, string? Quechua, DataSplit Split, bool HeldOut)[] names =
        [
            ("dog", "perro", "allqu", DataSplit.Train, false),
            ("radio", "radio", "radio", DataSplit.Train, false),
            ("red car", "coche rojo", "puka coche", DataSplit.Train, false),
            ("sun", "sol", "inti", DataSplit.Train, false),
            ("moon", "luna", null, DataSplit.Train, false),
            ("house", "casa", "wasi", DataSplit.Train, false),
            ("water", "agua", "unu", DataSplit.Train, true),
            ("star", "estrella", "quyllur", DataSplit.Validation, false),
            ("fish", "pez", "fish challwa", DataSplit.Test, false),
            ("tree", "árbol", "sacha tree", DataSplit.Test, false),
        ];
        Concept[] concepts = new Concept[names.Length];
        List<int> conceptOfPicture = [];
        List<int> styleOfPicture = [];
        for (int i = 0; i < names.Length; i++)
        {
            (string english, string spanish, string? quechua, DataSplit split, bool heldOut) = names[i];
            ConceptCaptions?[] captions =
            [
                ConceptCaptions.FromNameAndKeywords(english, [$"{english} keyword"]),
                ConceptCaptions.FromNameAndKeywords(spanish, []),
                quechua is null ? null : ConceptCaptions.FromNameAndKeywords(quechua, []),
            ];
            concepts[i] = new Concept($"c{i}", split, heldOut, captions, englishName: english, spanishName: spanish);
            for (int style = i == 0 ? 1 : 0; style < 2; style++)
            {
                conceptOfPicture.Add(i);
                styleOfPicture.Add(1 - style);
            }
        }

        // Concept 0 is drawn in the flat style alone.
        PictureStyle[] styles = [new PictureStyle("flat", false, "Flat", "MIT"), new PictureStyle("line", true, "Line", "MIT")];
        return new CaptionedPictures(
            "test", s_languages, concepts, styles, new PictureStore(2, conceptOfPicture.Count), [.. conceptOfPicture], [.. styleOfPicture], [], "0");
    }
}
