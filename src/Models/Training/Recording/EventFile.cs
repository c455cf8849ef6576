using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using Google.Protobuf;

namespace CrossAlign.Models.Training.Recording;

/// <summary>
/// A TensorBoard event file: length-prefixed records with masked CRC-32C sums, each an <c>Event</c> message.
/// </summary>
/// <remarks>Source: TensorFlow's <c>tfrecord</c> format and <c>event.proto</c> (wall_time 1, step 2, file_version 3, summary 5;
/// <c>Summary.value</c> 1 with tag 1 and simple_value 2).</remarks>
public sealed class EventFile : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _clock;

    /// <summary>Starts a file with a name of its own, as TensorBoard expects: <c>events.out.tfevents.&lt;seconds&gt;.crossalign.&lt;process&gt;</c>.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="clock">Where wall times come from.</param>
    /// <exception cref="UserErrorException">The file cannot be made.</exception>
    public EventFile(string folder, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        _clock = clock;
        string name = string.Create(
            CultureInfo.InvariantCulture,
            $"events.out.tfevents.{clock.GetUtcNow().ToUnixTimeSeconds():D10}.crossalign.{Environment.ProcessId}");
        try
        {
            _file = new FileStream(Path.Combine(folder, name), FileMode.Append, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{folder}' cannot be written: {e.Message}", "free some space or choose another --out", e);
        }

        WriteRecord(Event(0, output =>
        {
            output.WriteTag(3, WireFormat.WireType.LengthDelimited);
            output.WriteString("brain.Event:2");
        }));
    }

    /// <summary>Adds one value of a curve.</summary>
    /// <param name="tag">The curve's name, <c>train/loss</c> say.</param>
    /// <param name="step">The step.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void Add(string tag, int step, double value)
    {
        byte[] entry = Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.LengthDelimited);
            output.WriteString(tag);
            output.WriteTag(2, WireFormat.WireType.Fixed32);
            output.WriteFloat((float)value);
        });
        byte[] summary = Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.LengthDelimited);
            output.WriteBytes(ByteString.CopyFrom(entry));
        });
        WriteRecord(Event(step, output =>
        {
            output.WriteTag(5, WireFormat.WireType.LengthDelimited);
            output.WriteBytes(ByteString.CopyFrom(summary));
        }));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using MemoryStream stream = new();
        using (CodedOutputStream output = new(stream, leaveOpen: true))
        {
            write(output);
        }

        return stream.ToArray();
    }

    private static uint MaskedCrc32C(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }

    private byte[] Event(int step, Action<CodedOutputStream> body) => Message(output =>
    {
        output.WriteTag(1, WireFormat.WireType.Fixed64);
        output.WriteDouble(_clock.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        output.WriteTag(2, WireFormat.WireType.Varint);
        output.WriteInt64(step);
        body(output);
    });

    private void WriteRecord(byte[] data)
    {
        Span<byte> header = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], MaskedCrc32C(header[..8]));
        Span<byte> footer = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(footer, MaskedCrc32C(data));
        try
        {
            _file.Write(header);
            _file.Write(data);
            _file.Write(footer);
            _file.Flush();
        }
        catch (IOException e)
        {
            throw new UserErrorException($"'{_file.Name}' cannot be written: {e.Message}", "free some space and resume the run", e);
        }
    }
}
