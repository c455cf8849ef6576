using System.CommandLine;
using System.Text.Json;
using CrossAlign.Models;
using CrossAlign.Models.Checkpoints.Hub;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Cli;

/// <summary><c>crossalign tokenize</c>: texts to ids and pieces, a JSON line a text.</summary>
internal static class TokenizeCommand
{
    public static Command Create()
    {
        Option<string> tokenizer = new("--tokenizer") { Description = "A sentencepiece .model, a tokenizer.json, a vocab.txt, a model folder, a run, or the name of a fetched model.", Required = true };
        Option<string?> jsonLines = new("--jsonl") { Description = "A JSON object a line with id and text (default: texts on standard input, one a line)." };
        Command command = new("tokenize", "Split texts into tokens, as the published tokenizer of a model does.") { tokenizer, jsonLines };
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                string path = parsed.GetValue(tokenizer)!;
                string? file = parsed.GetValue(jsonLines);
                ModelSource? model = File.Exists(path) ? null : WrongInvocationException.Guard(() => Find(path, parsed.GetValue(GlobalOptions.Cache)?.FullName));
                using Stream input = TextInput.Open(parsed, file ?? TextInput.StandardInput);
                ITokenizer loaded = model is null ? Tokenizer.Load(path) : model.LoadTokenizer();

                // A run's own tokenizer has seen captions normalised, so these are the tokens that embed gives its tower.
                IEnumerable<TextItem> texts = TextInput.Read(input, file ?? TextInput.StandardInput, file is not null);
                Write(Terminal.Of(parsed), text => loaded.Tokenize(model?.Prepare(text) ?? text), texts, cancellation);
                return CommandLine.Success;
            },
            CancellationToken.None));
        return command;
    }

    private static ModelSource Find(string path, string? cache)
    {
        try
        {
            return ModelSource.Find(path, cache);
        }
        catch (UserErrorException e) when (!Directory.Exists(path))
        {
            string fetch = HubModelName.TryParse(path, out _) ? $", or fetch it: crossalign data model {path}" : string.Empty;
            throw new UserErrorException($"there is no tokenizer '{path}'", $"give a .model file, a tokenizer.json, a model folder or a run{fetch}", e);
        }
    }

    private static void Write(Terminal terminal, Func<string, TokenizedText> tokenize, IEnumerable<TextItem> texts, CancellationToken cancellation)
    {
        using JsonLine line = new();
        string separator = terminal.IsJson ? "[" : string.Empty;
        foreach (TextItem item in texts)
        {
            cancellation.ThrowIfCancellationRequested();
            TokenizedText tokens = TokensOf(tokenize, item);
            terminal.Results.Write(separator);
            terminal.Results.Write(line.Text(json => Write(json, item, tokens)));
            if (!terminal.IsJson)
            {
                terminal.Results.WriteLine();
            }

            separator = terminal.IsJson ? ",\n" : string.Empty;
        }

        if (terminal.IsJson)
        {
            terminal.Results.WriteLine(separator == "[" ? "[]" : "]");
        }

        terminal.Results.Flush();
    }

    private static TokenizedText TokensOf(Func<string, TokenizedText> tokenize, TextItem item)
    {
        try
        {
            return tokenize(item.Text);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"text {item.IdJson}: {e.What}", e.Remedy, e);
        }
    }

    private static void Write(Utf8JsonWriter json, TextItem item, TokenizedText tokens)
    {
        json.WriteStartObject();
        json.WritePropertyName("id");
        json.WriteRawValue(item.IdJson);
        WriteNumbers(json, "ids", tokens.Ids);
        json.WriteStartArray("pieces");
        foreach (string piece in tokens.Pieces)
        {
            json.WriteStringValue(piece);
        }

        json.WriteEndArray();
        if (tokens.FileIds is not null)
        {
            WriteNumbers(json, "pieceIds", tokens.FileIds);
        }

        json.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values)
        {
            json.WriteNumberValue(value);
        }

        json.WriteEndArray();
    }
}
