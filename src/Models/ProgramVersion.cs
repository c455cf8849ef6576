using System.Reflection;

namespace CrossAlign.Models;

/// <summary>The program's version and commit, as the build stamped them.</summary>
public static class ProgramVersion
{
    private static readonly string[] s_parts =
        (typeof(ProgramVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0").Split('+');

    /// <summary>The version.</summary>
    public static string Number => s_parts[0];

    /// <summary>The commit, or null.</summary>
    public static string? Commit => s_parts.Length > 1 ? s_parts[1] : null;
}
