using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using CrossAlign.Runtime;
using Microsoft.Win32.SafeHandles;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// A safetensors file, mapped into memory. The header is checked in full when the file is opened, and every read is bounded by
/// the mapping, so a truncated or hostile file gives an error and never a read out of bounds. Reading is safe from several threads.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int ChunkBytes = 1 << 20;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Dictionary<string, SafetensorsEntry> _byName;

    private SafetensorsFile(
        string path, MemoryMappedFile file, MemoryMappedViewAccessor view, List<SafetensorsEntry> entries, Dictionary<string, string> metadata)
    {
        Path = path;
        _file = file;
        _view = view;
        Entries = entries;
        Metadata = metadata;
        _byName = entries.ToDictionary(e => e.Name, StringComparer.Ordinal);
    }

    /// <summary>Where the file lies.</summary>
    public string Path { get; }

    /// <summary>The tensors, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>The string pairs under <c>__metadata__</c>; empty where there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Maps a file and checks its header.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The open file, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The file cannot be read or is not a sound safetensors file; the message says why.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FileStream? stream = null;
        MemoryMappedFile? file = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
            long byteCount = stream.Length;
            Span<byte> prefix = stackalloc byte[sizeof(ulong)];
            if (byteCount < prefix.Length || stream.ReadAtLeast(prefix, prefix.Length, throwOnEndOfStream: false) < prefix.Length)
            {
                throw SafetensorsHeader.Bad(path, string.Create(CultureInfo.InvariantCulture, $"it has only {byteCount} bytes"));
            }

            ulong headerByteCount = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (headerByteCount > SafetensorsHeader.MaxByteCount || (long)headerByteCount > byteCount - prefix.Length)
            {
                throw SafetensorsHeader.Bad(
                    path,
                    string.Create(CultureInfo.InvariantCulture, $"it announces a header of {headerByteCount} bytes and has {byteCount} in all (is it truncated, or another format?)"));
            }

            byte[] header = new byte[headerByteCount];
            stream.ReadExactly(header);
            long dataStart = prefix.Length + header.Length;
            List<SafetensorsEntry> entries = SafetensorsHeader.Parse(path, header, dataStart, byteCount, out Dictionary<string, string> metadata);

            file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            stream = null;
            view = file.CreateViewAccessor(0, byteCount, MemoryMappedFileAccess.Read);
            return new SafetensorsFile(path, file, view, entries, metadata);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            view?.Dispose();
            file?.Dispose();
            stream?.Dispose();
            throw new UserErrorException($"'{path}' could not be read: {e.Message}", "check the path and its permissions", e);
        }
        catch
        {
            stream?.Dispose();
            throw;
        }
    }

    /// <summary>Whether a tensor is there.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>True when it is there.</returns>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>What the header says of a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="entry">The entry, or null.</param>
    /// <returns>False where there is no such tensor.</returns>
    public bool TryGetEntry(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out SafetensorsEntry? entry) => _byName.TryGetValue(name, out entry);

    /// <summary>What the header says of a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The entry.</returns>
    /// <exception cref="UserErrorException">There is no such tensor.</exception>
    public SafetensorsEntry Entry(string name) => _byName.TryGetValue(name, out SafetensorsEntry? entry)
        ? entry
        : throw new UserErrorException($"'{Path}' has no tensor '{name}'", $"it has {Entries.Count.ToString(CultureInfo.InvariantCulture)} others; check that it is the file meant");

    /// <summary>Reads a floating-point tensor as float32: F16 and BF16 are widened exactly, F64 is rounded.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public float[] ReadSingles(string name)
    {
        float[] values = new float[Entry(name).Count];
        ReadSingles(name, values);
        return values;
    }

    /// <summary>Reads a floating-point tensor as float32: F16 and BF16 are widened exactly, F64 is rounded.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">As many floats as the tensor has elements; overwritten.</param>
    /// <exception cref="ArgumentException">The length of <paramref name="destination"/> is another.</exception>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public void ReadSingles(string name, Span<float> destination)
    {
        SafetensorsEntry entry = FloatingEntry(name);
        CheckLength(entry, destination.Length);
        ReadSingles(entry, 0, destination);
    }

    /// <summary>Reads a floating-point tensor into a float32 tensor of a device.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">A float32 tensor with as many elements; overwritten. The shapes are the caller's to compare.</param>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is not float32 or has another number of elements.</exception>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public void ReadSingles(string name, in Tensor destination)
    {
        SafetensorsEntry entry = FloatingEntry(name);
        CheckLength(entry, destination.Count);
        if (destination.DType != DType.Float32)
        {
            throw new ArgumentException($"The destination of '{name}' is {destination}; it must be Float32.", nameof(destination));
        }

        if (destination.Device.IsPlan)
        {
            return;
        }

        float[] chunk = ArrayPool<float>.Shared.Rent(ChunkBytes / sizeof(float));
        try
        {
            for (long start = 0; start < entry.Count; start += chunk.Length)
            {
                int count = (int)Math.Min(chunk.Length, entry.Count - start);
                ReadSingles(entry, start, chunk.AsSpan(0, count));
                new Tensor(destination.Memory, destination.ByteOffset + (start * sizeof(float)), DType.Float32, new Shape(count))
                    .CopyFrom<float>(chunk.AsSpan(0, count));
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(chunk);
        }
    }

    /// <summary>Reads a floating-point tensor as float64, exactly.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public double[] ReadDoubles(string name)
    {
        SafetensorsEntry entry = FloatingEntry(name);
        if (entry.DType != SafetensorsDType.F64)
        {
            return Array.ConvertAll(ReadSingles(name), v => (double)v);
        }

        double[] values = new double[entry.Count];
        Handle.ReadSpan<double>((ulong)entry.ByteOffset, values);
        return values;
    }

    /// <summary>Reads a tensor of whole numbers or truth values, of any width, as 64-bit numbers.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor, it is one of floating-point numbers, or a number does not fit.</exception>
    public long[] ReadInt64s(string name)
    {
        SafetensorsEntry entry = Entry(name);
        long[] values = new long[entry.Count];
        switch (entry.DType)
        {
            case SafetensorsDType.I64:
                Handle.ReadSpan<long>((ulong)entry.ByteOffset, values);
                break;
            case SafetensorsDType.U64:
                Widen<ulong>(entry, values, v => v <= long.MaxValue ? (long)v : throw TooLarge(entry));
                break;
            case SafetensorsDType.I32:
                Widen<int>(entry, values, v => v);
                break;
            case SafetensorsDType.U32:
                Widen<uint>(entry, values, v => v);
                break;
            case SafetensorsDType.I16:
                Widen<short>(entry, values, v => v);
                break;
            case SafetensorsDType.U16:
                Widen<ushort>(entry, values, v => v);
                break;
            case SafetensorsDType.I8:
                Widen<sbyte>(entry, values, v => v);
                break;
            case SafetensorsDType.U8 or SafetensorsDType.Bool:
                Widen<byte>(entry, values, v => v);
                break;
            default:
                throw new UserErrorException($"'{Path}': '{name}' is {entry.DType.HeaderName()}; whole numbers are needed", "check that it is the tensor meant");
        }

        return values;
    }

    /// <summary>Reads a tensor of whole numbers as 32-bit numbers: token ids, masks, indices.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor, it is one of floating-point numbers, or a number does not fit.</exception>
    public int[] ReadInt32s(string name) => Array.ConvertAll(
        ReadInt64s(name), v => v is >= int.MinValue and <= int.MaxValue ? (int)v : throw TooLarge(Entry(name)));

    /// <summary>Reads the bytes of a tensor as they stand in the file.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Little-endian elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor.</exception>
    public byte[] ReadBytes(string name)
    {
        SafetensorsEntry entry = Entry(name);
        byte[] bytes = new byte[entry.ByteCount];
        Handle.ReadSpan<byte>((ulong)entry.ByteOffset, bytes);
        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    private SafeMemoryMappedViewHandle Handle => _view.SafeMemoryMappedViewHandle;

    private void ReadSingles(SafetensorsEntry entry, long start, Span<float> destination)
    {
        ulong offset = (ulong)(entry.ByteOffset + (start * entry.DType.ByteSize()));
        switch (entry.DType)
        {
            case SafetensorsDType.F32:
                Handle.ReadSpan(offset, destination);
                break;
            case SafetensorsDType.F16:
                Convert<Half>(offset, destination, v => (float)v);
                break;
            case SafetensorsDType.BF16:
                Convert<ushort>(offset, destination, v => new BFloat16(v).ToSingle());
                break;
            default:
                Convert<double>(offset, destination, v => (float)v);
                break;
        }
    }

    private void Convert<T>(ulong offset, Span<float> destination, Func<T, float> widen)
        where T : unmanaged
    {
        int size = Marshal.SizeOf<T>();
        T[] chunk = ArrayPool<T>.Shared.Rent(Math.Min(destination.Length, ChunkBytes / size));
        try
        {
            while (destination.Length > 0)
            {
                Span<T> part = chunk.AsSpan(0, Math.Min(chunk.Length, destination.Length));
                Handle.ReadSpan(offset, part);
                for (int i = 0; i < part.Length; i++)
                {
                    destination[i] = widen(part[i]);
                }

                offset += (ulong)(part.Length * size);
                destination = destination[part.Length..];
            }
        }
        finally
        {
            ArrayPool<T>.Shared.Return(chunk);
        }
    }

    private void Widen<T>(SafetensorsEntry entry, long[] destination, Func<T, long> widen)
        where T : unmanaged
    {
        T[] narrow = new T[entry.Count];
        Handle.ReadSpan<T>((ulong)entry.ByteOffset, narrow);
        for (int i = 0; i < narrow.Length; i++)
        {
            destination[i] = widen(narrow[i]);
        }
    }

    private SafetensorsEntry FloatingEntry(string name)
    {
        SafetensorsEntry entry = Entry(name);
        return entry.DType.IsFloating()
            ? entry
            : throw new UserErrorException($"'{Path}': '{name}' is {entry.DType.HeaderName()}; floating-point numbers are needed", "check that it is the tensor meant");
    }

    private UserErrorException TooLarge(SafetensorsEntry entry) => new($"'{Path}': '{entry.Name}' holds a number that is too large", "check that it is the tensor meant");

    private static void CheckLength(SafetensorsEntry entry, long count)
    {
        if (entry.Count != count)
        {
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"'{entry}' has {entry.Count} elements, the destination {count}."));
        }
    }
}
