using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>
/// Collects tensors and writes them as one safetensors file. The bytes depend on names, values and metadata alone: tensors are
/// laid down by falling element size, then by name (the order of the format's own library), metadata by key. The file appears under
/// its name when it is complete, never before.
/// </summary>
public sealed class SafetensorsWriter
{
    private const int ChunkFloats = 1 << 18;

    private readonly SortedDictionary<string, string> _metadata = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Item> _items = new(StringComparer.Ordinal);

    /// <summary>Adds a pair to <c>__metadata__</c>, replacing one of that key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The text.</param>
    /// <returns>This writer.</returns>
    public SafetensorsWriter WithMetadata(string key, string value)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        _metadata[key] = value;
        return this;
    }

    /// <summary>Adds a tensor of a device; it is read when the file is written and must not change before.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="tensor">float32, bfloat16, int32 or uint8.</param>
    /// <exception cref="ArgumentException">The name is taken or the tensor is absent.</exception>
    public void Add(string name, in Tensor tensor)
    {
        if (!tensor.IsPresent)
        {
            throw new ArgumentException($"The tensor '{name}' is absent.", nameof(tensor));
        }

        SafetensorsDType dtype = tensor.DType switch
        {
            DType.Float32 => SafetensorsDType.F32,
            DType.BFloat16 => SafetensorsDType.BF16,
            DType.Int32 => SafetensorsDType.I32,
            _ => SafetensorsDType.U8,
        };
        long[] shape = new long[tensor.Shape.Rank];
        for (int i = 0; i < shape.Length; i++)
        {
            shape[i] = tensor.Shape[i];
        }

        Tensor held = tensor;
        Add(name, new Item(dtype, shape, tensor.ByteCount, stream => WriteTensor(held, stream)));
    }

    /// <summary>Adds float32 values.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="values">Row-major; read when the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or the number of values is not the product of the extents.</exception>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<float> values) => AddValues(name, SafetensorsDType.F32, shape, values);

    /// <summary>Adds float64 values.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="values">Row-major; read when the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or the number of values is not the product of the extents.</exception>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<double> values) => AddValues(name, SafetensorsDType.F64, shape, values);

    /// <summary>Adds 64-bit whole numbers.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="values">Row-major; read when the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or the number of values is not the product of the extents.</exception>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<long> values) => AddValues(name, SafetensorsDType.I64, shape, values);

    /// <summary>Adds 32-bit whole numbers.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="values">Row-major; read when the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or the number of values is not the product of the extents.</exception>
    public void Add(string name, ReadOnlySpan<long> shape, ReadOnlyMemory<int> values) => AddValues(name, SafetensorsDType.I32, shape, values);

    /// <summary>Adds elements as they stand in a file: what another checkpoint holds, carried over unchanged.</summary>
    /// <param name="name">Its name, not given before.</param>
    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="bytes">Little-endian elements, row-major; read when the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or the number of bytes does not fit the extents.</exception>
    public void AddRaw(string name, SafetensorsDType dtype, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> bytes)
    {
        if (Product(shape) * dtype.ByteSize() != bytes.Length)
        {
            throw new ArgumentException($"The values of '{name}' do not fill its shape.", nameof(bytes));
        }

        Add(name, new Item(dtype, shape.ToArray(), bytes.Length, stream => stream.Write(bytes.Span)));
    }

    /// <summary>Writes the file: to a temporary name in the same folder, then renamed.</summary>
    /// <param name="path">Where; a file that is there is replaced.</param>
    /// <exception cref="UserErrorException">The file cannot be written; nothing is left behind.</exception>
    public void Save(string path) => AtomicFile.Write(path, Write);

    /// <summary>Writes the content of the file to a stream.</summary>
    /// <param name="stream">Where to.</param>
    public void Write(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        List<KeyValuePair<string, Item>> ordered = [.. _items];
        ordered.Sort((a, b) => a.Value.DType.ByteSize() != b.Value.DType.ByteSize()
            ? b.Value.DType.ByteSize().CompareTo(a.Value.DType.ByteSize())
            : string.CompareOrdinal(a.Key, b.Key));

        ArrayBufferWriter<byte> header = new();
        using (Utf8JsonWriter json = new(header, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            WriteHeader(json, ordered);
        }

        // The data begins at a multiple of 8, so that 64-bit elements can be read in place.
        int padding = -header.WrittenCount & 7;
        Span<byte> prefix = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)(header.WrittenCount + padding));
        stream.Write(prefix);
        stream.Write(header.WrittenSpan);
        stream.Write("        "u8[..padding]);
        foreach ((_, Item item) in ordered)
        {
            item.Write(stream);
        }
    }

    private void WriteHeader(Utf8JsonWriter json, List<KeyValuePair<string, Item>> ordered)
    {
        json.WriteStartObject();
        if (_metadata.Count > 0)
        {
            json.WriteStartObject("__metadata__");
            foreach ((string key, string value) in _metadata)
            {
                json.WriteString(key, value);
            }

            json.WriteEndObject();
        }

        long offset = 0;
        foreach ((string name, Item item) in ordered)
        {
            json.WriteStartObject(name);
            json.WriteString("dtype", item.DType.HeaderName());
            json.WriteStartArray("shape");
            foreach (long extent in item.Shape)
            {
                json.WriteNumberValue(extent);
            }

            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(offset);
            json.WriteNumberValue(offset + item.ByteCount);
            json.WriteEndArray();
            json.WriteEndObject();
            offset += item.ByteCount;
        }

        json.WriteEndObject();
    }

    private void AddValues<T>(string name, SafetensorsDType dtype, ReadOnlySpan<long> shape, ReadOnlyMemory<T> values)
        where T : unmanaged
    {
        if (Product(shape) != values.Length)
        {
            throw new ArgumentException($"The values of '{name}' do not fill its shape.", nameof(values));
        }

        Add(name, new Item(dtype, shape.ToArray(), (long)values.Length * dtype.ByteSize(), stream =>
        {
            ReadOnlySpan<T> rest = values.Span;
            while (rest.Length > 0)
            {
                int count = Math.Min(rest.Length, ChunkFloats);
                stream.Write(MemoryMarshal.AsBytes(rest[..count]));
                rest = rest[count..];
            }
        }));
    }

    private void Add(string name, Item item)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name == "__metadata__" || !_items.TryAdd(name, item))
        {
            throw new ArgumentException($"The name '{name}' is taken.", nameof(name));
        }
    }

    private static void WriteTensor(in Tensor tensor, Stream stream)
    {
        byte[] chunk = ArrayPool<byte>.Shared.Rent((int)Math.Min(tensor.ByteCount, ChunkFloats * sizeof(float)));
        try
        {
            for (long start = 0; start < tensor.ByteCount; start += chunk.Length)
            {
                int count = (int)Math.Min(chunk.Length, tensor.ByteCount - start);
                Tensor part = new(tensor.Memory, tensor.ByteOffset + start, DType.UInt8, new Shape(count));
                tensor.Device.CopyToHost(part, chunk.AsSpan(0, count));
                stream.Write(chunk, 0, count);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    private static long Product(ReadOnlySpan<long> shape)
    {
        long product = 1;
        foreach (long extent in shape)
        {
            product = checked(product * extent);
        }

        return product;
    }

    private sealed record Item(SafetensorsDType DType, long[] Shape, long ByteCount, Action<Stream> Write);
}
