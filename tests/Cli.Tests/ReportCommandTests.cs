using System.Text.Json.Nodes;

namespace CrossAlign.Cli.Tests;

public sealed class ReportCommandTests(TinyRun run) : IClassFixture<TinyRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task FinishedRunsBecomeATableAPageAndADocument()
    {
        string output = _folder.File("report");
        Invocation table = await Invocation.RunAsync("report", run.Folder, "--out", output, "--languages", "en,es", "--cache", _folder.File("cache"));
        Assert.True(table.ExitCode == 0, table.Error);
        Assert.Contains("multilingual", table.Output, StringComparison.Ordinal);
        Assert.Contains("letters alone", table.Output, StringComparison.Ordinal);
        Assert.Contains(Path.Combine(output, "report.html"), table.Output, StringComparison.Ordinal);

        Invocation document = await Invocation.RunAsync("report", $"mine={run.Folder}", "--out", output, "--languages", "en,es", "--cache", _folder.File("cache"), "--json");
        Assert.True(document.ExitCode == 0, document.Error);
        JsonNode json = JsonNode.Parse(document.Output)!;
        Assert.All(json["figures"]!.AsArray(), f => Assert.Equal("mine", f!["setup"]!.GetValue<string>()));
        Assert.Equal(document.Output.TrimEnd(), File.ReadAllText(Path.Combine(output, "report.json")).TrimEnd());
    }

    [Fact]
    public async Task AWrongInvocationExitsWithTwoAndLeavesNothing()
    {
        string output = _folder.File("report");
        Invocation none = await Invocation.RunAsync("report", "--out", output);
        Assert.Equal(2, none.ExitCode);
        Invocation missing = await Invocation.RunAsync("report", _folder.File("no-run"), "--out", output);
        Assert.Equal(2, missing.ExitCode);
        Assert.Contains("no-run", Assert.Single(missing.ErrorLines), StringComparison.Ordinal);
        Directory.CreateDirectory(_folder.File("empty"));
        Invocation empty = await Invocation.RunAsync("report", _folder.File("empty"), "--out", output);
        Assert.Equal(1, empty.ExitCode);
        Assert.Contains("holds no run (", Assert.Single(empty.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(output));
    }
}
