using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>The tensors of one golden file (safetensors: 8 bytes of header length, a JSON header, the data).</summary>
public sealed class GoldenTensors
{
    private readonly byte[] _data;
    private readonly Dictionary<string, (string DType, int Start, int End)> _tensors = [];

    public GoldenTensors(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int headerLength = checked((int)BinaryPrimitives.ReadInt64LittleEndian(file));
        _data = file[(8 + headerLength)..];
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        foreach (JsonProperty tensor in header.RootElement.EnumerateObject())
        {
            if (tensor.Name != "__metadata__")
            {
                JsonElement offsets = tensor.Value.GetProperty("data_offsets");
                _tensors.Add(tensor.Name, (tensor.Value.GetProperty("dtype").GetString()!, offsets[0].GetInt32(), offsets[1].GetInt32()));
            }
        }
    }

    public static string PathOf(params ReadOnlySpan<string> parts) => Path.Combine([AppContext.BaseDirectory, "fixtures", .. parts]);

    public bool Contains(string name) => _tensors.ContainsKey(name);

    public float[] Floats(string name) => Read<float>(name, "F32");

    /// <summary>Float64 or float32 values.</summary>
    public double[] Doubles(string name) =>
        _tensors[name].DType == "F64" ? Read<double>(name, "F64") : Array.ConvertAll(Read<float>(name, "F32"), v => (double)v);

    public int[] Ints(string name) => Array.ConvertAll(Read<long>(name, "I64"), v => checked((int)v));

    private T[] Read<T>(string name, string dtype)
        where T : unmanaged
    {
        (string actual, int start, int end) = _tensors[name];
        Assert.Equal(dtype, actual);
        return MemoryMarshal.Cast<byte, T>(_data.AsSpan(start, end - start)).ToArray();
    }
}
