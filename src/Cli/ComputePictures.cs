using System.CommandLine;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Images;
using CrossAlign.Models.Operations;

namespace CrossAlign.Cli;

/// <summary><c>crossalign compute decode</c>, <c>resize</c>, <c>preprocess</c>: what happens to a picture before a tower, to be compared with another program's.</summary>
internal static class ComputePictures
{
    private const string Inputs = "A PNG or JPEG file, or safetensors with uint8 tensors: [H, W, 3] decoded, [bytes] picture files.";

    public static Command CreateDecode()
    {
        Files files = new();
        Command command = new("decode", "PNG and JPEG to uint8 [H, W, 3] (of a file: pixels). --set alpha=white|drop, orientation=true|false.");
        files.AddTo(command, parsed => new DecodeOperation(files.SettingsOf(parsed)).Run);
        return command;
    }

    public static Command CreateResize()
    {
        Files files = new();
        Command command = new(
            "resize",
            "Pillow's resize to uint8 [H, W, 3]. --set size, or width and height; filter=bilinear|bicubic|lanczos|nearest|box|hamming, order=pillow13|horizontalFirst; alpha, orientation.");
        files.AddTo(command, parsed => new ResizeOperation(files.SettingsOf(parsed)).Run);
        return command;
    }

    public static Command CreatePreprocess()
    {
        Files files = new();
        Option<string?> model = new("--model") { Description = "The model whose preprocessor to take." };
        Option<FileInfo?> config = new("--preprocessor") { Description = "A preprocessor_config.json, in place of a model." };
        Command command = new(
            "preprocess",
            "A published preprocessor: pixel_values (B, 3, H, W), and NAME.uint8, NAME.pixel_values of each picture. Without a model or file --set form=vit|clip|openclip, size; filter, order, alpha, orientation.")
        {
            model, config,
        };
        files.AddTo(command, parsed =>
        {
            ImagePreprocessor? preprocessor = parsed.GetValue(config) is FileInfo file ? ImagePreprocessor.Read(file.FullName)
                : parsed.GetValue(model) is string name ? OfModel(name, parsed.GetValue(GlobalOptions.Cache)?.FullName)
                : null;
            return new PreprocessOperation(files.SettingsOf(parsed), preprocessor).Run;
        });
        return command;
    }

    private static ImagePreprocessor OfModel(string name, string? cache)
    {
        ModelSource source = ModelSource.Find(name, cache);
        return source.ReadPreprocessor(CheckpointFolder.ReadImageConfig(source.ImageFolder), out _);
    }

    private sealed class Files
    {
        private readonly Option<FileInfo> _input = new("--in") { Description = Inputs, Required = true };
        private readonly Option<FileInfo> _output = new("--out") { Description = "The safetensors file to write.", Required = true };
        private readonly Option<string[]> _settings = new("--set") { Description = "key=value; may be repeated.", DefaultValueFactory = _ => [] };

        public OperationSettings SettingsOf(ParseResult parsed) => new(parsed.GetValue(_settings)!);

        public void AddTo(Command command, Func<ParseResult, Func<string, SafetensorsWriter>> operation)
        {
            command.Options.Add(_input);
            command.Options.Add(_output);
            command.Options.Add(_settings);
            command.SetAction((parsed, _) => Task.Run(
                () =>
                {
                    string input = parsed.GetValue(_input)!.FullName;
                    Func<string, SafetensorsWriter> run = WrongInvocationException.Guard(
                        () => File.Exists(input) ? operation(parsed) : throw new UserErrorException($"there is no file '{input}'", "give a picture or a safetensors file with --in"));
                    string output = parsed.GetValue(_output)!.FullName;
                    run(input).Save(output);
                    ComputeCommand.SayWritten(Terminal.Of(parsed), output);
                    return CommandLine.Success;
                },
                CancellationToken.None));
        }
    }
}
