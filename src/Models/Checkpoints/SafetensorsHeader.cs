using System.Globalization;
using System.Text;
using System.Text.Json;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// Reads and judges the header of a safetensors file: a JSON object of names to element type, shape and byte range. Nothing of a
/// header is believed: lengths, ranges, nesting and names are checked against the size of the file before anything is read by them.
/// </summary>
/// <remarks>Source: the format's description in the safetensors repository (README, "Format").</remarks>
internal static class SafetensorsHeader
{
    /// <summary>The longest header that is read; the format's own library has the same limit.</summary>
    public const long MaxByteCount = 100_000_000;

    // The format itself needs three levels; anything deeper is not a header.
    private const int MaxDepth = 8;
    private const int MaxRank = 32;

    /// <summary>Parses a header.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="header">The JSON text.</param>
    /// <param name="dataStart">Where the data begins in the file.</param>
    /// <param name="fileByteCount">The size of the file.</param>
    /// <param name="metadata">The string pairs under <c>__metadata__</c>.</param>
    /// <returns>The tensors, in the order of their data.</returns>
    /// <exception cref="UserErrorException">The header breaks a rule of the format; the message names the file, the tensor and the rule.</exception>
    public static List<SafetensorsEntry> Parse(
        string file, ReadOnlySpan<byte> header, long dataStart, long fileByteCount, out Dictionary<string, string> metadata)
    {
        try
        {
            return ParseChecked(file, header, dataStart, fileByteCount, out metadata);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or DecoderFallbackException)
        {
            throw Bad(file, $"its header is not the JSON of a safetensors file: {FirstSentence(e.Message)}", e);
        }
    }

    /// <summary>The error for a file that is not as the format demands.</summary>
    /// <param name="file">The file's name.</param>
    /// <param name="what">What is wrong.</param>
    /// <param name="inner">Where it came from.</param>
    /// <returns>The exception, to be thrown.</returns>
    public static UserErrorException Bad(string file, string what, Exception? inner = null) =>
        new($"'{file}' is not a sound safetensors file: {what}", "fetch or export the file again", inner);

    private static List<SafetensorsEntry> ParseChecked(
        string file, ReadOnlySpan<byte> header, long dataStart, long fileByteCount, out Dictionary<string, string> metadata)
    {
        metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        List<SafetensorsEntry> entries = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        Utf8JsonReader reader = new(header, new JsonReaderOptions { MaxDepth = MaxDepth });
        Expect(file, ref reader, JsonTokenType.StartObject, "an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (!names.Add(name))
            {
                throw Bad(file, $"the name '{name}' stands twice in its header");
            }

            if (name == "__metadata__")
            {
                ReadMetadata(file, ref reader, metadata);
            }
            else
            {
                entries.Add(ReadEntry(file, name, ref reader, dataStart, fileByteCount));
            }
        }

        // Only white space may follow the object; the reader throws for anything else.
        while (reader.Read())
        {
        }

        CheckRanges(file, entries, dataStart, fileByteCount);
        return entries;
    }

    private static SafetensorsEntry ReadEntry(string file, string name, ref Utf8JsonReader reader, long dataStart, long fileByteCount)
    {
        string? dtypeName = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        Expect(file, ref reader, JsonTokenType.StartObject, $"an object for '{name}'");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            bool again = key switch { "dtype" => dtypeName is not null, "shape" => shape is not null, "data_offsets" => offsets is not null, _ => false };
            if (again)
            {
                throw Bad(file, $"'{name}' has the key '{key}' twice");
            }

            switch (key)
            {
                case "dtype":
                    Expect(file, ref reader, JsonTokenType.String, $"a text as dtype of '{name}'");
                    dtypeName = reader.GetString();
                    break;
                case "shape":
                    shape = ReadNumbers(file, name, key, ref reader);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers(file, name, key, ref reader);
                    break;
                default:
                    throw Bad(file, $"'{name}' has the unknown key '{key}'");
            }
        }

        if (dtypeName is null || shape is null || offsets is null)
        {
            throw Bad(file, $"'{name}' lacks one of dtype, shape and data_offsets");
        }

