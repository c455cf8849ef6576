using System.ComponentModel;
using System.Diagnostics;

namespace CrossAlign.Models.Data.Album;

/// <summary>Starts the programs that the album is fetched and drawn with.</summary>
internal static class ExternalProgram
{
    private const string Remedy =
        "install Node.js 18 or newer, which brings npm (Debian: apt install nodejs npm; else nodejs.org), or use the embedded data set: --data shapes";

    /// <summary>Finds a program on the search path.</summary>
    /// <param name="name">Its name without extension.</param>
    /// <returns>Its full path.</returns>
    /// <exception cref="UserErrorException">It is not there.</exception>
    internal static string Find(string name)
    {
        string[] names = OperatingSystem.IsWindows() ? [name + ".exe", name + ".cmd"] : [name];
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            foreach (string candidate in names)
            {
                string path = Path.Combine(folder, candidate);
                if (File.Exists(path))
                {
                    return path;
                }
            }
        }

        throw new UserErrorException($"the photo album is fetched with npm, and '{name}' was not found", Remedy);
    }

    /// <summary>Starts a program with all its streams redirected.</summary>
    /// <exception cref="UserErrorException">It does not start.</exception>
    internal static Process Start(string path, IEnumerable<string> arguments, string workingFolder)
    {
        ProcessStartInfo start = new(path, arguments)
        {
            WorkingDirectory = workingFolder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            CreateNoWindow = true,
        };
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new UserErrorException($"'{path}' could not be started: {e.Message}", Remedy, e);
        }
    }

    /// <summary>Ends a program and what it started; one that has ended already is left alone.</summary>
    internal static void Stop(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended between the question and the answer.
        }
    }
}
