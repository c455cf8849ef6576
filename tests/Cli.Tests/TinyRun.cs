namespace CrossAlign.Cli.Tests;

/// <summary>A run of a few steps on the built-in shapes, trained once for all tests.</summary>
public sealed class TinyRun : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();

    public string Folder => _folder.File("run");

    public async ValueTask InitializeAsync()
    {
        Invocation run = await Invocation.RunAsync(
            "train", "--recipe", "album", "--setup", "multilingual", "--data", "shapes", "--out", Folder, "--threads", "1",
            "--set", "steps=3", "--set", "batchSize=8", "--set", "captionsPerPicture=1", "--set", "evaluateEvery=0", "--set", "checkpointEvery=0",
            "--set", "tokenizer.pieces=600", "--set", "textTower.width=32", "--set", "textTower.heads=2", "--set", "textTower.feedForward=48",
            "--set", "imageTower.imageSize=16", "--set", "imageTower.width=32", "--set", "imageTower.heads=2", "--set", "imageTower.feedForward=48",
            "--set", "projection.width=24");
        Assert.True(run.ExitCode == 0, run.Error);
    }

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}
