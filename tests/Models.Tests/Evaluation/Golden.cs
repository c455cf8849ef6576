using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using CrossAlign.Models.Evaluation;

namespace CrossAlign.Models.Tests.Evaluation;

/// <summary>Reads golden values: a minimal safetensors reader of its own, so that a test does not rest on the code it is to check.</summary>
internal sealed class Golden
{
    private readonly byte[] _bytes;
    private readonly JsonElement _header;
    private readonly int _start;

    private Golden(byte[] bytes)
    {
        _bytes = bytes;
        int headerLength = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        _start = 8 + headerLength;
        _header = JsonDocument.Parse(bytes.AsMemory(8, headerLength)).RootElement;
    }

    public IEnumerable<string> Names => _header.EnumerateObject().Select(p => p.Name).Where(n => n != "__metadata__");

    public static Golden Open(string path) => new(File.ReadAllBytes(FullPath(path)));

    public static JsonElement Json(string path) => JsonDocument.Parse(File.ReadAllBytes(FullPath(path))).RootElement;

    public int[] Shape(string name) => [.. _header.GetProperty(name).GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())];

    public float[] Floats(string name) => Cast<float>(name, "F32");

    public double[] Doubles(string name) => Cast<double>(name, "F64");

    public int[] Ints(string name) => Cast<int>(name, "I32");

    public long[] Longs(string name) => Cast<long>(name, "I64");

    public EmbeddingMatrix Matrix(string name) => new(Floats(name), Shape(name)[0], Shape(name)[1]);

    public static void Close(double expected, double actual, double relative, string what) =>
        Assert.True(
            Math.Abs(actual - expected) <= relative * Math.Max(Math.Abs(expected), 1e-12),
            $"{what}: expected {expected:R}, got {actual:R}, relative error {Math.Abs(actual - expected) / Math.Abs(expected):G3}");

    private static string FullPath(string path) => Path.Combine(AppContext.BaseDirectory, "fixtures", path);

    private T[] Cast<T>(string name, string dtype)
        where T : unmanaged
    {
        JsonElement entry = _header.GetProperty(name);
        Assert.Equal(dtype, entry.GetProperty("dtype").GetString());
        JsonElement offsets = entry.GetProperty("data_offsets");
        int from = _start + offsets[0].GetInt32();
        return MemoryMarshal.Cast<byte, T>(_bytes.AsSpan(from, _start + offsets[1].GetInt32() - from)).ToArray();
    }
}
