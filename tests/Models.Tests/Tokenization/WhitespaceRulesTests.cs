using System.Text.Json;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>
/// SentencePiece's rules for white space, each combination of them, against the C++ library: <c>whitespace-rules.json</c> has its ids for the fixtures' models with other rules
/// appended (of a protocol buffer's field the last value counts).
/// </summary>
public class WhitespaceRulesTests
{
    [Fact]
    public void EveryCombinationGivesTheIdsOfTheLibrary()
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(TokenizerFixtures.Path("whitespace-rules.json")));
        string[] texts = TokenizerFixtures.Strings(golden.RootElement, "texts");
        List<string> differences = [];
        int cases = 0;
        foreach (JsonElement rules in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            string model = rules.GetProperty("model").GetString()!;
            byte[] file =
            [
                .. File.ReadAllBytes(TokenizerFixtures.Path(model + "/sentencepiece.bpe.model")),
                0x1A, 6, 0x18, Rule(rules, "dummyPrefix"), 0x20, Rule(rules, "removeExtra"), 0x28, Rule(rules, "escape"),
                0x12, 3, 0xC0, 1, Rule(rules, "suffix"),
            ];
            SentencePieceTokenizer tokenizer = new(file, SentencePieceModelReader.Read(file, model));
            JsonElement ids = rules.GetProperty("ids");
            for (int i = 0; i < texts.Length; i++)
            {
                cases++;
                int[] expected = [.. ids[i].EnumerateArray().Select(e => e.GetInt32())];
                int[] whole = [.. tokenizer.Tokenize(texts[i]).FileIds!];

                // With and without pieces go different ways.
                int[] plain = [.. tokenizer.Encode(texts[i])[1..^1]];
                if (!expected.SequenceEqual(whole) || !expected.Select(SentencePieceTokenizer.FromFileId).SequenceEqual(plain))
                {
                    differences.Add($"{rules.GetProperty("model")} {string.Join(" ", rules.EnumerateObject().Skip(1).Take(4))}, '{texts[i]}': {string.Join(" ", whole)}, must be {string.Join(" ", expected)}");
                }
            }
        }

        TokenizerFixtures.AssertNone(differences, cases);
        Assert.Equal(2 * 16 * texts.Length, cases);

        static byte Rule(JsonElement rules, string name) => (byte)rules.GetProperty(name).GetInt32();
    }
}
