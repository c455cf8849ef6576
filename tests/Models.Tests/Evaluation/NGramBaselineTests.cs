using System.Text.Json;
using CrossAlign.Models.Evaluation;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed class NGramBaselineTests
{
    private static readonly JsonElement s_expected = Golden.Json("metrics/expected.json").GetProperty("ngram");

    [Fact]
    public void AcrossWordsIsTheReferencesVectorizer()
    {
        NGramBaseline baseline = new(Texts("rows"), Texts("columns"), NGramOptions.AcrossWords);
        Assert.Equal(s_expected.GetProperty("vocabulary_size").GetInt32(), baseline.VocabularySize);
        foreach (JsonProperty idf in s_expected.GetProperty("idf").EnumerateObject())
        {
            Golden.Close(idf.Value.GetDouble(), baseline.InverseDocumentFrequency(idf.Name)!.Value, 1e-12, $"idf of '{idf.Name}'");
        }

        double[] similarity = Golden.Open("metrics/expected.safetensors").Doubles("ngram.similarity");
        double[,] actual = baseline.Similarities();
        for (int i = 0; i < similarity.Length; i++)
        {
            Assert.Equal(similarity[i], actual[i / 24, i % 24], 1e-12);
        }

        Assert.Equal(s_expected.GetProperty("rows->columns").GetProperty("R@1").GetDouble(), baseline.FirstRate(), 12);
        Assert.Equal(s_expected.GetProperty("columns->rows").GetProperty("R@1").GetDouble(), baseline.FirstRateReversed(), 12);
        Assert.Equal([.. s_expected.GetProperty("top1_rows").EnumerateArray().Select(t => t.GetInt32())], Top1(actual, byRow: true));
        Assert.Equal([.. s_expected.GetProperty("top1_columns").EnumerateArray().Select(t => t.GetInt32())], Top1(actual, byRow: false));
    }

    [Fact]
    public void InsideWordsEveryWordIsPaddedWithOneSpace()
    {
        NGramBaseline baseline = new(["ab c"], ["x"], new NGramOptions(1, 4, InsideWords: true, Sublinear: true));

        // " ab ": 3 different 1-grams, 3 2-grams, 2 3-grams, 1 4-gram; " c ": c, " c", "c ", " c " (short words count once);
        // " x ": x, " x", "x ", " x ".
        string[] grams = [" ", "a", "b", " a", "ab", "b ", " ab", "ab ", " ab ", "c", " c", "c ", " c ", "x", " x", "x ", " x "];
        Assert.Equal(grams.Length, baseline.VocabularySize);
        Assert.All(grams, g => Assert.NotNull(baseline.InverseDocumentFrequency(g)));
        Assert.Null(baseline.InverseDocumentFrequency("b c"));
        Golden.Close(Math.Log(3 / 3.0) + 1, baseline.InverseDocumentFrequency(" ")!.Value, 1e-12, "idf in both texts");
        Golden.Close(Math.Log(3 / 2.0) + 1, baseline.InverseDocumentFrequency("a")!.Value, 1e-12, "idf in one text");
    }

    [Fact]
    public void SublinearWeightsGrowWithTheLogarithm()
    {
        // 1-grams only: "aab" holds a twice and b once, "ab" each once; both in both texts, so that idf is 1 throughout.
        NGramBaseline baseline = new(["aab"], ["ab"], new NGramOptions(1, 1, InsideWords: false, Sublinear: true));
        double a = 1 + Math.Log(2);
        Golden.Close((a + 1) / (Math.Sqrt((a * a) + 1) * Math.Sqrt(2)), baseline.Similarities()[0, 0], 1e-12, "cosine");
    }

    [Fact]
    public void AHitSharedWithTiesCountsItsShare()
    {
        NGramBaseline baseline = new(["uno", "dos", "uno"], ["uno", "uno", "luz"]);
        Assert.Equal(0.5, baseline.FirstRate([0]), 12);
        Assert.Equal(0, baseline.FirstRate([2]));

        // Nothing in common with anything: the right one ties with all at similarity 0.
        NGramBaseline strangers = new(["猫", "犬"], ["cat", "dog"], new NGramOptions(1, 2, InsideWords: false, Sublinear: true));
        Assert.Equal(0.5, strangers.FirstRate(), 12);
        Assert.Equal(0.5, strangers.FirstRateReversed(), 12);
    }

    [Fact]
    public void AnNGramIsOneOfCodePoints()
    {
        NGramBaseline baseline = new(["😀😃"], ["😀"], new NGramOptions(1, 2, InsideWords: false, Sublinear: false));
        Assert.Equal(3, baseline.VocabularySize);
        Assert.NotNull(baseline.InverseDocumentFrequency("😀😃"));
    }

    [Fact]
    public void EmptyTextsAndSetsAreNoError()
    {
        Assert.True(double.IsNaN(new NGramBaseline([], []).FirstRate()));
        Assert.Equal(0.5, new NGramBaseline(["", "a"], ["b", "c"]).FirstRate([0]), 12);
        Assert.Throws<InvalidOperationException>(() => new NGramBaseline(["a"], []).FirstRate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new NGramBaseline(["a"], ["b"], new NGramOptions(3, 2, true, true)));
    }

    private static string[] Texts(string side) => [.. s_expected.GetProperty(side).EnumerateArray().Select(t => t.GetString()!)];

    private static int[] Top1(double[,] scores, bool byRow)
    {
        int[] top = new int[24];
        for (int i = 0; i < 24; i++)
        {
            for (int j = 1; j < 24; j++)
            {
                top[i] = (byRow ? scores[i, j] > scores[i, top[i]] : scores[j, i] > scores[top[i], i]) ? j : top[i];
            }
        }

        return top;
    }
}
