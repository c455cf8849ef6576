using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tests.Training;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>What a folder declares about texts, on their way to the tower.</summary>
public sealed class TextPipelineTests : IDisposable
{
    private readonly PlanDevice _device = new();
    private readonly ParameterStore _store;
    private readonly TextTower _tower;
    private readonly PipelineTokenizer _tokenizer = ShortRuns.Tokens(270);

    public TextPipelineTests()
    {
        _store = new ParameterStore(_device);
        _tower = new TextTower(TextEncoderConfig.Create("bert", 270, 20, 16, 1, 2, 16), _store);
    }

    public void Dispose()
    {
        _store.Dispose();
        _device.Dispose();
    }

    // Python's str.lower of each.
    [Theory]
    [InlineData("ABC def ÄÖÜ", "abc def äöü")]
    [InlineData("İstanbul", "i\u0307stanbul")]
    [InlineData("ΟΔΟΣ", "οδος")]
    [InlineData("ΟΔΟΣ ΣΑΣ, Σ", "οδος σας, σ")]
    [InlineData("ΑΣ' Σ. ΑΣ.Α", "ας' σ. ασ.α")]
    [InlineData("ΑΣ\u0301 \u0301Σ", "ας\u0301 \u0301σ")]
    [InlineData("ẞ Ǆ ǅ Ⅷ Ⓐ 𐐀 ᲀ Ꭰ", "ß ǆ ǆ ⅷ ⓐ 𐐨 ᲀ ꭰ")]
    [InlineData("", "")]
    public void LowerCaseIsThatOfThePublishedLibrary(string text, string expected) => Assert.Equal(expected, TextPipeline.ToLower(text));

    [Fact]
    public void LowerCaseActsOnThePromptToo()
    {
        TextPipeline lower = Pipeline(new SentenceTransformersSettings { LowerCase = true }, new TextEmbedderOptions { Prefix = "QUERY: " });
        TextPipeline plain = Pipeline(SentenceTransformersSettings.None, new TextEmbedderOptions());
        Assert.Equal(plain.Encode("query: red circle").Ids, lower.Encode("Red CIRCLE").Ids);
        Assert.NotEqual(plain.Encode("red circle").Ids, plain.Encode("Red CIRCLE").Ids);
    }

    [Theory]
    [InlineData(PoolingKind.Mean, "a ", 2)]
    [InlineData(PoolingKind.Mean, "  a a  ", 3)]
    [InlineData(PoolingKind.Max, "a ", 2)]
    [InlineData(PoolingKind.MeanSqrtLength, "a ", 2)]
    [InlineData(PoolingKind.WeightedMean, "a ", 2)]
    [InlineData(PoolingKind.Cls, "a ", 0)]
    [InlineData(PoolingKind.Eos, "a ", 0)]
    [InlineData(PoolingKind.Mean, "", 0)]
    public void MeansAndMaximaLeaveThePromptsTokensOut(PoolingKind pooling, string prefix, int tokens)
    {
        SentenceTransformersSettings settings = new() { IncludesPrompt = false, Pooling = pooling };
        TextEmbedderOptions options = new() { Prefix = prefix };
        Assert.Equal(tokens, Pipeline(settings, options).UnpooledTokens);
        Assert.Equal(0, Pipeline(settings with { IncludesPrompt = true }, options).UnpooledTokens);
    }

    [Fact]
    public void WhoseChoiceAPromptIsCanBeSeen()
    {
        SentenceTransformersSettings settings = new() { Prompts = new Dictionary<string, string> { ["query"] = "query: " }, DefaultPromptName = "query" };
        Assert.Equal("query", Pipeline(settings, new TextEmbedderOptions()).DefaultPromptName);
        Assert.Null(Pipeline(settings, new TextEmbedderOptions { Prefix = "" }).DefaultPromptName);
        Assert.Null(Pipeline(settings, new TextEmbedderOptions { PromptName = "query" }).DefaultPromptName);
        Assert.Null(Pipeline(settings with { DefaultPromptName = null }, new TextEmbedderOptions()).DefaultPromptName);
    }

    [Fact]
    public void TheShortestLimitCounts()
    {
        string text = string.Concat(Enumerable.Repeat("red circle ", 20));
        TokenRow row = Pipeline(new SentenceTransformersSettings { MaxTokens = 9 }, new TextEmbedderOptions()).Encode(text);
        Assert.Equal((9, true, _tokenizer.SpecialTokens.End), (row.TokenCount, row.Truncated, row.Ids[^1]));
        Assert.Equal(20, Pipeline(new SentenceTransformersSettings { MaxTokens = 4000 }, new TextEmbedderOptions()).Encode(text).TokenCount);
    }

    private TextPipeline Pipeline(SentenceTransformersSettings settings, TextEmbedderOptions options) => new(_tower, _tokenizer, settings, options);
}
