using System.Text;
using System.Text.Json.Nodes;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>Choosing a reader, and files that are damaged, hostile or of a kind that is not supported.</summary>
public class TokenizerFileTests
{
    private const string Text = "Everyone has the right to life, 人権 \u0301 मानव🙂 ";

    [Fact]
    public void TheFileNameChoosesTheReader()
    {
        Assert.Equal("sentencepiece", Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc/sentencepiece.bpe.model")).Kind);
        Assert.Equal("unigram", Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc/tokenizer.json")).Kind);
        Assert.Equal("unigram", Tokenizer.Load(TokenizerFixtures.Path("unigram-nfkc")).Kind);
        string folder = Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName;
        Assert.Contains("neither tokenizer.json nor", Error(() => Tokenizer.Load(folder)), StringComparison.Ordinal);
        File.Copy(TokenizerFixtures.Path("unigram-nfkc/sentencepiece.bpe.model"), Path.Combine(folder, "sentencepiece.bpe.model"));
        Assert.Equal("sentencepiece", Tokenizer.Load(folder).Kind);
        Assert.Contains("absent.json", Error(() => Tokenizer.Load(Path.Combine(folder, "absent.json"))), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "is not JSON")]
    [InlineData("[1]", "not an object")]
    [InlineData("{}", "model has no 'model'")]
    [InlineData("""{"model": 3}""", "model is 3, not an object")]
    [InlineData("""{"model": {"type": "WordLevel", "vocab": {}}}""", "type 'WordLevel', which is not supported")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": {}}}""", "model.vocab is {}, not a list")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["a"]]}}""", "model.vocab[0]")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["a", 1e999]]}}""", "model.vocab[0]")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["a", -1]], "unk_id": 1}}""", "model.unk_id is 1")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["\uD800", -1]]}}""", "not valid Unicode")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}""", "where an id belongs")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {"a": 100000}, "merges": []}}""", "far beyond")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}""", "'b', which is not in model.vocab")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}""", "model.merges[0] is not a pair")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": [], "byte_fallback": "yes"}}""", "'byte_fallback' is neither true nor false")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Nmt"}}""", "normalizer has the type 'Nmt'")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Xyz"}]}}""", "normalizer.normalizers[] has the type 'Xyz'")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "%"}}""", "not base64")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "////"}}""", "character map is damaged")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}}""", "a pattern that is not supported")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "UnicodeScripts"}}""", "pre_tokenizer has the type 'UnicodeScripts'")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "Metaspace", "replacement": "ab"}}""", "is not one character")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "decoder": {"type": "CTC"}}""", "decoder has the type 'CTC'")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2]}}""", "the id 0, which is not in the vocabulary")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}, "post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}}""", "0 places for 1 texts")]
    public void WhatIsWrongWithAJsonFileIsSaidWithItsName(string content, string expected)
    {
        string path = Write("tokenizer.json", Encoding.UTF8.GetBytes(content));
        string message = Error(() => Tokenizer.Load(path));
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Contains(path, message, StringComparison.Ordinal);
    }

    [Fact]
    public void JsonNestedTooDeeplyIsAnError()
    {
        byte[] content = Encoding.UTF8.GetBytes(new string('[', 100_000) + new string(']', 100_000));
        Assert.Contains("is not JSON", Error(() => Tokenizer.Load(Write("tokenizer.json", content))), StringComparison.Ordinal);
    }

    [Fact]
    public void AnUnknownCharacterWithoutAnUnknownTokenIsAnError()
    {
        ITokenizer tokenizer = Tokenizer.Load(Write("tokenizer.json", """{"model": {"type": "Unigram", "vocab": [["a", -1]]}}"""u8.ToArray()));
        Assert.Equal([0, 0], tokenizer.Encode("aa"));
        Assert.Contains("cannot spell 'b'", Error(() => tokenizer.Encode("ab")), StringComparison.Ordinal);
    }

    [Fact]
    public void OtherSentencePieceModelsAreNamed()
    {
        byte[] model = File.ReadAllBytes(TokenizerFixtures.Path("unigram-nfkc/sentencepiece.bpe.model"));

        // A second trainer_spec at the end is merged into the first: its model_type becomes BPE.
        Assert.Contains("the model type is BPE", Error(() => Tokenizer.Load(Write("bpe.model", [.. model, 0x12, 0x02, 0x18, 0x02]))), StringComparison.Ordinal);

        // One piece, of the kind "normal", is not XLM-R's layout.
        Assert.Contains("first three pieces", Error(() => Tokenizer.Load(Write("t5.model", [0x0A, 0x03, 0x0A, 0x01, (byte)'a']))), StringComparison.Ordinal);
        Assert.Contains("it has no pieces", Error(() => Tokenizer.Load(Write("empty.model", []))), StringComparison.Ordinal);
        Assert.Contains("is not UTF-8", Error(() => Tokenizer.DecodeUtf8([0x61, 0xFF], "the text")), StringComparison.Ordinal);
    }

    /// <summary>A model cut anywhere is an error or, cut between two fields, a smaller model; nothing else.</summary>
    [Fact]
    public void ATruncatedModelNeverCrashes()
    {
        byte[] model = File.ReadAllBytes(TokenizerFixtures.Path("unigram-bytes/sentencepiece.bpe.model"));
        int errors = 0;
        for (int i = 0; i < 60; i++)
        {
            errors += IsRefused(".model", model[..(int)((long)model.Length * i / 60)]) ? 1 : 0;
        }

        Assert.InRange(errors, 20, 60);
    }

    [Theory]
    [InlineData("unigram-nfkc/sentencepiece.bpe.model", 60)]
    [InlineData("unigram-bytes/sentencepiece.bpe.model", 60)]
    [InlineData("bpe-bytes/tokenizer.json", 60)]
    [InlineData("unigram-nfkc/tokenizer.json", 30)]
    public void AFileWithWrongBytesIsRefusedOrWorksAndNeverCrashes(string file, int cases)
    {
        byte[] content = File.ReadAllBytes(TokenizerFixtures.Path(file));
        Random random = new(20261122);
        for (int i = 0; i < cases; i++)
        {
            byte[] damaged = [.. content];
            for (int k = 0; k < 1 << (i % 8); k++)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            IsRefused(Path.GetExtension(file), damaged);
        }
    }

    /// <summary>The character map alone, so that every case gets past the other checks.</summary>
    [Fact]
    public void ADamagedCharacterMapNeverReadsElsewhere()
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(TokenizerFixtures.Path("unigram-nfkc/tokenizer.json")))!;
        byte[] map = Convert.FromBase64String(root["normalizer"]!["precompiled_charsmap"]!.GetValue<string>());
        Random random = new(7);
        for (int i = 0; i < 40; i++)
        {
            byte[] damaged = [.. map];
            int arrayLength = BitConverter.ToInt32(map);
            for (int k = 0; k < 2000; k++)
            {
                damaged[4 + random.Next(arrayLength)] = (byte)random.Next(256);
            }

            try
            {
                CharacterMap read = CharacterMap.Read(damaged, "map")!;
                foreach (string text in TokenizerFixtures.Texts.Values.Take(300))
                {
                    ReadOnlySpan<byte> utf8 = Encoding.UTF8.GetBytes(text);
                    for (int at = 0; at < utf8.Length; at++)
                    {
                        Assert.InRange(read.Longest(utf8[at..], out _), 0, utf8.Length - at);
                    }
                }
            }
            catch (UserErrorException e)
            {
                Assert.Contains("character map is damaged", e.Message, StringComparison.Ordinal);
            }
        }
    }

    private static bool IsRefused(string extension, byte[] content)
    {
        string path = Write("damaged" + extension, content);
        try
        {
            ITokenizer tokenizer = Tokenizer.Load(path);
            int[] ids = tokenizer.Encode(Text);
            tokenizer.Tokenize(Text);
            tokenizer.Decode(ids);
            return false;
        }
        catch (UserErrorException e)
        {
            Assert.NotEmpty(e.Remedy);
            return true;
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
        }
    }

    private static string Write(string name, byte[] content)
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("crossalign-tokenizer-").FullName, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    private static string Error(Action action) => Assert.Throws<UserErrorException>(action).Message;
}
