using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Cli;

/// <summary>The program: its commands, and what becomes of errors and interruptions.</summary>
internal static class CommandLine
{
    /// <summary>Everything went well.</summary>
    public const int Success = 0;

    /// <summary>The run failed.</summary>
    public const int Failure = 1;

    /// <summary>The invocation was wrong.</summary>
    public const int WrongInvocation = 2;

    /// <summary>Interrupted, after what there was has been saved.</summary>
    public const int Interrupted = 130;

    /// <summary>Runs one invocation.</summary>
    /// <param name="args">The arguments.</param>
    /// <param name="output">Standard output: results.</param>
    /// <param name="error">Standard error: errors, and progress where results are JSON.</param>
    /// <param name="openInput">Opens standard input; null: the process's own.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error, Func<Stream>? openInput = null)
    {
        // Numbers in tables, JSON and errors are written the same everywhere.
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.InvariantCulture;
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

        RootCommand root = CreateRoot();
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            await error.WriteLineAsync($"error: {Explain(parsed, root)}").ConfigureAwait(false);
            return WrongInvocation;
        }

        bool verbose = parsed.GetValue(GlobalOptions.Verbose);
        try
        {
            InvocationStreams configuration = new()
            {
                OpenInput = openInput ?? Console.OpenStandardInput,
                Output = output,
                Error = error,
                EnableDefaultExceptionHandler = false,

                // Ctrl-C cancels; a training run then writes a checkpoint before it ends.
                ProcessTerminationTimeout = TimeSpan.FromMinutes(2),
            };
            return await parsed.InvokeAsync(configuration).ConfigureAwait(false);
        }
        catch (WrongInvocationException e)
        {
            await ReportAsync(error, e.InnerException as UserErrorException, e, verbose).ConfigureAwait(false);
            return WrongInvocation;
        }
        catch (UserErrorException e)
        {
            await ReportAsync(error, e, e, verbose).ConfigureAwait(false);
            return Failure;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("interrupted").ConfigureAwait(false);
            return Interrupted;
        }
        catch (OutOfMemoryException e)
        {
            // The driver's own words say that it is the GPU's.
            string what = e is InsufficientMemoryException ? $"there is not enough memory: {e.Message}" : "there is not enough memory";
            await ReportAsync(error, new UserErrorException(what, "lower batchSize or the model's size", e), e, verbose).ConfigureAwait(false);
            return Failure;
        }
        catch (CudaException e)
        {
            await ReportAsync(error, new UserErrorException($"the CUDA device failed: {e.Message}", CudaRemedy(e.Result), e), e, verbose).ConfigureAwait(false);
            return Failure;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await ReportAsync(error, new UserErrorException($"a file could not be read or written: {e.Message}", "check the path, its permissions and the free space", e), e, verbose).ConfigureAwait(false);
            return Failure;
        }
#pragma warning disable CA1031 // whatever goes wrong, a person gets one line, and the trace with --verbose
        catch (Exception e)
#pragma warning restore CA1031
        {
            await ReportAsync(error, new UserErrorException($"{e.GetType().Name}: {e.Message}", "run again with --verbose and report what it prints", e), e, verbose).ConfigureAwait(false);
            return Failure;
        }
    }

    private static RootCommand CreateRoot()
    {
        RootCommand root = new("CrossAlign aligns languages through images.")
        {
            DemoCommand.Create(),
            DataCommand.Create(),
            TrainCommand.Create(),
            EvalCommand.Create(),
            ReportCommand.Create(),
            ComputeCommand.Create(),
            DoctorCommand.Create(),
            EmbedCommand.Create(),
            ExportCommand.Create(),
            TokenizeCommand.Create(),
            ProfileCommand.Create(),
        };
        GlobalOptions.AddTo(root);
        return root;
    }

    // The parser lists a mistyped command twice, and a wrong option once for each command on the way: one line says it all.
    private static string Explain(ParseResult parsed, RootCommand root)
    {
        Command command = parsed.CommandResult.Command;
        bool atRoot = command == root;
        string help = atRoot ? "crossalign --help" : $"crossalign {command.Name} --help";
        if (command.Subcommands.Count > 0 && parsed.UnmatchedTokens is [string word, ..] && !word.StartsWith('-'))
        {
            string nearest = NearestName.Find(word, command.Subcommands.Select(c => c.Name));
            return $"there is no command '{(atRoot ? word : $"{command.Name} {word}")}' (the nearest is '{nearest}'; see {help})";
        }

        if (parsed.Errors[0].SymbolResult is OptionResult { Tokens: [{ Value: string value }, ..] } option && NumberName(option.Option.ValueType) is { } number
            && parsed.Errors[0].Message.Contains(option.Option.ValueType.ToString(), StringComparison.Ordinal))
        {
            // The parser would name the type as .NET does.
            return $"{option.Option.Name} takes {number}, not '{value}' (see {help})";
        }

        return $"{parsed.Errors[0].Message.TrimEnd('.')} (see {help})";
    }

    private static string CudaRemedy(CuResult result) => result switch
    {
        CuResult.NoBinaryForGpu or CuResult.UnsupportedPtxVersion or CuResult.InvalidPtx => "or give --device cpu; doctor shows the driver and the GPU",
        _ => "start again, training with --resume; if it happens again, report what --verbose prints and what --device cuda-emulated says of a small run, and give --device cpu",
    };

    private static string? NumberName(Type type) => Type.GetTypeCode(Nullable.GetUnderlyingType(type) ?? type) switch
    {
        TypeCode.Int32 or TypeCode.Int64 => "a whole number",
        TypeCode.Single or TypeCode.Double => "a number",
        _ => null,
    };

    private static async Task ReportAsync(TextWriter error, UserErrorException? user, Exception exception, bool verbose)
    {
        string message = user is null ? exception.Message : user.Message;
        await error.WriteLineAsync($"error: {message.ReplaceLineEndings(" ")}").ConfigureAwait(false);
        foreach (string detail in user?.Details ?? [])
        {
            await error.WriteLineAsync($"  {detail}").ConfigureAwait(false);
        }

        if (verbose)
        {
            await error.WriteLineAsync(exception.ToString()).ConfigureAwait(false);
        }
    }
}
