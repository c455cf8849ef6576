using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace CrossAlign.Cli;

/// <summary>Writes JSON values one by one: letters of all scripts as they are, numbers independent of the culture.</summary>
internal sealed class JsonLine : IDisposable
{
    private readonly ArrayBufferWriter<byte> _bytes = new();
    private readonly Utf8JsonWriter _json;

    public JsonLine()
    {
        _json = new Utf8JsonWriter(_bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    }

    /// <summary>One value.</summary>
    /// <param name="write">Writes it.</param>
    /// <returns>Its bytes without an end of line, valid until the next call.</returns>
    public ReadOnlySpan<byte> Utf8(Action<Utf8JsonWriter> write)
    {
        _bytes.ResetWrittenCount();
        _json.Reset();
        write(_json);
        _json.Flush();
        return _bytes.WrittenSpan;
    }

    /// <summary>One value as text.</summary>
    /// <param name="write">Writes it.</param>
    public string Text(Action<Utf8JsonWriter> write) => Encoding.UTF8.GetString(Utf8(write));

    public void Dispose() => _json.Dispose();
}
