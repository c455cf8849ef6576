using System.CommandLine;

namespace CrossAlign.Cli;

/// <summary>What an invocation reads and writes.</summary>
internal sealed class InvocationStreams : InvocationConfiguration
{
    /// <summary>Opens standard input as bytes, so that text which is not UTF-8 is an error and never replaced in silence.</summary>
    public required Func<Stream> OpenInput { get; init; }

    /// <summary>Standard input of an invocation.</summary>
    public static Stream InputOf(ParseResult parsed) => ((InvocationStreams)parsed.InvocationConfiguration).OpenInput();
}
