namespace CrossAlign.Cli.Tests;

/// <summary>Golden files that lie beside the tests.</summary>
internal static class Fixtures
{
    public static string PathOf(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "fixtures", .. parts]);
}
