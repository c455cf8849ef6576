using System.Globalization;
using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Models.Data;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Native;

namespace CrossAlign.Models.Diagnostics;

/// <summary>Finds out what a machine has for this program, measures it, and says what is missing and what to do about it.</summary>
public static class MachineExamination
{
    private const string CublasRemedy =
        "none needed: the matrix product of our own runs; else install cuBLAS 12 or 13 (CUDA toolkit, or the package libcublas-12-8) or name its library in " + CudaLibraries.CublasVariable;

    /// <summary>Examines the machine.</summary>
    /// <param name="options">What to look at.</param>
    /// <param name="progress">Told what is looked at; may be null.</param>
    /// <param name="cancellation">Stops between two steps.</param>
    /// <returns>The report.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="options"/> is null.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static MachineReport Examine(MachineExaminationOptions options, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<Absence> absences = [];
        progress?.Report("measuring the processor");
        ProcessorReport processor = ExamineProcessor(options);
        AddMissingTiers(processor, absences);
        cancellation.ThrowIfCancellationRequested();

        List<CudaDeviceReport> devices = [];
        if (CudaDevice.UnavailableReason is { } reason)
        {
            absences.Add(new Absence("a CUDA GPU (everything runs on the processor without one)", reason, CudaRemedy(reason)));
        }

        for (int i = 0; i < CudaDevice.DeviceCount; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            string name = string.Create(CultureInfo.InvariantCulture, $"cuda:{i}");
            progress?.Report($"measuring {name}");
            AddDevice(name, options, devices, absences);
        }

        if (options.EmulatedDevice is { } emulated)
        {
            AddDevice(emulated, options, devices, absences);
        }

        LibraryReport cublas = ExamineCublas(devices.Exists(d => !d.Emulated), absences);
        OperationReport[] operations = [.. KernelCatalog.Operations.Select(o => new OperationReport(o.Operation, true, o.HasCuda, o.CudaKernels))];
        string[] missing = [.. operations.Where(o => !o.Cuda).Select(o => o.Name)];
        if (missing.Length > 0)
        {
            absences.Add(new Absence(
                $"the CUDA backend of {string.Join(", ", missing)}", "it is not written yet; on a CUDA device the operation is refused by name", "use --device cpu for what needs it"));
        }

