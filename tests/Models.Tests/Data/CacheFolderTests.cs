using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class CacheFolderTests
{
    [Fact]
    public void The_folder_asked_for_comes_before_the_variable_and_the_users_cache()
    {
        string? before = Environment.GetEnvironmentVariable(CacheFolder.Variable);
        try
        {
            Environment.SetEnvironmentVariable(CacheFolder.Variable, "from-variable");
            Assert.Equal(Path.GetFullPath("asked"), CacheFolder.Resolve("asked"));
            Assert.Equal(Path.GetFullPath("from-variable"), CacheFolder.Resolve(null));
            Environment.SetEnvironmentVariable(CacheFolder.Variable, null);
            Assert.EndsWith("crossalign", CacheFolder.Resolve(null), StringComparison.Ordinal);
            Assert.True(Path.IsPathRooted(CacheFolder.Resolve(string.Empty)));
        }
        finally
        {
            Environment.SetEnvironmentVariable(CacheFolder.Variable, before);
        }
    }
}
