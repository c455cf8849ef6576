using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>A device that the cases of an operation run on; one subclass a backend, used as a class fixture.</summary>
public abstract class Backend : IDisposable
{
    private readonly List<Tensor> _tensors = [];
    private int _askewIn = -1;
    private bool _askewByAnElement;

    public abstract Device Device { get; }

    /// <summary>A tensor of given values, rounded to the element type, between two guard bands (see <see cref="CheckGuards"/>).</summary>
    public Tensor Upload(DType dtype, Shape shape, ReadOnlySpan<float> values)
    {
        Tensor tensor = Guarded(dtype, shape);
        if (dtype == DType.Float32)
        {
            tensor.CopyFrom(values);
        }
        else
        {
            BFloat16[] rounded = new BFloat16[values.Length];
            for (int i = 0; i < rounded.Length; i++)
            {
                rounded[i] = BFloat16.FromSingle(values[i]);
            }

            tensor.CopyFrom<BFloat16>(rounded);
        }

        return tensor;
    }

    /// <summary>A tensor of int32 values between guard bands.</summary>
    public Tensor Upload(Shape shape, ReadOnlySpan<int> values)
    {
        Tensor tensor = Guarded(DType.Int32, shape);
        tensor.CopyFrom(values);
        return tensor;
    }

    /// <summary>A tensor filled with NaN (0xFF bytes), between guard bands: what an operation must overwrite.</summary>
    public Tensor Poisoned(DType dtype, Shape shape)
    {
        Tensor tensor = Guarded(dtype, shape);
        OnPoisoned(tensor);
        return tensor;
    }

    /// <summary>Lets a device that knows what was written forget that the tensor holds anything.</summary>
    protected virtual void OnPoisoned(in Tensor tensor)
    {
    }

    /// <summary>
    /// Runs a case twice for each of its tensors, that one lying an element, then 8 bytes, off the boundary of 16 bytes that the others
    /// begin at, as a view into a packed buffer may.
    /// </summary>
    public void WithEachTensorAskew(Action run)
    {
        foreach (bool byAnElement in (bool[])[true, false])
        {
            _askewByAnElement = byAnElement;
            int i = 0;
            do
            {
                _askewIn = i++;
                run();
            }
            while (_askewIn < 0);

            // The case has made no tensor more than that.
            Assert.NotEqual(1, i);
            _askewIn = -1;
        }
    }

    /// <summary>The values of a tensor as floats.</summary>
    public float[] Download(in Tensor tensor)
    {
        Device.Synchronize();
        return tensor.DType == DType.Float32
            ? tensor.ToArray<float>()
            : Array.ConvertAll(tensor.ToArray<BFloat16>(), v => v.ToSingle());
    }

    /// <summary>Fails where an operation has written outside of a tensor of this backend.</summary>
    public void CheckGuards()
    {
        Device.Synchronize();
        foreach (Tensor tensor in _tensors)
        {
            long end = tensor.ByteOffset + tensor.ByteCount;
            Tensor before = new(tensor.Memory, 0, DType.UInt8, new Shape((int)tensor.ByteOffset));
            Tensor after = new(tensor.Memory, end, DType.UInt8, new Shape((int)(tensor.Memory.ByteCount - end)));
            Assert.Equal(-1, before.ToArray<byte>().AsSpan().IndexOfAnyExcept((byte)0xFF));
            Assert.Equal(-1, after.ToArray<byte>().AsSpan().IndexOfAnyExcept((byte)0xFF));
        }
    }

    public virtual void Dispose()
    {
        DisposeTensors();
        Device.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives back what was made so far.</summary>
    protected void DisposeTensors()
    {
        foreach (Tensor tensor in _tensors)
        {
            tensor.Memory.Dispose();
        }

        _tensors.Clear();
    }

    private const int GuardBytes = 256;

    private Tensor Guarded(DType dtype, Shape shape)
    {
        // The rear guard begins with the byte behind the tensor, so that a tail written too far is seen at once.
        int askew = _askewIn != 0 ? 0 : _askewByAnElement ? dtype.ByteSize() : 8;
        _askewIn = Math.Max(_askewIn - 1, -1);
        long byteCount = askew + (shape.Count * dtype.ByteSize());
        long padded = (byteCount + 63) / 64 * 64;
        DeviceMemory memory = Device.Allocate(padded + (2 * GuardBytes));
        byte[] poison = new byte[memory.ByteCount];
        Array.Fill(poison, (byte)0xFF);
        new Tensor(memory, 0, DType.UInt8, new Shape(poison.Length)).CopyFrom<byte>(poison);
        Tensor tensor = new(memory, GuardBytes + askew, dtype, shape);
        _tensors.Add(tensor);
        return tensor;
    }
}

/// <summary>The processor, with as many threads as it has or as a test asks for.</summary>
public sealed class CpuBackend : Backend
{
    public CpuBackend() => Device = new CpuDevice();

    internal CpuBackend(int threadCount) => Device = new CpuDevice(threadCount);

    public override Device Device { get; }
}
