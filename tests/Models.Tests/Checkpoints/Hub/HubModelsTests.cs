using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints.Hub;

/// <summary>Fetching from a hub that breaks off, lies, redirects and refuses; a real small tower is what is fetched.</summary>
public sealed class HubModelsTests : IDisposable
{
    private const string Weights = CheckpointTensors.FileName;

    private readonly TemporaryFolder _cache = new();
    private readonly LocalHub _hub = new();

    public HubModelsTests()
    {
        string folder = Fixtures.PathOf("text-tower-xlm-roberta", "hf");
        foreach (string name in (string[])["config.json", Weights])
        {
            _hub.Files[name] = File.ReadAllBytes(Path.Combine(folder, name));
        }

        _hub.Files["README.md"] = "small\n"u8.ToArray();
        _hub.Files["onnx/model.onnx"] = new byte[5000];
        _hub.Files["pytorch_model.bin"] = new byte[5000];
        _hub.Files["../escape.json"] = "{}"u8.ToArray();
        _hub.Files[".gitattributes"] = "x"u8.ToArray();
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private HubModelName Name => HubModelName.Parse(_hub.Id);

    public void Dispose()
    {
        _hub.Dispose();
        _cache.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AModelIsFetchedCheckedKeptAndUsableByName(bool listsSizes)
    {
        _hub.ListsSizes = listsSizes;
        HubModel model = await FetchAsync("secret");
        Assert.Equal((LocalHub.Commit, "mit", string.Empty), (model.Commit, model.Licence, model.Warning));
        Assert.Equal(["README.md", "config.json", "crossalign_hub.json", Weights], FilesOf(model.Folder));
        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(model.Folder, Weights)));
        Assert.Equal(_hub.Files["README.md"].Length + _hub.Files["config.json"].Length + _hub.Files[Weights].Length, model.FetchedByteCount);

        // The token is for the endpoint alone, not for where that redirects.
        Assert.All(_hub.Requests, r => Assert.Equal(r.Host.StartsWith("127.0.0.1", StringComparison.Ordinal) ? "Bearer secret" : null, r.Authorization));
        Assert.Contains(_hub.Requests, r => r.Host.StartsWith("localhost", StringComparison.Ordinal));

        // A second time there is nothing to fetch but the listing.
        _hub.Requests.Clear();
        Assert.Equal(0, (await FetchAsync()).FetchedByteCount);
        Assert.All(_hub.Requests, r => Assert.StartsWith("/api/", r.Path, StringComparison.Ordinal));

        // From here on without a network.
        _hub.Dispose();
        HubModel offline = await FetchAsync();
        Assert.Equal(model.Folder, offline.Folder);
        Assert.Contains("the cache is taken", offline.Warning, StringComparison.Ordinal);
        Assert.Equal(_hub.Id, Assert.Single(HubModels.List(_cache.Path)).Name.Id);
        using CpuDevice device = new(1);
        using TwoTowerModel tower = ModelSource.Find(_hub.Id, _cache.Path).Load(device);
        Assert.Equal(64, tower.Text!.Config.Width);
    }

    [Fact]
    public async Task ATowerInTheFolderOfItsModuleIsFetchedWithWhatBelongsToIt()
    {
        foreach (string name in (string[])["config.json", Weights])
        {
            _hub.Files["0_Transformer/" + name] = _hub.Files[name];
            _hub.Files.Remove(name);
        }

        _hub.Files["0_Transformer/tokenizer.json"] = "{}"u8.ToArray();
        _hub.Files["0_Transformer/vocab.txt"] = "a\n"u8.ToArray();
        _hub.Files["0_Transformer/pytorch_model.bin"] = new byte[5000];
        _hub.Files["0_Transformer/onnx/model.onnx"] = new byte[5000];
        _hub.Files["modules.json"] = """
            [{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
            """u8.ToArray();
        _hub.Files["1_Pooling/config.json"] = """{"word_embedding_dimension": 64, "pooling_mode_cls_token": true}"""u8.ToArray();
        HubModel model = await FetchAsync();
        Assert.Equal(
            [
                "0_Transformer/config.json", "0_Transformer/" + Weights, "0_Transformer/tokenizer.json", "0_Transformer/vocab.txt",
                "1_Pooling/config.json", "README.md", "crossalign_hub.json", "modules.json",
            ],
            FilesOf(model.Folder));
        using CpuDevice device = new(1);
        using TwoTowerModel tower = ModelSource.Find(_hub.Id, _cache.Path).Load(device);
        Assert.Equal((64, Kernels.PoolingKind.Cls), (tower.Text!.Config.Width, tower.Options.TextPooling.Only));
    }

