using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using CrossAlign.Models;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Cli;

/// <summary>Texts from a file or standard input: a text a line, or a JSON object a line with <c>id</c> and <c>text</c>. Read as they are needed.</summary>
internal static class TextInput
{
    /// <summary>The name of standard input on the command line.</summary>
    public const string StandardInput = "-";

    // A line longer than this is no text but another kind of file.
    private const int LongestLineBytes = 64 << 20;

    /// <summary>Opens a file or standard input.</summary>
    /// <param name="parsed">The invocation.</param>
    /// <param name="path">The file, or <c>-</c>.</param>
    /// <returns>The bytes, owned by the caller.</returns>
    /// <exception cref="WrongInvocationException">The file cannot be opened.</exception>
    public static Stream Open(ParseResult parsed, string path)
    {
        if (path == StandardInput)
        {
            return InvocationStreams.InputOf(parsed);
        }

        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WrongInvocationException(new UserErrorException($"'{path}' cannot be read: {e.Message}", "check the path and its permissions", e));
        }
    }

    /// <summary>Reads texts one by one.</summary>
    /// <param name="stream">UTF-8, lines ended by LF or CR LF; a byte-order mark is passed over.</param>
    /// <param name="name">What it is, for messages.</param>
    /// <param name="isJson">Whether lines are JSON objects; then empty lines are passed over, else each is an empty text.</param>
    /// <param name="keepBad">Whether a line that cannot be read is given with its error.</param>
    /// <returns>The texts in order.</returns>
    /// <exception cref="UserErrorException">A line is not UTF-8, or not such an object, and <paramref name="keepBad"/> is false; the message names the line.</exception>
    public static IEnumerable<TextItem> Read(Stream stream, string name, bool isJson, bool keepBad = false)
    {
        int line = 0;
        long count = 0;
        foreach (ReadOnlyMemory<byte> bytes in Lines(stream, name))
        {
            line++;
            string place = string.Create(CultureInfo.InvariantCulture, $"line {line} of {(name == StandardInput ? "standard input" : $"'{name}'")}");
            if (ReadLine(bytes.Span, place, count, isJson) is TextItem item)
            {
                count++;
                yield return item.Error is null || keepBad ? item : throw item.Error;
            }
        }
    }

    private static TextItem? ReadLine(ReadOnlySpan<byte> bytes, string place, long count, bool isJson)
    {
        string number = count.ToString(CultureInfo.InvariantCulture);
        try
        {
            string text = Tokenizer.DecodeUtf8(bytes, place);
            return !isJson ? new TextItem(number, text)
                : string.IsNullOrWhiteSpace(text) ? null
                : Parse(text, place, number);
        }
        catch (UserErrorException e)
        {
            return new TextItem(number, string.Empty, e);
        }
    }

    private static TextItem Parse(string line, string place, string number)
    {
        string id = number;
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            JsonElement root = json.RootElement;
            if (root.ValueKind == JsonValueKind.Object && root.TryGetProperty("id", out JsonElement given))
            {
                id = given.ValueKind is JsonValueKind.String or JsonValueKind.Number
                    ? given.GetRawText()
                    : throw new UserErrorException($"{place} has an 'id' that is neither a string nor a number", "correct the line");
            }

            return root.ValueKind == JsonValueKind.Object && root.TryGetProperty("text", out JsonElement text) && text.ValueKind == JsonValueKind.String
                ? new TextItem(id, text.GetString()!)
                : throw new UserErrorException($"{place} is no object with a string 'text'", "write lines such as {\"id\": \"a\", \"text\": \"a dog\"}");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{place} is not JSON: {e.Message}", "give a JSON object with id and text a line", e);
        }
        catch (InvalidOperationException e)
        {
            return new TextItem(id, string.Empty, new UserErrorException($"{place} has half of a surrogate pair in its text", "correct the text", e));
        }
        catch (UserErrorException e)
        {
            return new TextItem(id, string.Empty, e);
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> Lines(Stream stream, string name)
    {
        byte[] buffer = new byte[1 << 16];
        int filled = 0;
        bool first = true;
        while (true)
        {
            int read = stream.Read(buffer, filled, buffer.Length - filled);
            filled += read;
            int start = 0;
            if (first && (filled >= 3 || read == 0))
            {
                start = buffer.AsSpan(0, filled).StartsWith("\uFEFF"u8) ? 3 : 0;
                first = false;
            }

            if (first)
            {
                continue;
            }

            for (int end; (end = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n')) >= 0; start += end + 1)
            {
                yield return WithoutReturn(buffer.AsMemory(start, end));
            }

            if (read == 0)
            {
                if (start < filled)
                {
                    yield return WithoutReturn(buffer.AsMemory(start, filled - start));
                }

                yield break;
            }

            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            filled -= start;
            if (filled == buffer.Length)
            {
                if (filled >= LongestLineBytes)
                {
                    throw new UserErrorException($"'{name}' has a line of more than {LongestLineBytes >> 20} MiB", "give texts, one a line");
                }

                Array.Resize(ref buffer, 2 * buffer.Length);
            }
        }
    }

    private static ReadOnlyMemory<byte> WithoutReturn(ReadOnlyMemory<byte> line) => line.Span is [.., (byte)'\r'] ? line[..^1] : line;
}
