using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// A file of vectors that is written row by row: <c>.safetensors</c> with the tensor <c>embeddings</c>, or NumPy's <c>.npy</c>. The number
/// of rows need not be known before, since room for the header is kept; memory holds no more than is being written.
/// </summary>
public sealed class EmbeddingFile
{
    private const int NumPyHeaderBytes = 128;

    private readonly Stream _stream;

    private EmbeddingFile(Stream stream, int width)
    {
        _stream = stream;
        Width = width;
    }

    /// <summary>The length of a vector.</summary>
    public int Width { get; }

    /// <summary>The number of rows so far.</summary>
    public long Rows { get; private set; }

    /// <summary>Whether a file of this name can be written.</summary>
    /// <param name="path">The name.</param>
    /// <returns>True for <c>.safetensors</c> and <c>.npy</c>.</returns>
    public static bool IsKnown(string path) => Path.GetExtension(path) is ".safetensors" or ".npy";

    /// <summary>Writes a file; it appears under its name when it is complete, never before.</summary>
    /// <param name="path">Where; the extension says which format.</param>
    /// <param name="width">The length of a vector, at least 1.</param>
    /// <param name="metadata">String pairs for the header; a <c>.npy</c> has no place for them.</param>
    /// <param name="fill">Adds the rows.</param>
    /// <exception cref="UserErrorException">The extension is another, or the file cannot be written.</exception>
    public static void Write(string path, int width, IReadOnlyDictionary<string, string> metadata, Action<EmbeddingFile> fill)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        ArgumentNullException.ThrowIfNull(fill);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        if (!IsKnown(path))
        {
            throw new UserErrorException($"'{path}' is neither a .safetensors nor a .npy file", "give one of these extensions");
        }

        bool isNumPy = Path.GetExtension(path) == ".npy";
        AtomicFile.Write(path, stream =>
        {
            EmbeddingFile file = new(stream, width);
            long most = long.MaxValue / sizeof(float) / width;
            int reserved = isNumPy ? NumPyHeaderBytes : (SafetensorsHeaderOf(width, most, metadata).Length + sizeof(ulong) + 7) / 8 * 8;
            stream.SetLength(reserved);
            stream.Position = reserved;
            fill(file);
            stream.Position = 0;
            stream.Write(isNumPy ? NumPyHeaderOf(width, file.Rows) : Padded(SafetensorsHeaderOf(width, file.Rows, metadata), reserved));
        });
    }

    /// <summary>Adds rows.</summary>
    /// <param name="rows">A multiple of <see cref="Width"/> values, row-major.</param>
    /// <exception cref="ArgumentException">The number of values is another.</exception>
    public void Add(ReadOnlySpan<float> rows)
    {
        if (rows.Length % Width != 0)
        {
            throw new ArgumentException($"{rows.Length} values are no whole rows of {Width}.", nameof(rows));
        }

        _stream.Write(MemoryMarshal.AsBytes(rows));
        Rows += rows.Length / Width;
    }

    private static byte[] SafetensorsHeaderOf(int width, long rows, IReadOnlyDictionary<string, string> metadata)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach ((string key, string value) in metadata.OrderBy(p => p.Key, StringComparer.Ordinal))
            {
                json.WriteString(key, value);
            }

            json.WriteEndObject();
            json.WriteStartObject("embeddings");
            json.WriteString("dtype", SafetensorsDType.F32.HeaderName());
            json.WriteStartArray("shape");
            json.WriteNumberValue(rows);
            json.WriteNumberValue(width);
            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(0);
            json.WriteNumberValue(rows * width * sizeof(float));
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static byte[] Padded(byte[] header, int reserved)
    {
        byte[] bytes = new byte[reserved];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)(reserved - sizeof(ulong)));
        header.CopyTo(bytes, sizeof(ulong));
        bytes.AsSpan(sizeof(ulong) + header.Length).Fill((byte)' ');
        return bytes;
    }

    // NumPy's format, version 1.0: the dictionary is padded with spaces and ends with a line feed.
    private static byte[] NumPyHeaderOf(int width, long rows)
    {
        byte[] bytes = new byte[NumPyHeaderBytes];
        ReadOnlySpan<byte> magic = [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0];
        magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), NumPyHeaderBytes - 10);
        bytes.AsSpan(10).Fill((byte)' ');
        Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"), bytes.AsSpan(10));
        bytes[^1] = (byte)'\n';
        return bytes;
    }
}
