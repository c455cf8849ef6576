using System.CommandLine;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Operations;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary><c>crossalign compute</c>: one operation on tensors from a file, to be compared with another program's.</summary>
internal static class ComputeCommand
{
    public static Command Create() => new("compute", "Run one operation on tensors from a file, forward and backward.")
    {
        CreateLoss(), CreateTower(), CreateAdamW(), CreateMetrics(), ComputePictures.CreateDecode(), ComputePictures.CreateResize(), ComputePictures.CreatePreprocess(),
    };

    /// <summary>Says where the outputs are.</summary>
    public static void SayWritten(Terminal terminal, string output)
    {
        if (!terminal.IsJson)
        {
            terminal.Say($"written: {output}");
            return;
        }

        using JsonLine line = new();
        terminal.Results.WriteLine(line.Text(json =>
        {
            json.WriteStartObject();
            json.WriteString("out", output);
            json.WriteEndObject();
        }));
    }

    private static Command CreateLoss()
    {
        Files files = new();
        Command command = new("loss", "The contrastive loss: captions, images, scale or logScale -> loss and gradients. --set variant, groups, smoothing, falseNegativeMargin, divideByRowCount, prefixes (as in 128:0.5,512), maxScale (of logScale), locked (captions, images), memoryBudgetMiB.");
        Option<string> precision = new("--precision") { Description = "Of matrix products: f32, tf32 (GPU) or bf16.", DefaultValueFactory = _ => "f32" };
        command.Options.Add(precision);
        files.AddTo(command);
        command.SetAction((parsed, _) => Task.Run(
            () =>
            {
                (LossOperation operation, MatMulPrecision products) = WrongInvocationException.Guard(
                    () => (new LossOperation(files.SettingsOf(parsed)), PrecisionOf(parsed.GetValue(precision)!)));
                return files.Run(parsed, (input, device) =>
                {
                    WrongInvocationException.Guard(() => SetPrecision(device, products, parsed.GetValue(precision)!));
                    SayUnread(Terminal.Of(parsed), input, LossOperation.Inputs);
                    return operation.Run(input, device);
                });
            },
            CancellationToken.None));
        return command;
    }

    private static MatMulPrecision PrecisionOf(string name) => name switch
    {
        "f32" => MatMulPrecision.Float32,
        "tf32" => MatMulPrecision.Tf32,
        "bf16" => MatMulPrecision.BFloat16,
        _ => throw new UserErrorException($"--precision: there is no precision '{name}'", $"the nearest is '{NearestName.Find(name, ["f32", "tf32", "bf16"])}'"),
    };

    // A tensor with a mistyped name would be another loss.
    private static void SayUnread(Terminal terminal, SafetensorsFile input, IReadOnlyList<string> known)
    {
        foreach (string name in input.Entries.Select(e => e.Name).Where(n => !known.Contains(n, StringComparer.Ordinal)))
        {
            terminal.Say($"not read: '{name}' (the nearest name that is: '{NearestName.Find(name, known)}')");
        }
    }

    private static MatMulPrecision SetPrecision(Device device, MatMulPrecision precision, string name)
    {
        try
        {
            return device.MatMulPrecision = precision;
        }
        catch (NotSupportedException e)
        {
            throw new UserErrorException($"--precision {name} cannot be had on {device.Name}: {e.Message.TrimEnd('.')}", "give another --precision, or another --device", e);
        }
    }

    private static Command CreateTower()
    {
        Files files = new();
        Option<string> model = new("--model") { Description = "A run, an exported folder, a published checkpoint, or the name of one that data model fetched.", Required = true };
        Command command = new("tower", "A tower: input_ids or pixel_values, and R -> hidden states (0 at padding, and in CLIP's text tower behind the first end of text), vectors, gradients. --set pooling (weightedmean counts real tokens, not places in a padded row), project, normalize.") { model };
        files.AddTo(command);
        command.SetAction((parsed, _) => Task.Run(
            () =>
            {
                TowerOperation operation = WrongInvocationException.Guard(() => new TowerOperation(files.SettingsOf(parsed)));
                ModelSource source = WrongInvocationException.Guard(() => ModelSource.Find(parsed.GetValue(model)!, parsed.GetValue(GlobalOptions.Cache)?.FullName));
                return files.Run(parsed, (input, device) =>
                {
                    using TwoTowerModel loaded = source.Load(device, out IReadOnlyList<CheckpointReport> reports);
                    EmbedJob.SayIgnored(Terminal.Of(parsed), reports);
                    return operation.Run(input, loaded);
                });
            },
            CancellationToken.None));
        return command;
    }

    private static Command CreateAdamW()
    {
        Files files = new();
        Command command = new("adamw", "The optimiser's steps: parameter.NAME, gradient.1.NAME, gradient.2.NAME, ... (learningRate: one a step) -> parameter.NAME, exp_avg.NAME, exp_avg_sq.NAME behind the last step; of each step gradientNorm (before clipping) and clipFactor (0: not finite, nothing changed). --set learningRate (0.001), beta1 (0.9), beta2 (0.999), eps (1e-8), weightDecay (0; decoupled, times the learning rate), noDecay (NAME,...), clipNorm (of all gradients together), maximum (NAME:VALUE,...).");
        files.AddTo(command);
        command.SetAction((parsed, _) => Task.Run(
            () =>
            {
                AdamWOperation operation = WrongInvocationException.Guard(() => new AdamWOperation(files.SettingsOf(parsed)));
                return files.Run(parsed, operation.Run);
            },
            CancellationToken.None));
        return command;
    }

    private static Command CreateMetrics()
    {
        Files files = new();
        Command command = new("metrics", "Retrieval and geometry of two matrices a and b, whose rows belong together. --set neighbours.");
        files.AddTo(command);
        command.SetAction((parsed, _) => Task.Run(
            () =>
            {
                MetricsOperation operation = WrongInvocationException.Guard(() => new MetricsOperation(files.SettingsOf(parsed)));
                return files.Run(parsed, operation.Run);
            },
            CancellationToken.None));
        return command;
    }

    /// <summary>The options that every operation has.</summary>
    private sealed class Files
    {
        private readonly Option<FileInfo> _input = new("--in") { Description = "The safetensors file of the inputs.", Required = true };
        private readonly Option<FileInfo> _output = new("--out") { Description = "The safetensors file to write.", Required = true };
        private readonly Option<string[]> _settings = new("--set") { Description = "key=value; may be repeated.", DefaultValueFactory = _ => [] };

        public void AddTo(Command command)
        {
            command.Options.Add(_input);
            command.Options.Add(_output);
            command.Options.Add(_settings);
        }

        public OperationSettings SettingsOf(ParseResult parsed) => new(parsed.GetValue(_settings)!);

        public int Run(ParseResult parsed, Func<SafetensorsFile, Device, SafetensorsWriter> operation)
        {
            string path = parsed.GetValue(_input)!.FullName;
            WrongInvocationException.Guard(() => File.Exists(path) ? path : throw new UserErrorException($"there is no file '{path}'", "give a safetensors file with --in"));
            using SafetensorsFile input = SafetensorsFile.Open(path);
            Terminal terminal = Terminal.Of(parsed);
            using Device device = DeviceOptions.Open(parsed, terminal);
            string output = parsed.GetValue(_output)!.FullName;
            operation(input, device).Save(output);
            SayWritten(terminal, output);
            return CommandLine.Success;
        }
    }
}
