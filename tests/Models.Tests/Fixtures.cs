namespace CrossAlign.Models.Tests;

/// <summary>Where the golden values lie: beside the test assembly.</summary>
internal static class Fixtures
{
    public static string PathOf(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "fixtures", .. parts]);
}
