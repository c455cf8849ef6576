namespace CrossAlign.Runtime.Cuda;

/// <summary>A kernel of a loaded module; belongs to one device.</summary>
public sealed class CudaKernel
{
    private readonly byte[] _parameterSizes;

    internal CudaKernel(CudaDevice device, string name, nint function, byte[] parameterSizes)
    {
        Device = device;
        Name = name;
        Function = function;
        _parameterSizes = parameterSizes;
    }

    /// <summary>The device that it is loaded on.</summary>
    public CudaDevice Device { get; }

    /// <summary>Its name in the PTX.</summary>
    public string Name { get; }

    /// <summary>The sizes of its parameters in bytes, as the PTX declares them.</summary>
    public ReadOnlySpan<byte> ParameterSizes => _parameterSizes;

    internal nint Function { get; }

    internal int AllowedDynamicSharedByteCount { get; set; } = 48 * 1024;

    /// <summary>An attribute of the kernel, as the driver's compiler made it.</summary>
    /// <param name="attribute">Which.</param>
    /// <returns>Its value.</returns>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public int Attribute(CuFunctionAttribute attribute)
    {
        Device.MakeCurrent();
        CudaException.ThrowIfFailed(Device.Driver.FuncGetAttribute(out int value, attribute, Function), Device.Driver);
        return value;
    }

    /// <summary>How many blocks of it fit a multiprocessor at once.</summary>
    /// <param name="threadsPerBlock">Threads a block.</param>
    /// <param name="sharedByteCount">Dynamic shared memory a block in bytes.</param>
    /// <returns>The number.</returns>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public int MaxResidentBlocks(int threadsPerBlock, int sharedByteCount = 0)
    {
        Device.MakeCurrent();
        CudaException.ThrowIfFailed(
            Device.Driver.OccupancyMaxActiveBlocksPerMultiprocessor(out int blocks, Function, threadsPerBlock, (nuint)sharedByteCount), Device.Driver);
        return blocks;
    }
}
