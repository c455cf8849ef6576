namespace CrossAlign.Models.Data;

/// <summary>Where fetched and prepared data is kept.</summary>
public static class CacheFolder
{
    /// <summary>The variable that names the folder.</summary>
    public const string Variable = "CROSSALIGN_CACHE";

    /// <summary>
    /// The folder: the one asked for, else <c>CROSSALIGN_CACHE</c>, else <c>crossalign</c> in the user's cache folder
    /// (<c>XDG_CACHE_HOME</c> or <c>~/.cache</c>; <c>~/Library/Caches</c> on macOS; the local application data on Windows).
    /// </summary>
    /// <param name="asked">The value of <c>--cache</c>, or null.</param>
    /// <returns>A full path; the folder may not exist yet.</returns>
    public static string Resolve(string? asked)
    {
        string? variable = Environment.GetEnvironmentVariable(Variable);
        string folder = !string.IsNullOrEmpty(asked) ? asked
            : !string.IsNullOrEmpty(variable) ? variable
            : Path.Combine(UserCache(), "crossalign");
        return Path.GetFullPath(folder);
    }

    private static string UserCache()
    {
        if (OperatingSystem.IsWindows())
        {
            return Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        }

        // The specification of XDG base directories: a relative path is to be ignored.
        string? xdg = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (!string.IsNullOrEmpty(xdg) && Path.IsPathRooted(xdg))
        {
            return xdg;
        }

        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify);
        if (string.IsNullOrEmpty(home))
        {
            throw new UserErrorException("there is no home folder to keep data in", $"name a folder with --cache or {Variable}");
        }

        return OperatingSystem.IsMacOS() ? Path.Combine(home, "Library", "Caches") : Path.Combine(home, ".cache");
    }
}
