using System.Text;

namespace CrossAlign.Models.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public void AFileIsReplacedWhole()
    {
        string path = Path.Combine(_folder, "sub", "a.txt");
        AtomicFile.WriteText(path, "first");
        AtomicFile.WriteText(path, "second");
        Assert.Equal("second", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void AFailedWriteLeavesTheOldFileAndNothingElse()
    {
        string path = Path.Combine(_folder, "a.txt");
        AtomicFile.WriteText(path, "old");
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write(Encoding.UTF8.GetBytes("half"));
            throw new InvalidOperationException();
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(_folder));
    }

    [Fact]
    public void AFolderThatCannotBeMadeIsNamed()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, string.Empty);
        UserErrorException e = Assert.Throws<UserErrorException>(() => AtomicFile.WriteText(Path.Combine(file, "a.txt"), "x"));
        Assert.Contains("a.txt", e.What, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
