using BenchmarkDotNet.Attributes;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>What the benchmarks of operations share: the processor with all of its threads, and seeded tensors.</summary>
[MemoryDiagnoser]
public abstract class OperationBenchmarks : IDisposable
{
    private readonly List<DeviceMemory> _memories = [];

    /// <summary>The processor.</summary>
    protected CpuDevice Device { get; } = new();

    /// <summary>Gives back the tensors and stops the threads.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives back what a suite has; the only clean-up that BenchmarkDotNet allows a suite is <see cref="Dispose()"/>.</summary>
    /// <param name="disposing">True when called from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (DeviceMemory memory in _memories)
            {
                memory.Dispose();
            }

            Device.Dispose();
        }
    }

    /// <summary>A float32 tensor of normally distributed numbers.</summary>
    /// <param name="shape">Extents.</param>
    /// <param name="scale">Their deviation.</param>
    /// <returns>The tensor.</returns>
    protected Tensor Normal(Shape shape, float scale = 1)
    {
        Tensor tensor = Take(DType.Float32, shape);
        CounterRandom random = new(1, 0xBE4C, (uint)_memories.Count);
        foreach (ref float value in tensor.AsSpan<float>())
        {
            value = scale * random.NextNormal();
        }

        return tensor;
    }

    /// <summary>An int32 tensor.</summary>
    /// <param name="values">Its content.</param>
    /// <returns>The tensor.</returns>
    protected Tensor Whole(int[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        Tensor tensor = Take(DType.Int32, new Shape(values.Length));
        tensor.CopyFrom<int>(values);
        return tensor;
    }

    /// <summary>Fails where an operation that is to be timed has not written finite numbers.</summary>
    /// <param name="result">A result of the operation.</param>
    /// <exception cref="InvalidOperationException">A number is not finite, or all are zero.</exception>
    protected static void CheckFinite(in Tensor result)
    {
        bool any = false;
        foreach (float value in result.AsSpan<float>())
        {
            any |= value != 0;
            if (!float.IsFinite(value))
            {
                throw new InvalidOperationException("The operation gave a number that is not finite.");
            }
        }

        if (!any)
        {
            throw new InvalidOperationException("The operation wrote nothing.");
        }
    }

    private Tensor Take(DType dtype, Shape shape)
    {
        DeviceMemory memory = Device.Allocate(shape.Count * dtype.ByteSize());
        _memories.Add(memory);
        return new Tensor(memory, 0, dtype, shape);
    }
}
