using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// PyTorch's naive loss in a process of its own, which waits for orders: <c>benchmarks/torch/similarity_cross_entropy.py --serve</c>. It has as many
/// threads as ours, Debian's OpenMP build of OpenBLAS where that is installed, and threads that do not spin on for long after a call.
/// </summary>
internal sealed class TorchLoss : IDisposable
{
    /// <summary>What makes glibc keep large matrices instead of returning them to the system after each call.</summary>
    public const string TunedAllocator = "glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=34359738368";

    /// <summary>The environment variable that names another Python than Debian's.</summary>
    public const string PythonVariable = "CROSSALIGN_PYTHON";

    private const string OpenMPBlas = "/usr/lib/x86_64-linux-gnu/openblas-openmp";

    private readonly string _folder;
    private readonly Process _process;

    /// <summary>Starts PyTorch on the same numbers.</summary>
    /// <param name="python">The program.</param>
    /// <param name="captions">(B, E).</param>
    /// <param name="images">(B, E).</param>
    /// <param name="threads">Its threads.</param>
    /// <param name="tunables">glibc's tunables, or null for its defaults.</param>
    public TorchLoss(string python, in Tensor captions, in Tensor images, int threads, string? tunables = null)
    {
        _folder = Directory.CreateTempSubdirectory("crossalign-torch-loss-").FullName;
        Write("captions", captions);
        Write("images", images);
        ProcessStartInfo start = new(python) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])
        [
            Script(), "--serve", _folder,
            "--rows", captions.Shape[0].ToString(CultureInfo.InvariantCulture),
            "--width", captions.Shape[1].ToString(CultureInfo.InvariantCulture),
            "--threads", threads.ToString(CultureInfo.InvariantCulture),
        ])
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment["OMP_NUM_THREADS"] = threads.ToString(CultureInfo.InvariantCulture);
        start.Environment["GOMP_SPINCOUNT"] = "10000";
        if (Directory.Exists(OpenMPBlas))
        {
            start.Environment["LD_LIBRARY_PATH"] = OpenMPBlas;
        }

        if (tunables is not null)
        {
            start.Environment["GLIBC_TUNABLES"] = tunables;
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException($"{python} did not start.");
    }

    /// <summary>The Python that is asked for PyTorch.</summary>
    public static string Python => Environment.GetEnvironmentVariable(PythonVariable) ?? "/usr/bin/python3";

    /// <summary>Why there is no PyTorch, and what to do.</summary>
    /// <param name="python">The program.</param>
    /// <returns>A line, or null where it is there.</returns>
    public static string? WhyNot(string python)
    {
        string missing = $"PyTorch is missing ({python} was asked; {PythonVariable} names another): apt-get install python3-torch libopenblas0-openmp";
        try
        {
            ProcessStartInfo start = new(python) { RedirectStandardError = true };
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add("import torch");
            using Process process = Process.Start(start)!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : missing;
        }
        catch (Win32Exception)
        {
            // There is no such program.
            return missing;
        }
    }

    /// <summary>Compares loss and gradients, which must be done before anything is timed.</summary>
    /// <param name="loss">Ours.</param>
    /// <param name="dCaptions">Ours.</param>
    /// <param name="dImages">Ours.</param>
    /// <returns>How they differ, or null.</returns>
    public string? Difference(float loss, in Tensor dCaptions, in Tensor dImages)
    {
        double theirs = Ask("loss");
        double error = Math.Max(Error("dcaptions", dCaptions), Error("dimages", dImages));
        return error < 1e-4 && Math.Abs(theirs - loss) < 1e-4
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"PyTorch's loss is {theirs}, ours {loss}; gradients differ by {error:E1}");
    }

    /// <summary>One forward and backward.</summary>
    /// <returns>Its milliseconds, as PyTorch's process measured them.</returns>
    public double Step() => Ask("step");

    /// <inheritdoc/>
    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    // BenchmarkDotNet runs its suites in folders below the checkout.
    private static string Script()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "CrossAlign.sln")))
        {
            folder = folder.Parent;
        }

        return Path.Combine(folder?.FullName ?? ".", "benchmarks", "torch", "similarity_cross_entropy.py");
    }

    private double Ask(string what)
    {
        _process.StandardInput.WriteLine(what);
        _process.StandardInput.Flush();
        string line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("The PyTorch script ended; its error is above.");
        using JsonDocument answer = JsonDocument.Parse(line);
        return answer.RootElement.GetProperty(what == "loss" ? "loss" : "ms").GetDouble();
    }

    private void Write(string name, in Tensor tensor) =>
        File.WriteAllBytes(Path.Combine(_folder, name), MemoryMarshal.AsBytes(tensor.AsSpan<float>()).ToArray());

    // |theirs - ours| / |theirs|
    private double Error(string name, in Tensor ours)
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(_folder, name));
        ReadOnlySpan<float> theirs = MemoryMarshal.Cast<byte, float>(bytes);
        ReadOnlySpan<float> own = ours.AsSpan<float>();
        double difference = 0;
        double magnitude = 0;
        for (int i = 0; i < theirs.Length; i++)
        {
            double d = (double)theirs[i] - own[i];
            difference += d * d;
            magnitude += (double)theirs[i] * theirs[i];
        }

        return theirs.Length == own.Length ? Math.Sqrt(difference / magnitude) : double.NaN;
    }
}
