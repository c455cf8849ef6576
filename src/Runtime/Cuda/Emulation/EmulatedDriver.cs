using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// A CUDA driver with one emulated device, which executes PTX under the four checks of a device sanitizer. It cannot show real time,
/// latency, caches, registers after the driver's compiler, nor the exact bits of approximate instructions.
/// </summary>
public sealed unsafe partial class EmulatedDriver : ICudaDriver, IDisposable
{
    private const int DriverVersion = 12040;
    private const nint ContextHandle = 0xC0;

    private static readonly ConcurrentDictionary<string, (int Target, PtxKernel[] Kernels)> s_modules = new(StringComparer.Ordinal);

    private readonly Lock _lock = new();
    private readonly DeviceHeap _heap;
    private readonly Dictionary<nint, object> _handles = [];
    private readonly Dictionary<string, KernelCounters> _counters = new(StringComparer.Ordinal);
    private readonly Dictionary<CuResult, nint> _errorNames = [];
    private CounterRandom _random;
    private nint _nextHandle = 0x1000;
    private CuResult _sticky;
    private string? _errorDetail;
    private int _launchNumber;
    private long _launches;
    private long _graphLaunches;
    private long _synchronizations;
    private long _hostToDevice;
    private long _deviceToHost;
    private double _clockMs;

    /// <summary>Makes the device.</summary>
    /// <param name="options">Which and how.</param>
    public EmulatedDriver(EmulationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Personality = Personality.Of(options.ComputeCapability);
        _heap = new DeviceHeap(options.MemoryByteCount);
        _random = new CounterRandom(options.Seed, 0x57AE, 0);
        _handles[0] = new StreamQueue();
    }

    /// <summary>How the device behaves.</summary>
    public EmulationOptions Options { get; }

    /// <summary>The device's limits.</summary>
    public Personality Personality { get; }

    /// <inheritdoc/>
    public string? ErrorDetail => _errorDetail;

    /// <summary>What failed last: the kind of check, or null.</summary>
    public FaultKind? LastFault { get; private set; }

    /// <summary>The steps taken so far.</summary>
    public DeviceAudit Audit => new(_launches, _graphLaunches, _synchronizations, _heap.AllocationCount, _hostToDevice, _deviceToHost, _heap.UsedByteCount, _heap.PeakByteCount);

    /// <summary>What was counted, by the kernel's name, since the last <see cref="ResetCounters"/>; work that is still queued is done first.</summary>
    /// <returns>A copy of the table.</returns>
    public IReadOnlyDictionary<string, KernelCounters> ReadCounters()
    {
        lock (_lock)
        {
            DrainAll();
            return new Dictionary<string, KernelCounters>(_counters, StringComparer.Ordinal);
        }
    }

    /// <summary>The registers that are alive at once at the fullest place of each loaded kernel's PTX, by the kernel's name; see <see cref="LiveRegisters"/>.</summary>
    /// <returns>Numbers of 32-bit registers: an estimate of what the driver's compiler of a GPU will need.</returns>
    public IReadOnlyDictionary<string, int> ReadLiveRegisters()
    {
        lock (_lock)
        {
            Dictionary<string, int> counts = new(StringComparer.Ordinal);
            foreach (PtxKernel kernel in _handles.Values.OfType<PtxKernel[]>().SelectMany(k => k))
            {
                counts[kernel.Name] = kernel.LiveRegisters.Value[kernel.Name];
            }

            return counts;
        }
    }

    /// <summary>Starts counting anew.</summary>
    public void ResetCounters()
    {
        lock (_lock)
        {
            DrainAll();
            _counters.Clear();
        }
    }

    /// <summary>Declares bytes as never written, so that a kernel that reads them fails: for tests, and for memory that is used again.</summary>
    /// <param name="address">Where they start.</param>
    /// <param name="byteCount">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">They are not in one live allocation.</exception>
    public void MarkUninitialised(nint address, long byteCount)
    {
        lock (_lock)
        {
            DrainAll();
            Allocation allocation = _heap.Find((ulong)address, byteCount) ?? throw new ArgumentOutOfRangeException(nameof(address));
            allocation.MarkUninitialised((long)((ulong)address - allocation.Address), byteCount);
        }
    }

    /// <inheritdoc/>
    public CuResult Init() => CuResult.Success;

