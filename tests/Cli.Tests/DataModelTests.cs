using System.Text.Json;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Tests.Checkpoints.Hub;

namespace CrossAlign.Cli.Tests;

/// <summary><c>data model</c> against a hub on this machine, and the fetched model by its name.</summary>
public sealed class DataModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly LocalHub _hub = new("someone/eyes");

    public DataModelTests()
    {
        Environment.SetEnvironmentVariable(HubOptions.EndpointVariable, _hub.Endpoint.AbsoluteUri);
        foreach (string name in (string[])["config.json", "model.safetensors"])
        {
            _hub.Files[name] = File.ReadAllBytes(Fixtures.PathOf("image-tower-vit", "hf", name));
        }
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(HubOptions.EndpointVariable, null);
        _hub.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task AModelIsFetchedListedAndTakenByName()
    {
        string[] cache = ["--cache", _folder.File("cache")];
        string[] embed = ["embed", "--model", "someone/eyes", "--images", Fixtures.PathOf("images", "transforms"), "--skip-bad", "--out", _folder.File("out.npy"), .. cache];
        Invocation early = await Invocation.RunAsync(embed);
        Assert.Equal(2, early.ExitCode);
        Assert.Contains("crossalign data model someone/eyes", Assert.Single(early.ErrorLines), StringComparison.Ordinal);
        string[] train = ["train", "--data", "shapes", "--set", "imageTower.from=someone/eyes", "--print-config", .. cache];
        Invocation tooEarly = await Invocation.RunAsync(train);
        Assert.Equal(1, tooEarly.ExitCode);
        Assert.Contains("crossalign data model someone/eyes", Assert.Single(tooEarly.ErrorLines), StringComparison.Ordinal);
        Invocation fetch = await Invocation.RunAsync(["data", "model", "someone/eyes", .. cache]);
        Assert.True(fetch.ExitCode == 0, fetch.Error);
        Assert.Contains("licence: mit", fetch.Output, StringComparison.Ordinal);
        Assert.Contains("MB/s", fetch.Output, StringComparison.Ordinal);
        _hub.Dispose();
        Invocation again = await Invocation.RunAsync(["data", "model", "someone/eyes", "--json", .. cache]);
        Assert.True(again.ExitCode == 0, again.Error);
        Assert.Contains("warning: ", again.Error, StringComparison.Ordinal);
        JsonElement model = JsonElement.Parse(again.Output);
        Assert.Equal(LocalHub.Commit, model.GetProperty("commit").GetString());
        Assert.Equal(0, model.GetProperty("fetchedByteCount").GetInt32());
        Invocation list = await Invocation.RunAsync(["data", "list", "--json", .. cache]);
        Assert.Equal("someone/eyes", Assert.Single(JsonElement.Parse(list.Output).GetProperty("models").EnumerateArray()).GetProperty("name").GetString());
        Invocation tuned = await Invocation.RunAsync(train);
        Assert.True(tuned.ExitCode == 0, tuned.Error);
        JsonElement tower = JsonElement.Parse(tuned.Output).GetProperty("imageTower");
        Assert.EndsWith(LocalHub.Commit, tower.GetProperty("from").GetString(), StringComparison.Ordinal);
        Assert.Equal(48, tower.GetProperty("width").GetInt32());
        Invocation use = await Invocation.RunAsync(embed);
        Assert.True(use.ExitCode == 0, use.Error);
    }

    [Theory]
    [InlineData("no-organisation", 2, "ORGANISATION/NAME")]
    [InlineData("someone/else", 1, "has no model 'someone/else'")]
    public async Task AWrongNameIsOneLine(string name, int exitCode, string said)
    {
        Invocation fetch = await Invocation.RunAsync("data", "model", name, "--cache", _folder.File("cache"));
        Assert.Equal(exitCode, fetch.ExitCode);
        Assert.Contains(said, Assert.Single(fetch.ErrorLines), StringComparison.Ordinal);
    }
}
