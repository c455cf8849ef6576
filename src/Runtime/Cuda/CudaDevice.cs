using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Cuda;

/// <summary>
/// A CUDA device, real or emulated, as a device of tensors. All work goes in order through one stream; copies from page-locked memory
/// may go through a second one beside it. A call allocates nothing on the managed heap once its kernel was loaded.
/// </summary>
public sealed unsafe partial class CudaDevice : Device
{
    [ThreadStatic]
    private static CudaDevice? s_current;

    private readonly int _ordinal;
    private readonly nint _context;
    private readonly string _name;
    private readonly Dictionary<(Assembly, string), CudaModule> _modules = [];
    private readonly Dictionary<string, CudaKernel> _kernels = new(StringComparer.Ordinal);
    private readonly List<CudaMemory> _retired = [];
    private readonly Stack<CudaOperationMark> _marks = [];
    private CudaMemory? _scratch;
    private int _graphCount;
    private bool _isPlan;
    private MatMulEngine _matMulEngine;

    /// <summary>Opens a device through a driver.</summary>
    /// <param name="driver">The driver; disposed with the device where it is disposable.</param>
    /// <param name="cublas">cuBLAS, or null where there is none.</param>
    /// <param name="ordinal">The device's number.</param>
    /// <param name="name">The name that run records show.</param>
    /// <param name="poolsMemory">Whether freed memory is kept; see <see cref="CudaMemoryPool"/>.</param>
    /// <exception cref="CudaException">A call of the driver failed.</exception>
    public CudaDevice(ICudaDriver driver, ICublas? cublas, int ordinal, string name, bool poolsMemory)
    {
        ArgumentNullException.ThrowIfNull(driver);
        Driver = driver;
        Cublas = cublas;
        _ordinal = ordinal;
        _name = name;
        CudaException.ThrowIfFailed(driver.Init(), driver);
        CudaException.ThrowIfFailed(driver.DriverGetVersion(out int version), driver);
        CudaException.ThrowIfFailed(driver.DeviceGet(out int device, ordinal), driver);
        DriverVersion = version;
        Handle = device;
        byte* text = stackalloc byte[256];
        CudaException.ThrowIfFailed(driver.DeviceGetName(text, 256, device), driver);
        Model = System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)text) ?? string.Empty;
        CudaException.ThrowIfFailed(driver.DeviceTotalMem(out nuint memory, device), driver);
        MemoryByteCount = (long)memory;
        ComputeCapability = (10 * Attribute(CuDeviceAttribute.ComputeCapabilityMajor)) + Attribute(CuDeviceAttribute.ComputeCapabilityMinor);
        if (ComputeCapability < 80)
        {
            throw new NotSupportedException(string.Create(
                CultureInfo.InvariantCulture, $"{Model} has compute capability {ComputeCapability / 10}.{ComputeCapability % 10}; the kernels need 8.0 or later. Use --device cpu."));
        }

        MultiprocessorCount = Attribute(CuDeviceAttribute.MultiprocessorCount);
        MaxSharedByteCount = Attribute(CuDeviceAttribute.MaxSharedMemoryPerBlockOptin);
        MaxGridRows = Attribute(CuDeviceAttribute.MaxGridDimY);
        CudaException.ThrowIfFailed(driver.DevicePrimaryCtxRetain(out _context, device), driver);
        Pool = new CudaMemoryPool(this, poolsMemory);
        IsOpen = true;
        MakeCurrent();
        Stream = new CudaStream(this);
        CopyStream = new CudaStream(this);
        _matMulEngine = cublas is null || driver is EmulatedDriver ? MatMulEngine.Own : MatMulEngine.Cublas;
    }

    /// <inheritdoc/>
    public override DeviceKind Kind => DeviceKind.Cuda;

    /// <inheritdoc/>
    public override string Name => _name;

    /// <inheritdoc/>
    public override bool IsPlan => _isPlan;

    /// <inheritdoc/>
    /// <remarks>Rounded up as the pool takes it; what the pool keeps to hand out again is not in it, and is given back before memory runs out.</remarks>
    public override long AllocatedByteCount => Pool.LiveByteCount;

    /// <inheritdoc/>
    public override long PeakByteCount => Pool.PeakByteCount;

    /// <summary>Bytes of <see cref="AllocatedByteCount"/> that operations keep to work in: <see cref="Scratch"/>, and cuBLAS's workspace.</summary>
    public long WorkingByteCount => (_scratch?.ByteCount ?? 0) + _retired.Sum(m => m.ByteCount) + (_blasWorkspace?.ByteCount ?? 0);

    /// <summary>The driver.</summary>
    public ICudaDriver Driver { get; }

    /// <summary>cuBLAS, or null where it was not found; then matrix products go through our own kernels.</summary>
    public ICublas? Cublas { get; }

    /// <summary>
    /// What multiplies matrices: at first cuBLAS where it was found, else, and on the emulated device, our own kernels. Where a captured
    /// graph reads the number of rows from the device (<see cref="LiveRows"/>), cuBLAS multiplies as many as there is room for.
    /// </summary>
    /// <exception cref="NotSupportedException">cuBLAS is asked for and was not found.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The value is not one of the enumeration's.</exception>
    public MatMulEngine MatMulEngine
    {
        get => _matMulEngine;
        set
        {
            if (!Enum.IsDefined(value))
            {
                throw new ArgumentOutOfRangeException(nameof(value), value, "Not an engine of matrix products.");
            }

            if (value == MatMulEngine.Cublas && Cublas is null)
            {
                throw new NotSupportedException($"{Name} has no cuBLAS: install the CUDA toolkit's cuBLAS library, or use our own kernels (matmul=own in a run's configuration).");
            }

            _matMulEngine = value;
        }
    }

    /// <summary>The emulated device behind this one, or null for a real one.</summary>
    public EmulatedDriver? Emulation => Driver as EmulatedDriver;

    /// <summary>The driver's CUDA version: 12040 for 12.4.</summary>
    public int DriverVersion { get; }

    /// <summary>The GPU's name.</summary>
    public string Model { get; }

    /// <summary>Ten times the compute capability: 80 for 8.0.</summary>
    public int ComputeCapability { get; }

    /// <summary>Multiprocessors.</summary>
    public int MultiprocessorCount { get; }

    /// <summary>The most shared memory that a block may ask for, in bytes.</summary>
    public int MaxSharedByteCount { get; }

    /// <summary>The most blocks that a grid may have along y: 65535 on the GPUs there are.</summary>
    public int MaxGridRows { get; }

    /// <summary>The device's memory in bytes.</summary>
    public long MemoryByteCount { get; }

    /// <summary>Bytes of it that can be taken at present: other programs, and the driver itself, take some.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public long AvailableByteCount
    {
        get
        {
            MakeCurrent();
            CudaException.ThrowIfFailed(Driver.MemGetInfo(out nuint free, out _), Driver);
            return (long)free + Pool.ReservedByteCount - Pool.LiveByteCount;
        }
    }

    /// <summary>Where tensors' memory comes from.</summary>
    public CudaMemoryPool Pool { get; }

    /// <summary>The stream that operations are issued to.</summary>
    public CudaStream Stream { get; }

    /// <summary>A stream for copies that overlap with computation; see <see cref="CudaUploads"/>.</summary>
    public CudaStream CopyStream { get; }

    /// <summary>Called at <see cref="Device.Dispose()"/> when memory was not given back, with a report.</summary>
    public Action<string>? LeakReporter { get; set; }

    internal int Handle { get; }

    internal bool IsOpen { get; private set; }

    /// <summary>An attribute of the device.</summary>
    /// <param name="attribute">Which.</param>
    /// <returns>Its value.</returns>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public int Attribute(CuDeviceAttribute attribute)
    {
        CudaException.ThrowIfFailed(Driver.DeviceGetAttribute(out int value, attribute, Handle), Driver);
        return value;
    }

    /// <summary>A kernel out of the PTX that an assembly carries; the module is loaded when its first kernel is used.</summary>
    /// <param name="assembly">The assembly with the resource <c>{stem}.ptx</c>.</param>
    /// <param name="stem">The stem of the operation's files.</param>
    /// <param name="name">The kernel's name, unique among all modules.</param>
    /// <returns>The kernel.</returns>
    /// <exception cref="CudaException">The driver refuses the module or has no such kernel in it.</exception>
    /// <exception cref="InvalidOperationException">The assembly carries no such PTX.</exception>
    public CudaKernel Kernel(Assembly assembly, string stem, string name)
    {
        if (_kernels.TryGetValue(name, out CudaKernel? kernel))
        {
            return kernel;
        }

        if (!_modules.TryGetValue((assembly, stem), out CudaModule? module))
        {
            using Stream resource = assembly.GetManifestResourceStream($"{stem}.ptx")
                ?? throw new InvalidOperationException($"{assembly.GetName().Name} carries no {stem}.ptx.");
            using StreamReader reader = new(resource);
            _modules[(assembly, stem)] = module = LoadModule(stem, reader.ReadToEnd());
        }

        return _kernels[name] = module.Kernel(name);
    }

    /// <summary>Loads a module of PTX text; the caller disposes it.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="ptx">The text.</param>
    /// <returns>The module.</returns>
    /// <exception cref="CudaException">The driver refuses the text.</exception>
    public CudaModule LoadModule(string name, string ptx) => new(this, name, ptx);

    /// <summary>Launches a kernel on <see cref="Stream"/>. A grid without blocks is no work.</summary>
    /// <param name="kernel">A kernel of this device.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads a block.</param>
    /// <param name="arguments">As many as the kernel has parameters, of their sizes.</param>
    /// <param name="sharedByteCount">Dynamic shared memory a block in bytes.</param>
    /// <exception cref="ArgumentException">The arguments do not fit the parameters, or the kernel belongs to another device.</exception>
    /// <exception cref="CudaException">The driver refuses the launch, or an earlier one has failed.</exception>
    public void Launch(CudaKernel kernel, Dim3 grid, Dim3 block, ref KernelArguments arguments, int sharedByteCount = 0) =>
        Launch(Stream, kernel, grid, block, ref arguments, sharedByteCount);

    /// <summary>Launches a kernel on a stream. A grid without blocks is no work.</summary>
    /// <param name="stream">A stream of this device.</param>
    /// <param name="kernel">A kernel of this device.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads a block.</param>
    /// <param name="arguments">As many as the kernel has parameters, of their sizes.</param>
    /// <param name="sharedByteCount">Dynamic shared memory a block in bytes.</param>
    /// <exception cref="ArgumentException">The arguments do not fit the parameters, or the kernel belongs to another device.</exception>
    /// <exception cref="CudaException">The driver refuses the launch, or an earlier one has failed.</exception>
    [SkipLocalsInit]
    public void Launch(CudaStream stream, CudaKernel kernel, Dim3 grid, Dim3 block, ref KernelArguments arguments, int sharedByteCount = 0)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(kernel);
        if (!ReferenceEquals(kernel.Device, this))
        {
            throw new ArgumentException($"{kernel.Name} is loaded on {kernel.Device.Name}, not on {Name}.", nameof(kernel));
        }

        arguments.CheckAgainst(kernel);
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0)
        {
            return;
        }

        MakeCurrent();
        if (sharedByteCount > kernel.AllowedDynamicSharedByteCount)
        {
            CudaException.ThrowIfFailed(Driver.FuncSetAttribute(kernel.Function, CuFunctionAttribute.MaxDynamicSharedByteCount, sharedByteCount), Driver);
            kernel.AllowedDynamicSharedByteCount = sharedByteCount;
        }

        void** parameters = stackalloc void*[KernelArguments.MaxCount];
        arguments.Point(parameters);
        CudaException.ThrowIfFailed(
            Driver.LaunchKernel(
                kernel.Function, grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z, (uint)sharedByteCount, stream.Handle, parameters, null),
            Driver,
            kernel.Name);
    }

    /// <summary>
    /// Working memory of the operation that is issued, kept from one to the next and grown when needed. Its content is undefined; one
    /// operation takes it once and cuts it up itself.
    /// </summary>
    /// <param name="byteCount">How much is needed.</param>
    /// <returns>An address of the device, aligned to 256 bytes; 0 for 0 bytes.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much left.</exception>
    public nint Scratch(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        if (byteCount == 0)
        {
            return 0;
        }

        if (_scratch is null || _scratch.ByteCount < byteCount)
        {
            // A captured graph goes on using the address that it has seen.
            if (_scratch is not null && _graphCount > 0)
            {
                _retired.Add(_scratch);
            }
            else
            {
                _scratch?.Dispose();
            }

            _scratch = null;
            _scratch = Take(byteCount);
        }

        // What the last operation left there must not be taken for this one's.
        Emulation?.ForgetContent(Stream.Handle, (ulong)_scratch.Address, _scratch.ByteCount);
        return _scratch.Address;
    }

    /// <summary>Makes the context current on the calling thread.</summary>
    internal void MakeCurrent()
    {
        if (!ReferenceEquals(s_current, this))
        {
            CudaException.ThrowIfFailed(Driver.CtxSetCurrent(_context), Driver);
            s_current = this;
        }
    }

    /// <summary>How often <see cref="Synchronize"/> has come back: what was issued to <see cref="Stream"/> before is done.</summary>
    internal long SynchronizationCount { get; private set; }

    internal void GraphCreated() => _graphCount++;

    internal override OperationMark? Mark()
    {
        CudaOperationMark mark = _marks.Count > 0 ? _marks.Pop() : new CudaOperationMark(this);
        mark.Record();
        return mark;
    }

    internal void GiveBack(CudaOperationMark mark) => _marks.Push(mark);

    /// <inheritdoc/>
    public override void Synchronize()
    {
        MakeCurrent();
        CudaException.ThrowIfFailed(Driver.StreamSynchronize(Stream.Handle), Driver);
        SynchronizationCount++;
        StagingIsFree();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing || !IsOpen)
        {
            return;
        }

        _scratch?.Dispose();
        _scratch = null;
        foreach (CudaMemory memory in _retired)
        {
            memory.Dispose();
        }

        while (_marks.Count > 0)
        {
            _marks.Pop().Dispose();
        }

        DisposeStaging();
        foreach (CudaModule module in _modules.Values)
        {
            module.Dispose();
        }

        if (_blas != 0)
        {
            Cublas?.Destroy(_blas);
            _blas = 0;
        }

        _blasWorkspace?.Dispose();
        Stream.Dispose();
        CopyStream.Dispose();
        if (Pool.LeakReport() is { } report)
        {
            LeakReporter?.Invoke(report);
        }

        Pool.Trim();
        IsOpen = false;
        s_current = null;
        Driver.DevicePrimaryCtxRelease(Handle);
        (Driver as IDisposable)?.Dispose();
    }
}
