using System.CommandLine;
using System.Globalization;
using CrossAlign.Models;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Cli;

/// <summary>Opens the device that <c>--device</c> or a configuration asks for, and says which and why.</summary>
internal static class DeviceOptions
{
    private const string Names = "give auto, cpu, cuda, cuda:N or cuda-emulated[:sm_80|:sm_86|:sm_90]";

    /// <summary>Opens the device that an invocation's options ask for.</summary>
    /// <param name="parsed">The invocation.</param>
    /// <param name="terminal">Where the choice is said.</param>
    /// <exception cref="WrongInvocationException">There is no device, or nothing that multiplies matrices, of that name.</exception>
    /// <exception cref="UserErrorException">There is none here, or it cannot be opened.</exception>
    public static Device Open(ParseResult parsed, Terminal terminal) =>
        Open(parsed.GetValue(GlobalOptions.Device), parsed.GetValue(GlobalOptions.Threads) ?? 0, terminal, parsed.GetValue(GlobalOptions.Matmul));

    /// <summary>Opens a device.</summary>
    /// <param name="name"><c>auto</c> or null: a GPU where there is one, else the processor; <c>cpu</c>; <c>cuda</c>, <c>cuda:1</c>; <c>cuda-emulated</c>, <c>cuda-emulated:sm_90</c>.</param>
    /// <param name="threads">Threads of the CPU; 0 for one a processor.</param>
    /// <param name="terminal">Where the choice is said.</param>
    /// <param name="matmul"><c>own</c> or <c>cublas</c>; <c>auto</c> or null: cuBLAS where it is found.</param>
    /// <exception cref="WrongInvocationException">There is no device, or nothing that multiplies matrices, of that name.</exception>
    /// <exception cref="UserErrorException">There is none here, or it cannot be opened.</exception>
    public static Device Open(string? name, int threads, Terminal terminal, string? matmul = null)
    {
        if (matmul is not (null or "auto" or "own" or "cublas"))
        {
            throw new WrongInvocationException(new UserErrorException($"nothing that is called '{matmul}' multiplies matrices", "give auto, own or cublas"));
        }

        bool isAuto = name is null or "auto";
        if (name is "cpu" || (isAuto && CudaDevice.UnavailableReason is not null))
        {
            if (matmul is "cublas")
            {
                throw new UserErrorException("the processor has no cuBLAS (--matmul cublas)", "leave --matmul out, or give --device cuda");
            }

            CpuDevice cpu = new(threads);
            string why = isAuto ? "no GPU was found; doctor says why" : "as asked";
            terminal.Say($"device: cpu, {cpu.Workers.ThreadCount} threads, {CpuFeatures.Tier} ({why})");
            return cpu;
        }

        CudaDevice cuda = OpenCuda(isAuto ? "cuda" : name!);
        SetProducts(cuda, matmul);
        if (terminal.IsVerbose)
        {
            cuda.LeakReporter = report => terminal.Say($"note: {report}");
        }

        string through = CudaBinding.Current.IsOwn ? string.Empty : $", through {CudaBinding.Current.Name}";
        string products = cuda.MatMulEngine == MatMulEngine.Cublas ? "cuBLAS" : "own kernels";
        terminal.Say(cuda.Emulation is null
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"device: {cuda.Name}, {cuda.Model}, {cuda.MemoryByteCount / 1e9:F0} GB, compute capability {cuda.ComputeCapability / 10}.{cuda.ComputeCapability % 10}, matrix products by {products}{through} ({(isAuto ? "a GPU was found" : "as asked")})")
            : $"device: {cuda.Name}, which executes the kernels on the processor: for trying and counting, thousands of times slower than a GPU (as asked)");
        return cuda;
    }

    private static void SetProducts(CudaDevice cuda, string? matmul)
    {
        try
        {
            cuda.MatMulEngine = matmul switch
            {
                "own" => MatMulEngine.Own,
                "cublas" => MatMulEngine.Cublas,
                _ => cuda.MatMulEngine,
            };
        }
        catch (NotSupportedException e)
        {
            cuda.Dispose();
            throw new UserErrorException($"--matmul cublas: {e.Message}", "leave --matmul out", e);
        }
    }

    private static CudaDevice OpenCuda(string name)
    {
        try
        {
            return CudaDevice.Open(name);
        }
        catch (ArgumentException e)
        {
            throw new WrongInvocationException(new UserErrorException($"there is no device '{name}'", Names, e));
        }
        catch (Exception e) when (e is NotSupportedException or CudaException)
        {
            throw new UserErrorException($"the device '{name}' cannot be opened: {e.Message}", "run doctor, or give --device cpu", e);
        }
    }
}