    /// <inheritdoc/>
    public CuResult DriverGetVersion(out int version)
    {
        version = DriverVersion;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetCount(out int count)
    {
        count = 1;
        return CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult DeviceGet(out int device, int ordinal)
    {
        device = 0;
        return ordinal == 0 ? CuResult.Success : CuResult.InvalidDevice;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetName(byte* name, int byteCount, int device)
    {
        Span<byte> destination = new(name, byteCount);
        destination.Clear();
        Encoding.ASCII.TryGetBytes(Personality.Name, destination[..^1], out _);
        return device == 0 ? CuResult.Success : CuResult.InvalidDevice;
    }

    /// <inheritdoc/>
    public CuResult DeviceTotalMem(out nuint byteCount, int device)
    {
        byteCount = (nuint)_heap.CapacityByteCount;
        return device == 0 ? CuResult.Success : CuResult.InvalidDevice;
    }

    /// <inheritdoc/>
    public CuResult DeviceGetAttribute(out int value, CuDeviceAttribute attribute, int device)
    {
        value = attribute switch
        {
            CuDeviceAttribute.MaxGridDimY => Options.MaxGridRows,
            CuDeviceAttribute.MaxSharedMemoryPerBlock => Personality.DefaultSharedPerBlock,
            CuDeviceAttribute.ClockRate => 1_000_000,
            CuDeviceAttribute.MultiprocessorCount => Personality.MultiprocessorCount,
            CuDeviceAttribute.MaxThreadsPerMultiprocessor => Personality.MaxThreadsPerMultiprocessor,
            CuDeviceAttribute.ComputeCapabilityMajor => Personality.ComputeCapability / 10,
            CuDeviceAttribute.ComputeCapabilityMinor => Personality.ComputeCapability % 10,
            CuDeviceAttribute.MaxSharedMemoryPerMultiprocessor => Personality.SharedPerMultiprocessor,
            CuDeviceAttribute.MaxSharedMemoryPerBlockOptin => Personality.SharedPerBlock,
            CuDeviceAttribute.MaxBlocksPerMultiprocessor => Personality.MaxBlocksPerMultiprocessor,
            _ => -1,
        };
        return device != 0 ? CuResult.InvalidDevice : value < 0 ? CuResult.InvalidValue : CuResult.Success;
    }

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRetain(out nint context, int device)
    {
        context = ContextHandle;
        return device == 0 ? CuResult.Success : CuResult.InvalidDevice;
    }

    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxRelease(int device) => device == 0 ? CuResult.Success : CuResult.InvalidDevice;

    /// <summary>Frees everything and forgets a sticky error, as the driver does.</summary>
    /// <inheritdoc/>
    public CuResult DevicePrimaryCtxReset(int device)
    {
        lock (_lock)
        {
            foreach (Allocation allocation in _heap.Live)
            {
                _heap.Free(allocation.Address);
            }

            _handles.Clear();
            _handles[0] = new StreamQueue();
            _sticky = CuResult.Success;
            _errorDetail = null;
            LastFault = null;
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult CtxSetCurrent(nint context) => context is ContextHandle or 0 ? CuResult.Success : CuResult.InvalidContext;

    /// <inheritdoc/>
    public CuResult ModuleLoadData(out nint module, byte* image)
    {
        module = 0;
        string text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(image));
        try
        {
            (int target, PtxKernel[] kernels) = s_modules.GetOrAdd(text, static (t, capability) => PtxLoader.Load(t, capability), Personality.ComputeCapability);
            PtxLoader.RequireTarget(target, Personality.ComputeCapability);
            lock (_lock)
            {
                return Guard() ?? Add(kernels, out module);
            }
        }
        catch (PtxException e)
        {
            return Fail(e.Line == 0 ? CuResult.UnsupportedPtxVersion : e.Line < 0 ? CuResult.NoBinaryForGpu : CuResult.InvalidPtx, e.Message);
        }
#pragma warning disable CA1031 // a driver answers whatever it is given with a result, and this one may be called from native code
        catch (Exception e)
#pragma warning restore CA1031
        {
            return Fail(CuResult.InvalidPtx, $"the module is not understood: {e.GetType().Name}: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public CuResult ModuleUnload(nint module)
    {
        lock (_lock)
        {
            return _handles.Remove(module) ? CuResult.Success : CuResult.InvalidHandle;
        }
    }

    /// <inheritdoc/>
    public CuResult ModuleGetFunction(out nint function, nint module, byte* name)
    {
        function = 0;
        string wanted = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        lock (_lock)
        {
            if (!TryGet(module, out PtxKernel[]? kernels))
            {
                return CuResult.InvalidHandle;
            }

            PtxKernel? kernel = Array.Find(kernels, k => k.Name == wanted);
            return kernel is null ? CuResult.NotFound : Add(new EmulatedFunction(kernel), out function);
        }
    }

    /// <inheritdoc/>
    public CuResult FuncSetAttribute(nint function, CuFunctionAttribute attribute, int value)
    {
        lock (_lock)
        {
            if (!TryGet(function, out EmulatedFunction? f))
            {
                return CuResult.InvalidHandle;
            }

            if (attribute != CuFunctionAttribute.MaxDynamicSharedByteCount || value < 0 || value + f.Kernel.StaticSharedByteCount > Personality.SharedPerBlock)
            {
                return Fail(CuResult.InvalidValue, string.Create(
                    CultureInfo.InvariantCulture, $"{f.Kernel.Name} asks for {value} bytes of shared memory; a block of this device has at most {Personality.SharedPerBlock}"));
            }

            f.MaxDynamicShared = value;
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult FuncGetAttribute(out int value, CuFunctionAttribute attribute, nint function)
    {
        value = 0;
        lock (_lock)
        {
            if (!TryGet(function, out EmulatedFunction? f))
            {
                return CuResult.InvalidHandle;
            }

            value = attribute switch
            {
                CuFunctionAttribute.MaxThreadsPerBlock => f.Kernel.MaxThreads == 0 ? 1024 : f.Kernel.MaxThreads,
                CuFunctionAttribute.SharedByteCount => f.Kernel.StaticSharedByteCount,
                CuFunctionAttribute.MaxDynamicSharedByteCount => f.MaxDynamicShared,
                CuFunctionAttribute.LocalByteCount => 0,

                // What the PTX keeps alive at once; the driver's compiler of a GPU has other numbers.
                CuFunctionAttribute.RegisterCount => f.Kernel.LiveRegisters.Value[f.Kernel.Name],
                _ => 0,
            };
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult OccupancyMaxActiveBlocksPerMultiprocessor(out int blockCount, nint function, int threadsPerBlock, nuint dynamicSharedByteCount)
    {
        blockCount = 0;
        lock (_lock)
        {
            if (!TryGet(function, out EmulatedFunction? f) || threadsPerBlock <= 0)
            {
                return CuResult.InvalidValue;
            }

            blockCount = Personality.MaxResidentBlocks(threadsPerBlock, f.Kernel.StaticSharedByteCount + (int)dynamicSharedByteCount);
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public CuResult GetErrorName(CuResult error, out byte* name)
    {
        lock (_lock)
        {
            if (!_errorNames.TryGetValue(error, out nint text))
            {
                string snake = string.Concat(error.ToString().Select((c, i) => i > 0 && char.IsUpper(c) ? $"_{c}" : $"{char.ToUpperInvariant(c)}"));
                _errorNames[error] = text = Marshal.StringToCoTaskMemUTF8($"CUDA_{(error == CuResult.Success ? string.Empty : "ERROR_")}{snake}");
            }

            name = (byte*)text;
            return CuResult.Success;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Finalizers of memory that nobody disposed may be in the middle of a call, on a thread of their own; behind this they find nothing.
        lock (_lock)
        {
            _handles.Clear();
            _heap.Dispose();
            foreach (nint text in _errorNames.Values)
            {
                Marshal.FreeCoTaskMem(text);
            }

            _errorNames.Clear();
            FreePinned();
        }
    }

    private CuResult? Guard() => _sticky == CuResult.Success ? null : _sticky;

    private CuResult Fail(CuResult result, string? detail = null)
    {
        if (_sticky == CuResult.Success)
        {
            _errorDetail = detail;
        }

        return result;
    }

    private CuResult Add(object value, out nint handle)
    {
        handle = _nextHandle += 16;
        _handles[handle] = value;
        return CuResult.Success;
    }

    private bool TryGet<T>(nint handle, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out T? value)
        where T : class
    {
        value = _handles.TryGetValue(handle, out object? found) ? found as T : null;
        return value is not null;
    }

    private sealed class EmulatedFunction(PtxKernel kernel)
    {
        public PtxKernel Kernel { get; } = kernel;

        public int MaxDynamicShared { get; set; } = Personality.DefaultSharedPerBlock;
    }
}
