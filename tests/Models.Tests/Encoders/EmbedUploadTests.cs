using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;
using CrossAlign.Runtime.Tests.Cuda;

namespace CrossAlign.Models.Tests.Encoders;

/// <summary>What is embedded next goes to the CUDA device beside the batch that is computed: the vectors keep their bits, and every wait between the two is needed.</summary>
public sealed class EmbedUploadTests
{
    private const int Vocabulary = 40;
    private const int BatchTokens = 16;
    private const int Size = 16;

    [Fact]
    public void VectorsHaveTheBitsOfBatchesThatAreSentOneByOne()
    {
        using CudaDevice device = CudaDevice.Emulate(EmulationOptions.ForSeed(2));
        using TwoTowerModel model = NewModel(device);
        Assert.Equal(Directly(model), Texts(model).Concat(Pictures(model)));

        // What was given up is not taken for the next; pictures go between texts.
        using CancellationTokenSource source = new();
        TokenRow[] rows = Rows();
        TokenEmbedder embedder = NewEmbedder(model);
        float[] expected = Texts(model);
        float[] vectors = new float[expected.Length];
        Assert.Throws<OperationCanceledException>(() => embedder.Embed(rows[2..], vectors, (_, _) => source.Cancel(), source.Token));
        Pictures(model);
        embedder.Embed(rows, vectors, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(expected, vectors);
    }

    [Fact]
    public void TheNextBatchIsOnItsWayBeforeTheOneThatIsComputedIsWaitedFor()
    {
        WatchedDriver driver = new(new EmulationOptions());
        using CudaDevice device = new(driver, null, 0, "watched", poolsMemory: false);
        using TwoTowerModel model = NewModel(device);
        Texts(model);
        driver.Calls.Clear();
        Texts(model);
        AssertOverlaps(driver.Calls, batches: 4, copies: 3);

        Pictures(model);
        driver.Calls.Clear();
        Pictures(model);
        AssertOverlaps(driver.Calls, batches: 3, copies: 2);
    }

    [Fact]
    public void WithoutOneOfTheWaitsOtherVectorsComeOut()
    {
        (float[]? expected, int none) = Run(LostWait.None, Interleaving.Forward);
        Assert.Equal(0, none);
        foreach ((LostWait lost, Interleaving interleaving) in ((LostWait, Interleaving)[])
            [(LostWait.OfOperationsForCopies, Interleaving.Forward), (LostWait.OfCopiesForOperations, Interleaving.Reverse)])
        {
            (float[]? actual, int lostCount) = Run(lost, interleaving);
            Assert.True(lostCount > 0);
            Assert.NotEqual(expected, actual);
        }

        (float[]? Vectors, int LostCount) Run(LostWait lost, Interleaving interleaving)
        {
            WatchedDriver driver = new(new EmulationOptions { Interleaving = interleaving }, lost);
            using CudaDevice device = new(driver, null, 0, "watched", poolsMemory: false);
            using TwoTowerModel model = NewModel(device);
            try
            {
                return (Texts(model), driver.LostCount);
            }
            catch (CudaException) when (lost != LostWait.None)
            {
                // Tokens that are none, places that are none.
                return (null, driver.LostCount);
            }
        }
    }

    // All copies from the host in the stream of copies, and those of a batch behind the work of the one before and before the wait for it.
    private static void AssertOverlaps(List<StreamCall> calls, int batches, int copies)
    {
        Assert.All(calls.Where(c => c.Kind == StreamCallKind.CopyFromHost), c => Assert.Equal(1, c.Stream));
        int[] waits = [.. calls.Index().Where(c => c.Item.Kind == StreamCallKind.Synchronize).Select(c => c.Index)];
        Assert.Equal(batches, waits.Length);
        Assert.Equal(batches * copies, calls.Count(c => c.Kind == StreamCallKind.CopyFromHost));
        int begin = 0;
        for (int batch = 0; batch < batches; batch++)
        {
            List<StreamCall> until = calls[begin..waits[batch]];
            begin = waits[batch];
            int sent = until.FindLastIndex(c => c.Kind == StreamCallKind.CopyFromHost);
            int work = until.FindIndex(c => c.Kind == StreamCallKind.Launch);
            Assert.True(work >= 0);

            // The first batch has nobody to go beside, and behind the last one none comes.
            Assert.Equal(batch < batches - 1, sent > work);
            Assert.Equal(batch == 0 ? 2 * copies : batch < batches - 1 ? copies : 0, until.Count(c => c.Kind == StreamCallKind.CopyFromHost));
        }
    }

    private static float[] Texts(TwoTowerModel model)
    {
        TokenRow[] rows = Rows();
        TokenEmbedder embedder = NewEmbedder(model);
        float[] vectors = new float[rows.Length * embedder.Width];
        embedder.Embed(rows, vectors, cancellationToken: TestContext.Current.CancellationToken);
        return vectors;
    }

    private static float[] Pictures(TwoTowerModel model)
    {
        PreparedImage[] images = Images();
        ImageEmbedder embedder = new(model, ImagePreprocessor.Vit(Size), new ImageEmbedderOptions { BatchTokens = 10 });
        float[] vectors = new float[images.Length * embedder.Width];
        embedder.EmbedPrepared(images, vectors, cancellationToken: TestContext.Current.CancellationToken);
        return vectors;
    }

    private static List<float> Directly(TwoTowerModel model)
    {
        int width = model.EmbeddingWidth();
        List<float> vectors = [];
        float[] vector = new float[width];
        TokenBatch batch = new(model.Text!.Packing);
        foreach (TokenRow row in Rows())
        {
            batch.Clear();
            batch.Add(row.Ids);
            model.EmbedText(batch, vector);
            vectors.AddRange(vector);
        }

        foreach (PreparedImage image in Images())
        {
            model.EmbedImages(image.Pixels, 1, image.Height, image.Width, vector);
            vectors.AddRange(vector);
        }

        return vectors;
    }

    private static TwoTowerModel NewModel(CudaDevice device)
    {
        TwoTowerModel model = new(
            device,
            TextEncoderConfig.Create("roberta", Vocabulary, 12, 16, 1, 2, 16),
            ImageEncoderConfig.Create("vit", Size, 8, 16, 1, 2, 16),
            new TwoTowerOptions { ProjectionWidth = 8 });
        model.Initialize(3);
        return model;
    }

    private static TokenEmbedder NewEmbedder(TwoTowerModel model) => new(model, model.Options.TextPooling, normalize: true, project: true, BatchTokens);

    // The longest first: 9 tokens; 8 and 7; 6 and 6; the others.
    private static TokenRow[] Rows() =>
        [.. ((int[])[4, 9, 6, 3, 7, 6, 5, 8, 3]).Select((length, row) => new TokenRow([.. Enumerable.Range(0, length).Select(i => 3 + (((row * 11) + (i * 5)) % (Vocabulary - 3)))], []))];

    // Two and two and one; five tokens each.
    private static PreparedImage[] Images() =>
        [.. Enumerable.Range(0, 5).Select(picture => new PreparedImage([.. Enumerable.Range(0, 3 * Size * Size).Select(i => MathF.Sin((picture * 97) + (i * 0.37f)))], Size, Size, 5))];
}