        if (!SafetensorsDTypeExtensions.TryParse(dtypeName, out SafetensorsDType dtype))
        {
            throw new UserErrorException(
                $"'{file}': '{name}' has the element type '{dtypeName}', which is not read here", "export the checkpoint as F32, F16 or BF16");
        }

        if (offsets.Count != 2 || offsets[0] > offsets[1] || offsets[1] > fileByteCount - dataStart)
        {
            throw Bad(
                file,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"the data of '{name}' lies at [{string.Join(", ", offsets)}], but the file holds {fileByteCount - dataStart} bytes of data (is it truncated?)"));
        }

        if (shape.Count > MaxRank)
        {
            throw Bad(file, string.Create(CultureInfo.InvariantCulture, $"'{name}' has {shape.Count} dimensions"));
        }

        long byteCount = offsets[1] - offsets[0];
        if (!TryByteCount(shape, dtype, out long expected) || expected != byteCount)
        {
            throw Bad(
                file,
                string.Create(CultureInfo.InvariantCulture, $"'{name}' is {dtypeName} [{string.Join(", ", shape)}], which does not fill its {byteCount} bytes"));
        }

        return new SafetensorsEntry(name, dtype, shape, dataStart + offsets[0], byteCount);
    }

    private static bool TryByteCount(List<long> shape, SafetensorsDType dtype, out long byteCount)
    {
        // A zero extent makes the tensor empty, however large the others are; without one, a product that leaves 64 bits is refused.
        byteCount = dtype.ByteSize();
        if (shape.Contains(0))
        {
            byteCount = 0;
            return true;
        }

        foreach (long extent in shape)
        {
            if (extent > long.MaxValue / byteCount)
            {
                return false;
            }

            byteCount *= extent;
        }

        return true;
    }

    private static void CheckRanges(string file, List<SafetensorsEntry> entries, long dataStart, long fileByteCount)
    {
        entries.Sort((a, b) => a.ByteOffset != b.ByteOffset ? a.ByteOffset.CompareTo(b.ByteOffset)
            : a.ByteCount != b.ByteCount ? a.ByteCount.CompareTo(b.ByteCount)
            : string.CompareOrdinal(a.Name, b.Name));
        long end = dataStart;
        foreach (SafetensorsEntry entry in entries)
        {
            if (entry.ByteOffset != end)
            {
                throw Bad(file, entry.ByteOffset < end ? $"the data of '{entry.Name}' overlaps another tensor's" : $"there is a gap before the data of '{entry.Name}'");
            }

            end += entry.ByteCount;
        }

        if (end != fileByteCount)
        {
            throw Bad(file, string.Create(CultureInfo.InvariantCulture, $"{fileByteCount - end} bytes at its end belong to no tensor"));
        }
    }

    private static List<long> ReadNumbers(string file, string name, string key, ref Utf8JsonReader reader)
    {
        List<long> numbers = [];
        Expect(file, ref reader, JsonTokenType.StartArray, $"a list as {key} of '{name}'");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
            {
                throw Bad(file, $"{key} of '{name}' holds something other than whole numbers from 0 to 2^63 - 1");
            }

            numbers.Add(number);
        }

        return numbers;
    }

    private static void ReadMetadata(string file, ref Utf8JsonReader reader, Dictionary<string, string> metadata)
    {
        Expect(file, ref reader, JsonTokenType.StartObject, "an object as __metadata__");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            Expect(file, ref reader, JsonTokenType.String, $"a text as __metadata__.{key}");
            if (!metadata.TryAdd(key, reader.GetString()!))
            {
                throw Bad(file, $"the name '{key}' stands twice in its metadata");
            }
        }
    }

    private static void Expect(string file, ref Utf8JsonReader reader, JsonTokenType type, string what)
    {
        if (!reader.Read() || reader.TokenType != type)
        {
            throw Bad(file, $"its header has {reader.TokenType} where {what} must stand");
        }
    }

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? message.TrimEnd('.') : message[..end];
    }
}