        progress?.Report("looking for programs");
        ToolReport[] tools = [.. ExamineTools(options, absences)];
        string folder = CacheFolder.Resolve(options.Cache);
        return new MachineReport(
            ProgramVersion.Number,
            ProgramVersion.Commit,
            RuntimeInformation.OSDescription,
            RuntimeInformation.FrameworkDescription,
            folder,
            FreeSpace(folder),
            processor,
            CudaBinding.Current.Name,
            new LibraryReport(CudaBinding.Current.DriverError is null, CudaLibraries.DriverSource, devices.Find(d => !d.Emulated)?.DriverVersion),
            cublas,
            cublas.Found ? "cuBLAS" : "own",
            devices,
            operations,
            tools,
            absences);
    }

    private static ProcessorReport ExamineProcessor(MachineExaminationOptions options)
    {
        using CpuDevice cpu = new(options.Threads);
        RateReport rates = options.Measures is { } duration
            ? new RateReport(
                CopyRate.MeasureWithin(cpu, duration),
                null,
                MatMulRate.MeasureGflops(cpu, MatMulPrecision.Float32, duration),
                null,
                MatMulRate.HasBFloat16Unit(cpu) ? MatMulRate.MeasureGflops(cpu, MatMulPrecision.BFloat16, duration) : null)
            : RateReport.None;
        return new ProcessorReport(
            ProcessorName(),
            RuntimeInformation.ProcessArchitecture.ToString(),
            Environment.ProcessorCount,
            [.. Enum.GetValues<SimdTier>().OrderDescending().Select(t => new SimdTierReport(t.ToString(), CpuFeatures.Supports(t), t == CpuFeatures.Tier))],
            GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            MachineMemory.AvailableByteCount(),
            rates);
    }

    private static void AddMissingTiers(ProcessorReport processor, List<Absence> absences)
    {
        foreach (SimdTierReport tier in processor.Tiers.Where(t => !t.Supported))
        {
            string[] switches = [.. ((string[])["DOTNET_EnableHWIntrinsic", "DOTNET_EnableAVX512", "DOTNET_EnableAVX512F", "DOTNET_EnableAVX2", "DOTNET_EnableAVX"])
                .Where(v => Environment.GetEnvironmentVariable(v) is "0")];
            absences.Add(switches.Length > 0
                ? new Absence($"{tier.Tier} (wider vectors are faster)", $"{switches[0]}=0 turns it off", $"unset {switches[0]}")
                : new Absence($"{tier.Tier} (wider vectors are faster)", $"this processor, or the virtual machine, does not offer it ({processor.Architecture})", "none: narrower vectors give results of the same quality"));
        }
    }

    private static string CudaRemedy(string reason) =>
        CudaLibraries.DriverError is null && CudaBinding.Current.DriverError is not null
        ? "take that folder off the loader's search path (a toolkit's lib64/stubs in LD_LIBRARY_PATH?), or use a program that was built without ManagedCuda"
        : reason.StartsWith(CudaDevice.DriverIsTooOld, StringComparison.Ordinal)
        ? "update the GPU's driver to version 450 or later (Debian: apt install nvidia-driver; else nvidia.com/drivers); try the kernels with --device cuda-emulated"
        : reason.StartsWith("the driver", StringComparison.Ordinal)
        ? "check with nvidia-smi that the driver sees the GPU, and that CUDA_VISIBLE_DEVICES does not hide it; try the kernels with --device cuda-emulated"
        : $"install the GPU's driver (Debian: apt install nvidia-driver; else nvidia.com/drivers), no toolkit is needed; or name its library in {CudaLibraries.DriverVariable}; try the kernels with --device cuda-emulated";

    private static void AddDevice(string name, MachineExaminationOptions options, List<CudaDeviceReport> devices, List<Absence> absences)
    {
        try
        {
            using CudaDevice device = CudaDevice.Open(name);
            devices.Add(ExamineDevice(device, options));
        }
        catch (Exception e) when (e is CudaException or NotSupportedException or OutOfMemoryException)
        {
            absences.Add(new Absence($"the device {name}", e.Message, "use another device, or free memory on this one"));
        }
    }

    private static CudaDeviceReport ExamineDevice(CudaDevice device, MachineExaminationOptions options)
    {
        bool emulated = device.Emulation is not null;
        RateReport rates = options.Measures is { } duration && !emulated
            ? new RateReport(
                CopyRate.MeasureWithin(device, duration),
                CopyRate.MeasureToDevice(device, duration),
                MatMulRate.MeasureGflops(device, MatMulPrecision.Float32, duration),
                MatMulRate.MeasureGflops(device, MatMulPrecision.Tf32, duration),
                MatMulRate.MeasureGflops(device, MatMulPrecision.BFloat16, duration))
            : RateReport.None;
        return new CudaDeviceReport(
            device.Name,
            device.Model,
            emulated,
            string.Create(CultureInfo.InvariantCulture, $"{device.DriverVersion / 1000}.{device.DriverVersion % 1000 / 10}"),
            string.Create(CultureInfo.InvariantCulture, $"{device.ComputeCapability / 10}.{device.ComputeCapability % 10}"),
            device.MemoryByteCount,
            device.MultiprocessorCount,
            device.MaxSharedByteCount,
            rates);
    }

    private static LibraryReport ExamineCublas(bool hasGpu, List<Absence> absences)
    {
        if (CudaBinding.Current.CublasError is { } error)
        {
            absences.Add(new Absence("cuBLAS (matrix products on CUDA)", error, CublasRemedy));
            return new LibraryReport(false, null, null);
        }

        return new LibraryReport(true, CudaLibraries.CublasSource, hasGpu ? CublasVersion() : null);
    }

    private static string? CublasVersion()
    {
        try
        {
            using CudaDevice device = CudaDevice.Open("cuda");
            return device.Cublas is { } cublas && cublas.GetVersion(device.BlasHandle(), out int version) == 0
                ? string.Create(CultureInfo.InvariantCulture, $"{version / 10000}.{version % 10000 / 100}")
                : null;
        }
        catch (Exception e) when (e is CudaException or NotSupportedException)
        {
            // The device's own line says what is wrong with it.
            return null;
        }
    }

    private static IEnumerable<ToolReport> ExamineTools(MachineExaminationOptions options, List<Absence> absences)
    {
        // The programs of developers are those that `dotnet build` and `dotnet test` of the sources call.
        (string Name, string[] Names, string Purpose, string Remedy)[] tools =
        [
            ("npm", ["npm"], "fetches the photo album", "install Node.js 18 or newer (Debian: apt install nodejs npm; Windows: winget install OpenJS.NodeJS), or use --data shapes"),
            ("clang 14", ["clang++-14"], "for developers: compiles kernels-cu to PTX", "Debian 12, Ubuntu 22.04: apt install clang-14; without it the committed PTX is embedded"),
            ("a C compiler", ["cc", "gcc", "clang"], "for developers: builds the library that the tests of the native boundary load", "Debian: apt install g++"),
        ];
        foreach ((string name, string[] names, string purpose, string remedy) in tools)
        {
            string? path = ProgramSearch.Find(names);
            if (path is null)
            {
                absences.Add(new Absence($"{name} ({purpose})", $"{string.Join(", ", names)} is not on the search path", remedy));
            }

            yield return new ToolReport(name, purpose, path, path is null || !options.AsksPrograms ? null : ProgramSearch.VersionOf(path));
        }
    }

    private static string ProcessorName()
    {
        const string Field = "model name";
        try
        {
            string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(Field, StringComparison.Ordinal)) : null;
            if (line?.Split(':', 2) is [_, string name])
            {
                return name.Trim();
            }
        }
        catch (IOException)
        {
            // Then the operating system does not tell.
        }

        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "unknown";
    }

    private static long? FreeSpace(string folder)
    {
        try
        {
            // The folder may not exist yet: the nearest one above it does.
            string? existing = folder;
            while (existing is not null && !Directory.Exists(existing))
            {
                existing = Path.GetDirectoryName(existing);
            }

            return existing is null ? null : new DriveInfo(existing).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // A network path, or a folder that may not be looked at.
            return null;
        }
    }
}
