using CrossAlign.Models.Checkpoints;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Operations;

/// <summary>Tensors of a file on a device, given back together.</summary>
internal sealed class InputTensors(SafetensorsFile file, Device device) : IDisposable
{
    private readonly List<DeviceMemory> _taken = [];

    public static long[] ShapeOf(in Tensor tensor)
    {
        long[] shape = new long[tensor.Shape.Rank];
        for (int i = 0; i < shape.Length; i++)
        {
            shape[i] = tensor.Shape[i];
        }

        return shape;
    }

    public bool Has(string name) => file.Contains(name);

    /// <summary>A float32 matrix.</summary>
    public Tensor Matrix(string name)
    {
        SafetensorsEntry entry = file.Entry(name);
        return entry.Shape is [> 0 and <= int.MaxValue, > 0 and <= int.MaxValue]
            ? Fill(name, Zeros(new Shape((int)entry.Shape[0], (int)entry.Shape[1])))
            : throw new UserErrorException($"'{file.Path}': '{name}' is {entry.ShapeText}; it must be a matrix with at least one row", "give a row a vector");
    }

    /// <summary>One float32.</summary>
    public Tensor Scalar(string name)
    {
        SafetensorsEntry entry = file.Entry(name);
        return entry.Count == 1
            ? Fill(name, Zeros(new Shape(1)))
            : throw new UserErrorException($"'{file.Path}': '{name}' is {entry.ShapeText}; it must be one number", "give the shape [1]");
    }

    /// <summary>A float32 vector.</summary>
    public Tensor Singles(string name) => Fill(name, Zeros(new Shape(LengthOf(name))));

    /// <summary>A tensor of any shape as one float32 vector.</summary>
    public Tensor Flat(string name) => Fill(name, Zeros(new Shape(checked((int)file.Entry(name).Count))));

    /// <summary>An int32 vector.</summary>
    public Tensor Int32s(string name)
    {
        Tensor tensor = Take(DType.Int32, new Shape(LengthOf(name)));
        tensor.CopyFrom<int>(file.ReadInt32s(name));
        return tensor;
    }

    /// <summary>A float32 tensor of zeros.</summary>
    public Tensor Zeros(Shape shape) => Take(DType.Float32, shape);

    public void Dispose() => _taken.ForEach(m => m.Dispose());

    private int LengthOf(string name)
    {
        SafetensorsEntry entry = file.Entry(name);
        return entry.Shape is [> 0 and <= int.MaxValue]
            ? (int)entry.Shape[0]
            : throw new UserErrorException($"'{file.Path}': '{name}' is {entry.ShapeText}; it must be a vector", "give one number a row");
    }

    private Tensor Fill(string name, in Tensor tensor)
    {
        file.ReadSingles(name, tensor);
        return tensor;
    }

    private Tensor Take(DType dtype, Shape shape)
    {
        Tensor tensor = device.NewTensor(dtype, shape);
        _taken.Add(tensor.Memory);
        return tensor;
    }
}
