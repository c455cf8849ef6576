using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;
using Microsoft.Extensions.AI;

namespace CrossAlign.Models.Tests.Encoders;

public sealed class TextEmbedderTests : IDisposable
{
    private static readonly string[] s_texts = ["a dog", "", "allqu", "inti uyawan", "犬", "the sun with a face, laughing and laughing and laughing"];
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private readonly TemporaryFolder _folder = new();

    public TextEmbedderTests()
    {
        ITokenizer tokenizer = Tokenizer.Load(Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"));
        using CpuDevice device = new(1);
        using TwoTowerModel model = new(
            device, TextEncoderConfig.Create("roberta-prelayernorm", tokenizer.VocabularySize, 16, 24, 1, 4, 48), null, new TwoTowerOptions { ProjectionWidth = 20 });
        model.Initialize(9);
        HubExport.Write(model, _folder.Path, new HubExportContent
        {
            Tokenizer = tokenizer,
            Settings = new SentenceTransformersSettings { Normalize = true, Prompts = new Dictionary<string, string> { ["query"] = "query: " } },
            Card = new ModelCard { Name = "small", Summary = "A tower for a test." },
        });
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task VectorsComeInTheOrderOfTheTextsAndDoNotDependOnBatches()
    {
        using TextEmbedder embedder = TextEmbedder.Load(_folder.Path);
        using TextEmbedder tiny = TextEmbedder.Load(_folder.Path, new TextEmbedderOptions { BatchTokens = 1 });
        float[][] vectors = embedder.Embed(s_texts, Token);
        Assert.Equal(1, embedder.TruncatedCount);
        Assert.Equal(vectors, tiny.Embed(s_texts, Token));
        for (int i = 0; i < s_texts.Length; i++)
        {
            Assert.Equal(vectors[i], embedder.Embed([s_texts[i]], Token)[0]);
            Assert.Equal(1, vectors[i].Sum(v => (double)v * v), 1e-6);
        }

        GeneratedEmbeddings<Embedding<float>> generated = await embedder.GenerateAsync(s_texts, cancellationToken: Token);
        Assert.Equal(vectors, generated.Select(g => g.Vector.ToArray()));
        Assert.Equal(20, embedder.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelDimensions);
        Assert.Empty(embedder.Embed([], Token));
    }

    [Fact]
    public void PromptsPrefixesAndPoolingAreHonoured()
    {
        using TextEmbedder plain = TextEmbedder.Load(_folder.Path);
        using TextEmbedder prompted = TextEmbedder.Load(_folder.Path, new TextEmbedderOptions { PromptName = "query" });
        using TextEmbedder prefixed = TextEmbedder.Load(_folder.Path, new TextEmbedderOptions { Prefix = "query: " });
        using TextEmbedder raw = TextEmbedder.Load(_folder.Path, new TextEmbedderOptions { Pooling = PoolingKind.Cls, Project = false, Normalize = false });
        Assert.Equal(plain.Embed(["query: a dog"], Token), prompted.Embed(["a dog"], Token));
        Assert.Equal(prefixed.Embed(["a dog"], Token), prompted.Embed(["a dog"], Token));
        Assert.Equal(24, raw.Embed(["a dog"], Token)[0].Length);
        Assert.NotEqual(1, raw.Embed(["a dog"], Token)[0].Sum(v => (double)v * v), 1e-3);
        Assert.Contains("'passage'", Assert.Throws<UserErrorException>(() => TextEmbedder.Load(_folder.Path, new TextEmbedderOptions { PromptName = "passage" })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ACancelledCallStops()
    {
        using TextEmbedder embedder = TextEmbedder.Load(_folder.Path);
        Assert.Throws<OperationCanceledException>(() => embedder.Embed(s_texts, new CancellationToken(canceled: true)));
    }

    [Fact]
    public void AFolderWithoutTokenizerIsAnErrorThatSaysSo()
    {
        File.Delete(_folder.File("text/tokenizer.json"));
        Assert.Contains("tokenizer.json", Assert.Throws<UserErrorException>(() => TextEmbedder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }
}
