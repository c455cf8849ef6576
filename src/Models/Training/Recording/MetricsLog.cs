using System.Text;
using System.Text.Json;

namespace CrossAlign.Models.Training.Recording;

/// <summary>
/// <c>metrics.jsonl</c>: a JSON object a line, one for each step and each evaluation, every one with its <c>step</c>. Lines are
/// flushed as they are written; resuming cuts the file back to the checkpoint's step.
/// </summary>
public sealed class MetricsLog : IDisposable
{
    private readonly FileStream _file;
    private readonly MemoryStream _line = new(1024);
    private readonly Utf8JsonWriter _writer;

    /// <summary>What is kept of a damaged log beside the new one.</summary>
    public const string DamagedSuffix = ".damaged";

    /// <summary>Opens the log, and removes what was written after a step.</summary>
    /// <param name="path">The file; made where it is missing.</param>
    /// <param name="keepThroughStep">Lines of later steps are removed: 0 for a new run.</param>
    /// <exception cref="UserErrorException">The file cannot be opened or written.</exception>
    public MetricsLog(string path, int keepThroughStep)
    {
        try
        {
            LastKeptStep = File.Exists(path) ? Cut(path, keepThroughStep) : 0;

            _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{path}' cannot be written: {e.Message}", "free some space or choose another --out", e);
        }

        _writer = new Utf8JsonWriter(_line);
    }

    /// <summary>The step of the last line that was kept; 0 for none. Below the step asked for, the log was damaged: what it held is kept beside it.</summary>
    public int LastKeptStep { get; }

    /// <summary>Appends a line.</summary>
    /// <param name="write">Writes the members of the line's object.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void Append(Action<Utf8JsonWriter> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        _line.SetLength(0);
        _writer.Reset(_line);
        _writer.WriteStartObject();
        write(_writer);
        _writer.WriteEndObject();
        _writer.Flush();
        _line.WriteByte((byte)'\n');
        try
        {
            _file.Write(_line.GetBuffer(), 0, (int)_line.Length);
            _file.Flush();
        }
        catch (IOException e)
        {
            throw new UserErrorException($"'{_file.Name}' cannot be written: {e.Message}", "free some space and resume the run", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _writer.Dispose();
        _line.Dispose();
        _file.Dispose();
    }

    private static int Cut(string path, int keepThroughStep)
    {
        List<string> kept = [];
        int last = 0;
        foreach (string line in File.ReadLines(path))
        {
            // A line that was being written when the run was killed is not JSON: it and all after it go.
            if (!TryReadStep(line, out int step) || step > keepThroughStep)
            {
                break;
            }

            kept.Add(line);
            last = step;
        }

        if (last < keepThroughStep)
        {
            File.Copy(path, path + DamagedSuffix, overwrite: true);
        }

        AtomicFile.Write(path, stream =>
        {
            using StreamWriter writer = new(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
            kept.ForEach(writer.WriteLine);
        });
        return last;
    }

    private static bool TryReadStep(string line, out int step)
    {
        step = 0;
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.TryGetProperty("step", out JsonElement value) && value.TryGetInt32(out step);
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
