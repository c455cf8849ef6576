using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class CldrNliTests
{
    private static readonly CaptionedPictures s_data = Data();

    [Fact]
    public void PairsFollowTheRule()
    {
        int[] train = s_data.ConceptsOf(DataSplit.Train);
        IReadOnlyList<CldrNliPair> pairs = CldrNli.Pairs(s_data, "en", train, 2, 1);
        Assert.Equal(train.Length * 6, pairs.Count);
        Assert.Equal(3, pairs.GroupBy(p => p.Label).Count(g => g.Count() == train.Length * 2));
        foreach (CldrNliPair pair in pairs)
        {
            // Names and keywords end in the number of their concept; 5 concepts make a subgroup, 10 a top group.
            int premise = Number(pair.Premise);
            int hypothesis = Number(pair.Hypothesis);
            Assert.Contains(premise, train);
            Assert.Contains(hypothesis, train);
            int expected = hypothesis == premise ? 0 : hypothesis / 5 == premise / 5 ? 1 : 2;
            Assert.Equal(expected, pair.Label);
            Assert.True(pair.Label != 2 || hypothesis / 10 != premise / 10);
        }

        Assert.Equal(pairs, CldrNli.Pairs(s_data, "en", train, 2, 1));
        Assert.NotEqual(pairs, CldrNli.Pairs(s_data, "en", train, 2, 2));
    }

    [Fact]
    public void VectorsThatKnowTheGroupsBeatChanceAndBlindOnesDoNot()
    {
        using CpuDevice device = new(1);
        CldrNliOptions options = new()
        {
            Classifier = new SentencePairOptions { HiddenWidth = 32, BatchSize = 32, Epochs = 25, Seed = 1 },
        };
        FigureOrigin origin = new("multilingual", 1);
        IReadOnlyList<Figure> knowing = CldrNli.Measure(
            origin, s_data, ["en", "xx"], Knowing, device, options, TestContext.Current.CancellationToken);
        Assert.Equal(["en", "xx"], knowing.Select(f => f.From));
        foreach (Figure figure in knowing)
        {
            Assert.Equal("cldr-nli", figure.Task);
            Assert.Equal("chance", figure.Baseline!.Name);
            Assert.True(figure.Wilson95[0] > figure.Baseline.R1, $"{figure.From}: {figure.R1}");
            Assert.Null(figure.R5);
        }

        Figure blind = CldrNli.Measure(
            origin, s_data, ["xx"], texts => new EmbeddingMatrix(new float[texts.Count * 8], texts.Count, 8), device, options,
            TestContext.Current.CancellationToken).Single();
        Assert.Equal(1.0 / 3, blind.R1!.Value, 1e-9);
    }

    [Fact]
    public void TooFewKeywordsAreNamed()
    {
        using CpuDevice device = new(1);
        UserErrorException e = Assert.Throws<UserErrorException>(() => CldrNli.Measure(
            new FigureOrigin("a", 1), s_data, ["yy"], Knowing, device, null, TestContext.Current.CancellationToken));
        Assert.Contains("'yy'", e.What, StringComparison.Ordinal);
    }

    // The first coordinates tell the subgroup, the others the concept; the language does not matter.
    private static EmbeddingMatrix Knowing(IReadOnlyList<string> texts)
    {
        const int Width = 24;
        float[] rows = new float[texts.Count * Width];
        for (int i = 0; i < texts.Count; i++)
        {
            int number = Number(texts[i]);
            CounterRandom group = new(3, 1, (uint)(number / 5));
            CounterRandom concept = new(3, 2, (uint)number);
            for (int d = 0; d < Width; d++)
            {
                rows[(i * Width) + d] = d < Width / 2 ? group.NextNormal() : concept.NextNormal();
            }
        }

        return new EmbeddingMatrix(rows, texts.Count, Width);
    }

    private static int Number(string text) => int.Parse(text[^3..], System.Globalization.CultureInfo.InvariantCulture);

    private static CaptionedPictures Data()
    {
        Concept[] concepts = new Concept[200];
        for (int i = 0; i < concepts.Length; i++)
        {
            string number = i.ToString("000", System.Globalization.CultureInfo.InvariantCulture);
            ConceptCaptions?[] captions =
            [
                ConceptCaptions.FromNameAndKeywords($"name {number}", [$"a {number}", $"b {number}", $"c {number}"]),
                ConceptCaptions.FromNameAndKeywords($"nomo {number}", [$"x {number}", $"y {number}"]),
                ConceptCaptions.FromNameAndKeywords($"nombre {number}", []),
            ];
            DataSplit split = i % 50 < 40 ? DataSplit.Train : i % 50 < 45 ? DataSplit.Validation : DataSplit.Test;
            string category = (i / 10).ToString(System.Globalization.CultureInfo.InvariantCulture);
            string subcategory = (i / 5).ToString(System.Globalization.CultureInfo.InvariantCulture);
            concepts[i] = new Concept($"c{i}", split, false, captions, category: category, subcategory: subcategory);
        }

        return new CaptionedPictures("test", ["en", "xx", "yy"], concepts, [], new PictureStore(1, 0), [], [], [], "0");
    }
}