    [Fact]
    public async Task ABrokenConnectionGoesOnWhereItBroke()
    {
        byte[] weights = _hub.Files[Weights];
        int third = weights.Length / 3;
        _hub.Script.Enqueue(($"/cdn/{Weights}", (_, _, stream) => LocalHub.ReplyAsync(stream, "200 OK", "", weights, cutAfter: third)));
        _hub.Script.Enqueue(($"/cdn/{Weights}", (r, _, stream) => LocalHub.ReplyAsync(
            stream, "206 Partial Content", $"Content-Range: bytes {r.From}-{weights.Length - 1}/{weights.Length}\r\n", weights.AsMemory(r.From!.Value), cutAfter: third)));
        HubModel model = await FetchAsync();
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(model.Folder, Weights)));
        LocalHub.Request[] asked = [.. _hub.Requests.Where(r => r.Path == $"/cdn/{Weights}")];
        Assert.Equal(3, asked.Length);
        Assert.Null(asked[0].Range);
        Assert.InRange(asked[1].From!.Value, 1, third);
        Assert.True(asked[2].From > asked[1].From);
        Assert.Equal(model.ByteCount, model.FetchedByteCount);
    }

    [Fact]
    public async Task AServerThatAlwaysBeginsAnewAndBreaksOffIsGivenUp()
    {
        byte[] weights = _hub.Files[Weights];
        _hub.DoesRanges = false;
        for (int i = 0; i < 50; i++)
        {
            _hub.Script.Enqueue(($"/cdn/{Weights}", (_, _, stream) => LocalHub.ReplyAsync(stream, "200 OK", "", weights, cutAfter: weights.Length / 3)));
        }

        UserErrorException e = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Contains(Weights, e.What, StringComparison.Ordinal);
        Assert.InRange(_hub.Requests.Count(r => r.Path == $"/cdn/{Weights}"), 4, 12);
        _hub.Script.Clear();
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine((await FetchAsync()).Folder, Weights)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AProgramThatWasKilledGoesOnWhereItWas(bool doesRanges)
    {
        byte[] weights = _hub.Files[Weights];
        using CancellationTokenSource kill = new();
        _hub.Script.Enqueue(($"/cdn/{Weights}", HalfThenKillAsync));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => HubModels.FetchAsync(Name, _cache.Path, Options(), null, kill.Token));
        Assert.Null(HubModels.Find(Name, _cache.Path));
        _hub.Requests.Clear();
        _hub.DoesRanges = doesRanges;
        HubModel model = await FetchAsync();
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(model.Folder, Weights)));
        Assert.True(Assert.Single(_hub.Requests, r => r.Path == $"/cdn/{Weights}").From > 0);
        Assert.DoesNotContain(_hub.Requests, r => r.Path.EndsWith("/config.json", StringComparison.Ordinal));
        Assert.Equal(doesRanges, model.FetchedByteCount < weights.Length);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_cache.Path, "*.part*", SearchOption.AllDirectories));

        async Task HalfThenKillAsync(LocalHub.Request request, string path, Stream stream)
        {
            await LocalHub.ReplyAsync(stream, "200 OK", "", weights, cutAfter: weights.Length / 2);
            while (!Directory.EnumerateFiles(_cache.Path, "*.part", SearchOption.AllDirectories).Any(f => new FileInfo(f).Length > 0))
            {
                await Task.Delay(5, CancellationToken.None);
            }

            await kill.CancelAsync();
            await Task.Delay(200, CancellationToken.None);
        }
    }

    [Fact]
    public async Task AWrongChecksumIsTriedOnceMoreAndThenRefused()
    {
        byte[] other = [.. _hub.Files[Weights]];
        other[^1] ^= 1;
        _hub.Script.Enqueue(($"/cdn/{Weights}", (_, _, stream) => LocalHub.ReplyAsync(stream, "200 OK", "", other)));
        HubModel model = await FetchAsync();
        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(model.Folder, Weights)));
        Directory.Delete(model.Folder, recursive: true);

        string wrong = new('a', 64);
        _hub.FalseSha256[Weights] = wrong;
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Contains(Weights, error.What, StringComparison.Ordinal);
        Assert.Contains(wrong, error.What, StringComparison.Ordinal);
        Assert.Null(HubModels.Find(Name, _cache.Path));
        Assert.Empty(Directory.EnumerateFiles(_cache.Path, "*.part", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AServerThatSendsMoreThanItListedIsStoppedThere(bool goesOn)
    {
        const int MostChunks = 1000;
        byte[] chunk = new byte[1 << 16];
        byte[] weights = _hub.Files[Weights];
        int sent = 0;
        if (goesOn)
        {
            _hub.Script.Enqueue(($"/cdn/{Weights}", (_, _, stream) => LocalHub.ReplyAsync(stream, "200 OK", "", weights, cutAfter: weights.Length / 2)));
        }

        _hub.Script.Enqueue(($"/cdn/{Weights}", EndlessAsync));
        UserErrorException e = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Equal(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"'{Weights}' comes with more than the {weights.Length} bytes that the hub says it has"), e.What);
        Assert.Equal(goesOn ? 2 : 1, _hub.Requests.Count(r => r.Path == $"/cdn/{Weights}"));
        Assert.All(Directory.EnumerateFiles(_cache.Path, "*.part", SearchOption.AllDirectories), f => Assert.Equal(0, new FileInfo(f).Length));
        Assert.True(Volatile.Read(ref sent) < MostChunks);
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine((await FetchAsync()).Folder, Weights)));

        // Without a length, as one that does not know when to stop.
        async Task EndlessAsync(LocalHub.Request request, string path, Stream stream)
        {
            string head = goesOn
                ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {request.From}-{weights.Length - 1}/{weights.Length}\r\n")
                : "HTTP/1.1 200 OK\r\n";
            await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(head + "Connection: close\r\n\r\n"));
            for (; sent < MostChunks; Interlocked.Increment(ref sent))
            {
                await stream.WriteAsync(chunk);
            }
        }
    }

    [Fact]
    public async Task ASmallFileIsCheckedToo()
    {
        byte[] other = [.. _hub.Files["config.json"]];
        other[0] ^= 1;
        for (int i = 0; i < 2; i++)
        {
            _hub.Script.Enqueue(($"/{_hub.Id}/resolve/{LocalHub.Commit}/config.json", (_, _, stream) => LocalHub.ReplyAsync(stream, "200 OK", "", other)));
        }

        Assert.Contains("'config.json' came with the git name", (await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync())).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFileThatWasLostOrCutComesAgainAlone()
    {
        HubModel model = await FetchAsync();
        File.WriteAllText(Path.Combine(model.Folder, "config.json"), "{}");
        Assert.Null(HubModels.Find(Name, _cache.Path));
        _hub.Requests.Clear();
        HubModel again = await FetchAsync();
        Assert.Equal(_hub.Files["config.json"].Length, again.FetchedByteCount);
        Assert.Equal(_hub.Files["config.json"], File.ReadAllBytes(Path.Combine(again.Folder, "config.json")));
    }

    [Fact]
    public async Task ABusyHubIsWaitedFor()
    {
        _hub.Once("/api/models", "429 Too Many Requests", "Retry-After: 1\r\n");
        _hub.Once("/api/models", "503 Service Unavailable");
        _hub.Once($"/{_hub.Id}/resolve", "500 Internal Server Error");
        List<string> said = [];
        DateTime start = DateTime.UtcNow;
        HubModel model = await HubModels.FetchAsync(Name, _cache.Path, Options(), new Listener(said), Stop);
        Assert.True(DateTime.UtcNow - start >= TimeSpan.FromSeconds(1));
        Assert.Equal(model.ByteCount, model.FetchedByteCount);
        Assert.Contains(said, s => s.Contains("asks to wait 1 s", StringComparison.Ordinal));
        Assert.Empty(_hub.Script);
    }

    [Fact]
    public async Task AHubThatAsksToWaitForEverIsNotWaitedFor()
    {
        _hub.Once("/api/models", "429 Too Many Requests", "Retry-After: 86400\r\n");
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Contains("86400 s", error.What, StringComparison.Ordinal);
        Assert.Contains("HF_TOKEN", error.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("429 Too Many Requests", "Retry-After: 86400\r\n", "86400 s")]
    [InlineData("200 OK", "Content-Type: text/html\r\n", "not understood")]
    public async Task WhereTheHubHasNoAnswerTheCacheHasOne(string status, string headers, string said)
    {
        HubModel model = await FetchAsync();
        _hub.Once("/api/models", status, headers);
        HubModel kept = await FetchAsync();
        Assert.Equal(model.Folder, kept.Folder);
        Assert.Contains(said, kept.Warning, StringComparison.Ordinal);
        Assert.Contains("the cache is taken", kept.Warning, StringComparison.Ordinal);
        _hub.Once("/api/models", "403 Forbidden");
        await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
    }

    [Theory]
    [InlineData("404 Not Found", null, "has no model 'someone/tower'", "spelling")]
    [InlineData("401 Unauthorized", null, "401", "HF_TOKEN")]
    [InlineData("401 Unauthorized", "old", "does not take the token", "new token")]
    [InlineData("403 Forbidden", "good", "403", "accept the model's terms")]
    [InlineData("400 Bad Request", null, "400", "HF_ENDPOINT")]
    public async Task ARefusalNamesItsRemedy(string status, string? token, string what, string remedy)
    {
        _hub.Once("/api/models", status);
        _hub.Once("/api/models", status);
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync(token));
        Assert.Contains(what, error.What, StringComparison.Ordinal);
        Assert.Contains(remedy, error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RedirectsThatNeverEndOrLeadElsewhereAreRefused()
    {
        for (int i = 0; i < 20; i++)
        {
            _hub.Once("/api/models", "307 Temporary Redirect", $"Location: /api/models/{_hub.Id}/revision/main?again={i}\r\n");
        }

        Assert.Contains("again and again", (await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync())).What, StringComparison.Ordinal);
        _hub.Script.Clear();
        _hub.Once("/api/models", "302 Found", "Location: file:///etc/hostname\r\n");
        Assert.Contains("to 'file:'", (await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync())).What, StringComparison.Ordinal);
        _hub.Once("/api/models", "301 Moved Permanently", $"Location: /api/models/{_hub.Id}/revision/main?blobs=true&moved=1\r\n");
        Assert.NotEqual(0, (await FetchAsync()).FetchedByteCount);
    }

    [Fact]
    public async Task PicklesAreRefusedWithTheWayToConvertThem()
    {
        _hub.Files.Remove(Weights);
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Contains("pytorch_model.bin only", error.What, StringComparison.Ordinal);
        Assert.Contains("save_pretrained", error.Remedy, StringComparison.Ordinal);
        Assert.Contains(_hub.Id, error.Remedy, StringComparison.Ordinal);
        _hub.Files[Weights] = new byte[2000];
        _hub.Files["2_Dense/config.json"] = "{}"u8.ToArray();
        _hub.Files["2_Dense/pytorch_model.bin"] = new byte[2000];
        Assert.Contains("'2_Dense'", (await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync())).What, StringComparison.Ordinal);
        _hub.Files.Remove("config.json");
        Assert.Contains("no config.json", (await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync())).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ShardsComeWithTheirIndex()
    {
        _hub.Files.Remove(Weights);
        string sharded = Fixtures.PathOf("text-tower-xlm-roberta", "hf-sharded");
        foreach (string file in Directory.GetFiles(sharded))
        {
            _hub.Files[Path.GetFileName(file)] = File.ReadAllBytes(file);
        }

        _hub.Files["pytorch_model.bin.index.json"] = "{}"u8.ToArray();
        HubModel model = await FetchAsync();
        Assert.DoesNotContain("pytorch_model.bin.index.json", FilesOf(model.Folder));
        using CheckpointTensors tensors = CheckpointTensors.Open(model.Folder);
        Assert.True(tensors.TryGetEntry("embeddings.word_embeddings.weight", out _));
    }

    [Fact]
    public async Task AShardThatTheIndexNamesAndTheHubLacksIsNamedBeforeTheOthersCome()
    {
        _hub.Files.Remove(Weights);
        string sharded = Fixtures.PathOf("text-tower-xlm-roberta", "hf-sharded");
        foreach (string file in Directory.GetFiles(sharded))
        {
            _hub.Files[Path.GetFileName(file)] = File.ReadAllBytes(file);
        }

        string[] shards = [.. _hub.Files.Keys.Where(k => k.StartsWith("model-0", StringComparison.Ordinal))];
        _hub.Files.Remove(shards[1]);
        UserErrorException error = await Assert.ThrowsAsync<UserErrorException>(() => FetchAsync());
        Assert.Contains($"has no {shards[1]}, which its model.safetensors.index.json names", error.What, StringComparison.Ordinal);
        Assert.DoesNotContain(_hub.Requests, r => r.Path.EndsWith(shards[0], StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("intfloat/multilingual-e5-small", true)]
    [InlineData("a/b@refs/pr/1", true)]
    [InlineData("no-organisation", false)]
    [InlineData("a/b/c", false)]
    [InlineData("../b", false)]
    [InlineData("a/..", false)]
    [InlineData("a/b@../../c", false)]
    [InlineData("a b/c", false)]
    [InlineData("", false)]
    public void ANameIsOrganisationAndName(string text, bool isName) => Assert.Equal(isName, HubModelName.TryParse(text, out _));

    [Fact]
    public void AModelThatWasNotFetchedIsNotFound()
    {
        UserErrorException error = Assert.Throws<UserErrorException>(() => ModelSource.Find("someone/other", _cache.Path));
        Assert.Contains("crossalign data model someone/other", error.Remedy, StringComparison.Ordinal);
    }

    private static string[] FilesOf(string folder) =>
        [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal)];

    private HubOptions Options(string? token = null) => new() { Endpoint = _hub.Endpoint, Token = token, Attempts = 3, Backoff = TimeSpan.FromMilliseconds(5) };

    private Task<HubModel> FetchAsync(string? token = null) => HubModels.FetchAsync(Name, _cache.Path, Options(token), null, Stop);

    private sealed class Listener(List<string> said) : IProgress<DataProgress>
    {
        public void Report(DataProgress value)
        {
            lock (said)
            {
                said.Add(value.Activity);
            }
        }
    }
}
