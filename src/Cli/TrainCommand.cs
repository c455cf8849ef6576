using System.CommandLine;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Cli;

/// <summary><c>crossalign train</c>: one run.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        RunConfigOptions config = new();
        Option<bool> printConfig = new("--print-config") { Description = "Print the complete configuration and stop." };
        Option<bool> schema = new("--schema") { Description = "Print the JSON Schema of configuration files and stop." };
        Command command = new("train", "Train two towers and write a run folder.") { printConfig, schema };
        config.AddTo(command);
        command.SetAction((parsed, cancellation) =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(schema))
            {
                output.Write(RunConfigJson.WriteSchema());
                return Task.FromResult(CommandLine.Success);
            }

            RunConfig run = config.Read(parsed);
            if (parsed.GetValue(printConfig))
            {
                output.Write(RunConfigJson.Write(run));
                return Task.FromResult(CommandLine.Success);
            }

            throw new InvalidOperationException();
        });
        return command;
    }
}
