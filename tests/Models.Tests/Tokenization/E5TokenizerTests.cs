using System.Text.Json;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>XLM-R's whole vocabulary, as multilingual-e5-small ships it. Needs the unpacked model folder.</summary>
public class E5TokenizerTests
{
    private const int Limit = 512;

    [Fact]
    public void TheRealVocabularyGivesTheGoldenIds()
    {
        string? folder = Environment.GetEnvironmentVariable("CROSSALIGN_E5");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "CROSSALIGN_E5 does not name the unpacked multilingual-e5-small");
        ITokenizer json = Tokenizer.Load(folder!);
        ITokenizer model = Tokenizer.Load(Path.Combine(folder!, "sentencepiece.bpe.model"));
        Assert.Equal(250002, json.VocabularySize);
        Assert.Equal(250002, model.VocabularySize);
        Assert.Equal(new SpecialTokens(0, 1, 2, 3, 250001), json.SpecialTokens);
        Assert.Equal(json.SpecialTokens, model.SpecialTokens);
        List<string> differences = [];
        int cases = 0;
        int modelDiffers = 0;
        foreach (string line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "fixtures", "e5", "tokenizer.jsonl")))
        {
            cases++;
            JsonElement golden = JsonElement.Parse(line);
            string text = golden.GetProperty("text").GetString()!;
            int[] expected = TokenizerFixtures.Ints(golden, "ids");
            int[] ids = json.Encode(text, Limit);
            if (!expected.SequenceEqual(ids))
            {
                differences.Add($"{golden.GetProperty("id")}: expected {string.Join(' ', expected)}, got {string.Join(' ', ids)}");
            }

            modelDiffers += expected.SequenceEqual(model.Encode(text, Limit)) ? 0 : 1;
        }

        TokenizerFixtures.AssertNone(differences, cases);

        // The two published libraries differ in 6 of 30,337 paragraphs; in these texts in none.
        Assert.Equal(0, modelDiffers);
    }
}
