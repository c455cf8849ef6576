using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training.Recording;

/// <summary>
/// <c>run.json</c>: what a run ran on and how it ended. Nothing of it enters the results; it is there to explain them.
/// </summary>
public sealed record RunRecord
{
    /// <summary>Version of the program.</summary>
    public string Version { get; init; } = ProgramVersion.Number;

    /// <summary>Commit that the program was built from; null where it was not built from a checkout.</summary>
    public string? Commit { get; init; } = ProgramVersion.Commit;

    /// <summary>Name of the device.</summary>
    public required string Device { get; init; }

    /// <summary>The GPU's name; null for the CPU.</summary>
    public string? Gpu { get; init; }

    /// <summary>The newest CUDA version of the GPU's driver; null for the CPU.</summary>
    public string? Driver { get; init; }

    /// <summary>What multiplies matrices on a GPU, <c>own</c> or <c>cublas</c>; null for the CPU.</summary>
    public string? Matmul { get; init; }

    /// <summary>Vector width of the CPU backend.</summary>
    public required string SimdTier { get; init; }

    /// <summary>Threads that compute.</summary>
    public required int Threads { get; init; }

    /// <summary>Name of the data set.</summary>
    public required string Data { get; init; }

    /// <summary>Checksum of the data set.</summary>
    public required string DataChecksum { get; init; }

    /// <summary>SHA-256 of the configuration without <c>threads</c> and <c>device</c>, which may change; null in records of older versions.</summary>
    public string? ConfigChecksum { get; init; }

    /// <summary>When the run was first started.</summary>
    public required DateTimeOffset Started { get; init; }

    /// <summary>When it was last resumed; null for never.</summary>
    public DateTimeOffset? Resumed { get; init; }

    /// <summary>When it ended; null while it runs or after it was killed.</summary>
    public DateTimeOffset? Ended { get; init; }

    /// <summary>completed, stopped, interrupted or failed: ...; null while it runs or after it was killed.</summary>
    public string? ExitReason { get; init; }

    /// <summary>Seconds of training, all sittings together.</summary>
    public double TrainingSeconds { get; init; }

    /// <summary>Captions that were trained on, all sittings together.</summary>
    public long Captions { get; init; }

    /// <summary>Pictures that were trained on, all sittings together.</summary>
    public long Pictures { get; init; }

    /// <summary>Steps that changed no weight because their gradient was not finite, all sittings together.</summary>
    public long SkippedSteps { get; init; }

    /// <summary>A record of what a device is; the driver, cuBLAS and the vectors' width decide the last bits of what it computes.</summary>
    /// <param name="device">The device, with the run's settings of products.</param>
    /// <param name="data">Name of the data set.</param>
    /// <param name="dataChecksum">Checksum of the data set.</param>
    /// <param name="bfloat16Products">Whether the processor's own bfloat16 products are used.</param>
    /// <returns>A record of a run that starts now.</returns>
    public static RunRecord Of(Device device, string data, string dataChecksum, bool bfloat16Products)
    {
        ArgumentNullException.ThrowIfNull(device);
        CudaDevice? cuda = device as CudaDevice;
        return new RunRecord
        {
            Device = device.Name,
            Gpu = cuda?.Model,
            Driver = cuda is null ? null : string.Create(CultureInfo.InvariantCulture, $"{cuda.DriverVersion / 1000}.{cuda.DriverVersion % 1000 / 10}"),
            Matmul = cuda is null ? null : cuda.MatMulEngine == MatMulEngine.Cublas ? "cublas" : "own",
            SimdTier = CpuFeatures.Tier + (bfloat16Products ? "+bf16" : string.Empty),
            Threads = (device as CpuDevice)?.Workers.ThreadCount ?? 0,
            Data = data,
            DataChecksum = dataChecksum,
            Started = DateTimeOffset.UtcNow,
        };
    }

    /// <summary>The device in words: everything of it that decides the last bits of what it computes.</summary>
    /// <returns>As in <c>cpu (Avx2)</c>.</returns>
    public string DescribeDevice() =>
        $"{Device} ({string.Join(", ", ((string?[])[Gpu, Driver is null ? null : $"driver {Driver}", Matmul is null ? null : $"products by {Matmul}", SimdTier]).Where(s => s is not null))})";

    /// <summary>Writes the record.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void Write(string path) => AtomicFile.WriteText(path, JsonSerializer.Serialize(this, RunRecordJson.Default.RunRecord) + "\n");

    /// <summary>Reads a record.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The record.</returns>
    /// <exception cref="UserErrorException">The file cannot be read or is no run record.</exception>
    public static RunRecord Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), RunRecordJson.Default.RunRecord)
                ?? throw new UserErrorException($"'{path}' is empty", "the folder is not a run");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new UserErrorException($"'{path}' is not a run record: {e.Message}", "give the folder that train wrote", e);
        }
    }
}

/// <summary>How <see cref="RunRecord"/> is written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(RunRecord))]
internal sealed partial class RunRecordJson : JsonSerializerContext;
