using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Data;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Checkpoints;

/// <summary>A raw text through an exported tokenizer gives the ids of the normalised text through the run's.</summary>
public sealed class CaptionNormalizerTests
{
    [Fact]
    public void EveryCharacterComesOutAsInTraining()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("tokenizer.json");
        File.Copy(Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"), path);
        ITokenizer plain = Tokenizer.Load(path);
        CaptionNormalizer.AddTo(path);
        ITokenizer exported = Tokenizer.Load(path);
        List<string> texts = ["", " ", "?!", "Ñuqa  RIMAni: “Allin p’unchay!”", "ＦＵＬＬ（width）", "ŉ", "a\u0085b\u2028c", "ß ẞ Σας", "犬。猫、鳥", "…", "a < b & c"];

        // The plane of nearly all letters, and of the next one the letters with compatibility forms. U+0130 is the letter that is known to
        // differ; U+FFFE is no character, and the platform's normalisation refuses it.
        foreach (int c in Enumerable.Range(0, 0x10000).Concat(Enumerable.Range(0x1D400, 0x400)).Concat(Enumerable.Range(0x1F100, 0x200)).Concat(Enumerable.Range(0x10400, 0x50)))
        {
            if (c is not (>= 0xD800 and <= 0xDFFF) and not 0x130 and not 0xFFFE)
            {
                string character = char.ConvertFromUtf32(c);
                texts.Add($"x{character}Y {character} z{character}");
            }
        }

        List<int> expected = [];
        List<int> actual = [];
        foreach (string text in texts)
        {
            expected.Clear();
            actual.Clear();
            plain.Encode(CaptionText.Normalize(CaptionText.UnifyApostrophes(text)), expected, int.MaxValue);
            exported.Encode(text, actual, int.MaxValue);
            Assert.True(expected.SequenceEqual(actual), $"'{text}' (U+{(text.Length > 1 ? char.ConvertToUtf32(text, 1) : 0):X4}): {string.Join(' ', actual)}, expected {string.Join(' ', expected)}");
        }
    }

    [Fact]
    public void StepsThatTheFileHasComeAfterwards()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("tokenizer.json");
        File.Copy(Fixtures.PathOf("tokenizer", "unigram-nfkc", "tokenizer.json"), path);
        ITokenizer plain = Tokenizer.Load(path);
        CaptionNormalizer.AddTo(path);
        Assert.Equal(plain.Encode("a red dog"), Tokenizer.Load(path).Encode("A (red) DOG."));
        Assert.NotEqual(plain.Encode("A (red) DOG."), plain.Encode("a red dog"));
    }
}
