#region example
using CrossAlign.Models.Encoders;
using Microsoft.Extensions.AI;
#endregion
using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests;

/// <summary>The README's example of the library: what stands there is what is compiled and run here, line by line.</summary>
public sealed class ReadmeExampleTests
{
    [Fact]
    public async Task TheExampleRuns()
    {
        using TemporaryFolder folder = new();
        string modelFolder = folder.File("model");
        WriteModel(modelFolder);
        string photos = folder.File("photos");
        Directory.CreateDirectory(photos);
        File.Copy(Fixtures.PathOf("images", "resize", "source-500x333.png"), Path.Combine(photos, "dog.png"));
        File.Copy(Fixtures.PathOf("images", "resize", "source-64x48.png"), Path.Combine(photos, "cat.png"));
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;

        #region example
        using TwoTowerModel model = TwoTowerModel.Load(modelFolder);

        float[][] captions = model.EmbedText(["a dog in the snow", "allqu"], cancellationToken);
        float[][] pictures = model.EmbedImage(Directory.GetFiles(photos), cancellationToken);
        float similarity = captions[0].Zip(pictures[0], (x, y) => x * y).Sum();

        // Wherever code takes any provider's embeddings:
        IEmbeddingGenerator<string, Embedding<float>> generator = model.AsTextGenerator();
        Embedding<float> dog = await generator.GenerateAsync("a dog in the snow", cancellationToken: cancellationToken);
        #endregion

        Assert.Equal(captions[0], dog.Vector.ToArray());
        Assert.Equal((2, 2), (captions.Length, pictures.Length));
        Assert.InRange(similarity, -1, 1);
        Assert.Equal(model.EmbedText("allqu"), captions[1]);
        Assert.NotEqual(captions[0], captions[1]);
        using CancellationTokenSource stopped = new();
        await stopped.CancelAsync();
        Assert.ThrowsAny<OperationCanceledException>(() => model.EmbedText(["a"], stopped.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => model.EmbedImage(Directory.GetFiles(photos), stopped.Token));
    }

    [Fact]
    public void TheReadmeHasTheseLines()
    {
        DirectoryInfo? root = new(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "CrossAlign.sln")))
        {
            root = root.Parent;
        }

        Assert.True(root is not null, "The test does not run inside the checkout.");
        string source = File.ReadAllText(Path.Combine(root.FullName, "tests", "Models.Tests", "ReadmeExampleTests.cs")).ReplaceLineEndings("\n");
        string[] regions = [.. source.Split("#region example\n").Skip(1).Select(p => p[..p.IndexOf("#endregion", StringComparison.Ordinal)]).Take(2)];
        IEnumerable<string> lines = string.Join('\n', regions).TrimEnd().Split('\n').Select(l => l.StartsWith("        ", StringComparison.Ordinal) ? l[8..] : l.TrimEnd());
        string example = "```csharp\n" + string.Join('\n', lines) + "\n```";
        string readme = File.ReadAllText(Path.Combine(root.FullName, "README.md")).ReplaceLineEndings("\n");
        Assert.True(readme.Contains(example, StringComparison.Ordinal), "The README's example is another. It must be:\n" + example);
    }

    private static void WriteModel(string folder)
    {
        ITokenizer tokenizer = Tokenizer.Load(Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"));
        using CpuDevice device = new(1);
        using TwoTowerModel model = new(
            device,
            TextEncoderConfig.Create("roberta-prelayernorm", tokenizer.VocabularySize, 16, 24, 1, 2, 48),
            ImageEncoderConfig.Create("vit", 32, 8, 24, 1, 2, 48),
            new TwoTowerOptions { ProjectionWidth = 20 });
        model.Initialize(1);
        HubExport.Write(model, folder, new HubExportContent { Tokenizer = tokenizer, Card = new ModelCard { Name = "small", Summary = "A model of a test." } });
    }
}
