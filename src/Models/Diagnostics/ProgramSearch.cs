using System.ComponentModel;
using System.Diagnostics;

namespace CrossAlign.Models.Diagnostics;

/// <summary>Looks for programs on the search path and asks them for their version.</summary>
internal static class ProgramSearch
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>The full path of the first of some programs that there is, or null.</summary>
    /// <param name="names">Names without extension, the preferred first.</param>
    public static string? Find(params ReadOnlySpan<string> names)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        string[] endings = OperatingSystem.IsWindows() ? [".exe", ".cmd"] : [string.Empty];
        foreach (string name in names)
        {
            foreach (string folder in folders)
            {
                foreach (string ending in endings)
                {
                    string path = Path.Combine(folder, name + ending);
                    if (File.Exists(path))
                    {
                        return path;
                    }
                }
            }
        }

        return null;
    }

    /// <summary>The first line that a program prints when asked for its version; null where it prints none or takes too long.</summary>
    /// <param name="path">The program.</param>
    public static string? VersionOf(string path)
    {
        ProcessStartInfo start = new(path, "--version")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            CreateNoWindow = true,
        };
        try
        {
            using Process process = Process.Start(start)!;
            process.StandardInput.Close();
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
            Task<string?> line = process.StandardOutput.ReadLineAsync();
            if (!line.Wait(s_patience))
            {
                process.Kill(entireProcessTree: true);
                return null;
            }

            string? text = line.Result?.Trim();
            return string.IsNullOrEmpty(text) ? null : text;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException or IOException or AggregateException)
        {
            // A file of that name that does not run, or that ended before it was asked: it has no version to tell.
            return null;
        }
    }
}
