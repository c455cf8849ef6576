using System.CommandLine;
using System.CommandLine.Parsing;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Experiments;
using CrossAlign.Runtime;

namespace CrossAlign.Cli;

/// <summary><c>crossalign embed</c>: texts, token ids or pictures to vectors in a file.</summary>
internal static class EmbedCommand
{
    public static Command Create()
    {
        Option<string> model = new("--model") { Description = "A run, a checkpoint of one, an exported folder, a published checkpoint, or the name of one that data model fetched.", Required = true };
        Option<string?> texts = new("--texts") { Description = "A text a line; - for standard input." };
        Option<string?> jsonLines = new("--jsonl") { Description = "A JSON object a line with id and text; - for standard input." };
        Option<string?> ids = new("--ids") { Description = "safetensors with input_ids and attention_mask." };
        Option<DirectoryInfo?> images = new("--images") { Description = "A folder of PNG and JPEG files, subfolders included; in ordinal order of their relative paths, hidden ones left out. Any other file is an error, but with --skip-bad." };
        Option<string?> pixels = new("--pixels") { Description = "safetensors with pixel_values (B, 3, H, W), normalised." };
        Option<string?> pooling = new("--pooling") { Description = "mean, cls, eos (the last token), max, mean_sqrt_len_tokens or weightedmean (weights 1, 2, 3, ... over a text's real tokens, wherever the padding of --ids stands); several as in cls+mean stand one behind the other (default: as the model's folder declares)." };
        TrueOrFalse normalize = new("--normalize", "Whether vectors get length 1 (default: as the model's folder declares, else true).");
        TrueOrFalse project = new("--project", "Whether the head is applied where the model has one (default: true).");
        Option<string?> prefix = new("--prefix") { Description = "Put before every text, such as \"query: \" (default: the default prompt that the model's folder declares, or none; \"\" for none)." };
        Option<string?> prompt = new("--prompt") { Description = "The name of a prompt that the model's folder declares, in place of --prefix." };
        Option<int> batchTokens = new("--batch-tokens") { Description = "About how many tokens go through the tower at once.", DefaultValueFactory = _ => 4096 };
        Option<string?> precision = new("--precision") { Description = "Of matrix products: f32, tf32 (GPU) or bf16 (on a CUDA device of activations too) (default: a run's own, where the device has it; else f32)." };
        Option<bool> skipBad = new("--skip-bad") { Description = "Leave out what cannot be read, or whose vector is not finite; FILE.skipped.jsonl beside the vectors says what and why." };
        Option<FileInfo> output = new("--out") { Description = "A .safetensors or .npy file; FILE.ids.jsonl beside it says what each row is.", Required = true };
        NumberRange.Require(batchTokens, n => n >= 1, "--batch-tokens takes 1 or more");
        Command command = new("embed", "Turn texts or pictures into vectors.")
        {
            model, texts, jsonLines, images, ids, pixels, pooling, normalize.Option, project.Option, prefix, prompt, batchTokens, precision, skipBad, output,
        };
        command.Validators.Add(result => OneOf(result, "what to embed", required: true, texts, jsonLines, images, ids, pixels));
        command.Validators.Add(result => OneOf(result, "what to put before texts", required: false, prefix, prompt));
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                string file = parsed.GetValue(output)!.FullName;
                EmbedRequest request = WrongInvocationException.Guard(() => new EmbedRequest
                {
                    Source = ModelSource.Find(parsed.GetValue(model)!, parsed.GetValue(GlobalOptions.Cache)?.FullName),
                    Name = parsed.GetValue(model)!,
                    Pooling = parsed.GetValue(pooling) is string name ? PoolingModes.Parse(name) : null,
                    Normalize = normalize.Of(parsed),
                    Project = project.Of(parsed) ?? true,
                    Prefix = parsed.GetValue(prefix),
                    Prompt = parsed.GetValue(prompt),
                    BatchTokens = parsed.GetValue(batchTokens),
                    Precision = parsed.GetValue(precision) is string arithmetic ? EmbedRequest.ParsePrecision(arithmetic) : null,
                    SkipBad = parsed.GetValue(skipBad),
                    Output = EmbeddingFile.IsKnown(file) ? file : throw new UserErrorException($"--out '{file}' is neither .safetensors nor .npy", "give one of these extensions"),
                });
                Terminal terminal = Terminal.Of(parsed);
                string? pictures = parsed.GetValue(images)?.FullName;
                WrongInvocationException.Guard(() => pictures is null || Directory.Exists(pictures) ? pictures : throw new UserErrorException($"there is no folder '{pictures}'", "give a folder of pictures"));
                string? textFile = parsed.GetValue(texts) ?? parsed.GetValue(jsonLines);
                using Stream? input = textFile is null ? null : TextInput.Open(parsed, textFile);
                using Device device = DeviceOptions.Open(parsed, terminal);
                using EmbedJob job = new(request, device, terminal);
                if (input is not null)
                {
                    job.EmbedTexts(TextInput.Read(input, textFile!, parsed.GetValue(jsonLines) is not null, request.SkipBad), cancellation);
                }
                else if (pictures is not null)
                {
                    job.EmbedImages(pictures, cancellation);
                }
                else if (parsed.GetValue(ids) is string idFile)
                {
                    job.EmbedIds(idFile, cancellation);
                }
                else
                {
                    job.EmbedPixels(parsed.GetValue(pixels)!, cancellation);
                }

                return CommandLine.Success;
            },
            CancellationToken.None));
        return command;
    }

    private static void OneOf(CommandResult result, string what, bool required, params Option[] options)
    {
        int given = options.Count(o => result.GetResult(o) is { Implicit: false });
        if (given > 1 || (required && given == 0))
        {
            string names = string.Join(", ", options.Select(o => o.Name));
            result.AddError(given == 0 ? $"it is not said {what}: give one of {names}" : $"it is said {given} times {what}: give one of {names}");
        }
    }
}
