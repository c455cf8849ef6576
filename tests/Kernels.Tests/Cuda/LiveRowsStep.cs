using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>
/// Operations one behind the other over tensors of a capacity, of whose rows as many count as the device's memory says. The rows behind
/// hold what no operation may read or write: NaN in inputs, numbers out of range in indices, a mark in outputs.
/// </summary>
internal abstract class LiveRowsStep(CudaDevice device)
{
    public const float Untouched = 7;

    /// <summary>Outputs that have a row for each one that counts.</summary>
    public abstract IReadOnlyList<Tensor> Rows { get; }

    /// <summary>Outputs that are sums over the rows that count.</summary>
    public abstract IReadOnlyList<Tensor> Gradients { get; }

    protected CudaDevice Device { get; } = device;

    public static float[] Read(in Tensor tensor) => tensor.DType switch
    {
        DType.Float32 => tensor.ToArray<float>(),
        DType.BFloat16 => Array.ConvertAll(tensor.ToArray<BFloat16>(), v => v.ToSingle()),
        _ => Array.ConvertAll(tensor.ToArray<int>(), v => (float)v),
    };

    /// <summary>Lays inputs into the first rows and poison into the others.</summary>
    public void Fill(int rows)
    {
        foreach (Tensor tensor in Rows)
        {
            Write(tensor, Enumerable.Repeat(Untouched, (int)tensor.Count));
        }

        foreach (Tensor gradient in Gradients)
        {
            Device.Zero(gradient);
        }

        FillInputs(rows);
    }

    public abstract void Step();

    protected abstract void FillInputs(int rows);

    protected Tensor New(DType dtype, Shape shape, LiveRows? live = null) => Device.NewTensor(dtype, shape).WithLiveRows(live);

    /// <summary>Normally distributed numbers in the first rows, NaN behind them.</summary>
    protected static void Draw(in Tensor tensor, uint seed, int rows)
    {
        long live = tensor.Count / tensor.Shape[0] * rows;
        Write(tensor, [.. TestData.Normal(tensor.DType, live, seed), .. Enumerable.Repeat(float.NaN, (int)(tensor.Count - live))]);
    }

    protected static void Write(in Tensor tensor, IEnumerable<float> values)
    {
        if (tensor.DType == DType.Float32)
        {
            tensor.CopyFrom<float>([.. values]);
        }
        else
        {
            tensor.CopyFrom<BFloat16>([.. values.Select(BFloat16.FromSingle)]);
        }
    }

    /// <summary>Indices in the first rows, such as lie outside of every table behind them.</summary>
    protected static void Write(in Tensor tensor, IEnumerable<int> live)
    {
        int[] values = [.. live];
        tensor.CopyFrom<int>([.. values, .. Enumerable.Repeat(int.MaxValue, (int)tensor.Count - values.Length)]);
    }
}
