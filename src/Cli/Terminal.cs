using System.CommandLine;
using Spectre.Console;

namespace CrossAlign.Cli;

/// <summary>
/// Where a command writes: results to standard output, progress there too, or to standard error where the results are JSON. Knows
/// whether a person is watching.
/// </summary>
internal sealed class Terminal
{
    private bool _liveLine;

    private Terminal(TextWriter results, TextWriter progress, bool isInteractive, bool isJson, bool isVerbose)
    {
        Results = results;
        Progress = progress;
        IsInteractive = isInteractive;
        IsJson = isJson;
        IsVerbose = isVerbose;
    }

    /// <summary>Where results go.</summary>
    public TextWriter Results { get; }

    /// <summary>Whether progress is shown on one line that is written again and again.</summary>
    public bool IsInteractive { get; }

    /// <summary>Whether the results are one JSON document.</summary>
    public bool IsJson { get; }

    /// <summary>Whether to say more.</summary>
    public bool IsVerbose { get; }

    private TextWriter Progress { get; }

    /// <summary>The terminal of an invocation.</summary>
    public static Terminal Of(ParseResult parsed)
    {
        bool json = parsed.GetValue(GlobalOptions.Json);
        TextWriter output = parsed.InvocationConfiguration.Output;
        TextWriter error = parsed.InvocationConfiguration.Error;

        // A test passes writers of its own; only the process's own streams can be a terminal.
        bool watched = json
            ? ReferenceEquals(error, Console.Error) && !Console.IsErrorRedirected
            : ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;
        bool dumb = Environment.GetEnvironmentVariable("TERM") is "dumb" || Environment.GetEnvironmentVariable("CI") is "true";
        return new Terminal(output, json ? error : output, watched && !dumb, json, parsed.GetValue(GlobalOptions.Verbose));
    }

    /// <summary>Writes a line of progress that stays.</summary>
    public void Say(string line)
    {
        ClearLive();
        Progress.WriteLine(line);
        Progress.Flush();
    }

    /// <summary>Replaces the live line; nothing where nobody watches.</summary>
    public void Live(string line)
    {
        if (IsInteractive)
        {
            int width = Math.Max(20, Console.WindowWidth - 1);
            Progress.Write($"\r\u001b[K{(line.Length > width ? line[..width] : line)}");
            Progress.Flush();
            _liveLine = true;
        }
    }

    /// <summary>Takes the live line away.</summary>
    public void ClearLive()
    {
        if (_liveLine)
        {
            Progress.Write("\r\u001b[K");
            Progress.Flush();
            _liveLine = false;
        }
    }

    /// <summary>Writes a table to the results; wide ones are not folded where nobody watches.</summary>
    public void Write(Table table)
    {
        ClearLive();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(Results),
            Interactive = InteractionSupport.No,
            Ansi = IsInteractive && !IsJson ? AnsiSupport.Detect : AnsiSupport.No,
        });
        if (!IsInteractive)
        {
            console.Profile.Width = 200;
        }

        console.Write(table);
    }
}
