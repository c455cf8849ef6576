using System.Runtime.InteropServices;
using System.Text;

namespace CrossAlign.Runtime.Cuda;

/// <summary>A loaded PTX module: the kernels of one operation.</summary>
public sealed unsafe class CudaModule : SafeHandle
{
    private readonly CudaDevice _device;
    private readonly Dictionary<string, CudaKernel> _kernels = new(StringComparer.Ordinal);
    private readonly string _text;

    internal CudaModule(CudaDevice device, string name, string ptx)
        : base(0, ownsHandle: true)
    {
        _device = device;
        _text = ptx;
        Name = name;
        device.MakeCurrent();

        // The driver reads up to a NUL.
        byte[] image = Encoding.UTF8.GetBytes(ptx + "\0");
        fixed (byte* p = image)
        {
            CudaException.ThrowIfFailed(device.Driver.ModuleLoadData(out nint module, p), device.Driver);
            SetHandle(module);
        }
    }

    /// <summary>The stem of the operation's files.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>A kernel of the module; looked up once.</summary>
    /// <param name="name">Its name in the PTX.</param>
    /// <returns>The kernel.</returns>
    /// <exception cref="CudaException">There is none of that name.</exception>
    public CudaKernel Kernel(string name)
    {
        if (_kernels.TryGetValue(name, out CudaKernel? kernel))
        {
            return kernel;
        }

        byte[] bytes = Encoding.UTF8.GetBytes(name + "\0");
        fixed (byte* p = bytes)
        {
            _device.MakeCurrent();
            CudaException.ThrowIfFailed(_device.Driver.ModuleGetFunction(out nint function, handle, p), _device.Driver, $"ModuleGetFunction {Name}.{name}");
            kernel = new CudaKernel(_device, name, function, Signature(name));
        }

        _kernels[name] = kernel;
        return kernel;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        if (_device.IsOpen)
        {
            _device.Driver.ModuleUnload(handle);
        }

        return true;
    }

    // The parameters as the PTX declares them: ".param .u64 name" each.
    private byte[] Signature(string kernel)
    {
        int start = _text.IndexOf($".entry {kernel}(", StringComparison.Ordinal);
        if (start < 0)
        {
            return [];
        }

        string list = _text[start.._text.IndexOf(')', start)];
        List<byte> sizes = [];
        for (int at = list.IndexOf(".param", StringComparison.Ordinal); at >= 0; at = list.IndexOf(".param", at + 1, StringComparison.Ordinal))
        {
            string type = list[(at + 6)..].TrimStart();
            sizes.Add(type.AsSpan(2, 2) switch { "64" => 8, "32" => 4, "16" => 2, _ => 1 });
        }

        return [.. sizes];
    }
}
