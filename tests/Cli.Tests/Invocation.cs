namespace CrossAlign.Cli.Tests;

/// <summary>One invocation of the program, inside the test's process: what a script would see.</summary>
public sealed record Invocation(int ExitCode, string Output, string Error)
{
    /// <summary>The lines of standard error.</summary>
    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public static Task<Invocation> RunAsync(params string[] args) => RunAsync(ReadOnlyMemory<byte>.Empty, args);

    /// <summary>Runs with bytes on standard input.</summary>
    public static async Task<Invocation> RunAsync(ReadOnlyMemory<byte> input, params string[] args)
    {
        StringWriter output = new() { NewLine = "\n" };
        StringWriter error = new() { NewLine = "\n" };
        int exitCode = await CommandLine.RunAsync(args, output, error, () => new MemoryStream(input.ToArray()));
        return new Invocation(exitCode, output.ToString(), error.ToString());
    }
}
