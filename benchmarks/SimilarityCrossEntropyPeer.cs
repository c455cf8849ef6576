using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// The fused loss beside PyTorch's naive one and beside plain products, call by call in turns on the same numbers; gradients are
/// compared first. <c>loss-peer [B,B,... E [ROUNDS [PYTHON]]]</c>. PyTorch runs twice: with its default allocator and with glibc's
/// thresholds raised, which keeps it from returning its matrices to the system after each call.
/// </summary>
/// <remarks>
/// Without PyTorch the ratio to the plain products is measured alone, and the line says how to install it. Threads of OpenMP spin
/// for a while after each call; <c>GOMP_SPINCOUNT</c> is kept low, so that no peer steals the other's time.
/// </remarks>
internal static class SimilarityCrossEntropyPeer
{
    private const int Tile = 2048;
    private const string OpenMPBlas = "/usr/lib/x86_64-linux-gnu/openblas-openmp";
    private const string TunedAllocator = "glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=34359738368";

    /// <summary>Runs the comparison.</summary>
    /// <param name="args">Sizes, width, rounds, python.</param>
    /// <returns>0; 1 where gradients differ.</returns>
    public static int Run(string[] args)
    {
        int[] sizes = [.. (args.Length > 0 ? args[0] : "1024,4096").Split(',').Select(s => int.Parse(s, CultureInfo.InvariantCulture))];
        int width = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 512;
        int rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 7;
        string python = args.Length > 3 ? args[3] : "/usr/bin/python3";
        using CpuDevice device = new();
        bool hasPeer = HasPyTorch(python);
        if (!hasPeer)
        {
            Console.WriteLine($"PyTorch is missing, so only plain products are compared: apt-get install python3-torch libopenblas0-openmp ({python} was asked)");
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{CpuFeatures.Tier}, {device.Workers.ThreadCount} threads, E = {width}, {rounds} rounds, forward and backward; medians"));
        foreach (int rows in sizes)
        {
            if (!Compare(device, rows, width, rounds, hasPeer ? python : null))
            {
                return 1;
            }
        }

        return 0;
    }

    private static bool Compare(CpuDevice device, int rows, int width, int rounds, string? python)
    {
        using SimilarityCrossEntropyWorkspace workspace = new(
            device, new SimilarityCrossEntropyOptions { Scale = SimilarityCrossEntropyScale.Logarithm }, rows, rows, width);
        Tensor captions = Normal(device, rows, width, 1);
        Tensor images = Normal(device, rows, width, 2);
        Tensor scale = device.NewTensor(DType.Float32, new Shape(1));
        scale.AsSpan<float>()[0] = 2.6f;
        SimilarityCrossEntropyInputs inputs = new() { Captions = captions, Images = images, Scale = scale };
        SimilarityCrossEntropyOutputs outputs = new() { Loss = device.NewTensor(DType.Float32, new Shape(1)) };
        SimilarityCrossEntropyGradients gradients = new()
        {
            DCaptions = device.NewTensor(DType.Float32, captions.Shape),
            DImages = device.NewTensor(DType.Float32, images.Shape),
            DScale = device.NewTensor(DType.Float32, new Shape(1)),
        };
        int tile = Math.Min(rows, Tile);
        Tensor product = device.NewTensor(DType.Float32, new Shape(tile, tile));

        string folder = Directory.CreateTempSubdirectory("crossalign-loss-peer-").FullName;
        List<(string Name, Process Process)> peers = [];
        try
        {
            Write(folder, "captions", captions);
            Write(folder, "images", images);
            SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
            if (python is not null)
            {
                peers.Add(("torch", Start(python, folder, rows, width, device.Workers.ThreadCount, null)));
                peers.Add(("torch, tuned allocator", Start(python, folder, rows, width, device.Workers.ThreadCount, TunedAllocator)));
                foreach ((string name, Process peer) in peers)
                {
                    double loss = Ask(peer, "loss");
                    double error = Math.Max(Error(folder, "dcaptions", gradients.DCaptions), Error(folder, "dimages", gradients.DImages));
                    if (!(error < 1e-4) || !(Math.Abs(loss - outputs.Loss.AsSpan<float>()[0]) < 1e-4))
                    {
                        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"B = {rows}: {name} differs: loss {loss}, ours {outputs.Loss.AsSpan<float>()[0]}; gradients by {error:E1}"));
                        return false;
                    }
                }
            }

            Dictionary<string, List<double>> times = [];
            Dictionary<string, List<double>> ratios = [];
            for (int round = -1; round < rounds; round++)
            {
                double own = Time(() => SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients));
                List<(string Name, double Milliseconds)> others = [("8 B^2 E of plain products", Time(() => Products(rows, tile, captions, images, product)))];
                others.AddRange(peers.Select(p => (p.Name, Ask(p.Process, "step"))));

                // The first round warms up.
                if (round >= 0)
                {
                    Record(times, "fused loss", own);
                    foreach ((string name, double milliseconds) in others)
                    {
                        Record(times, name, milliseconds);
                        Record(ratios, name, milliseconds / own);
                    }
                }
            }

            foreach ((string name, List<double> values) in times)
            {
                string ratio = ratios.TryGetValue(name, out List<double>? r)
                    ? string.Create(CultureInfo.InvariantCulture, $"   over the fused loss: {Median(r):F3} ({r.Min():F3} to {r.Max():F3})")
                    : string.Create(CultureInfo.InvariantCulture, $"   {8.0 * rows * rows * width / Median(values) / 1e6:F0} GFLOP/s");
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"B = {rows,6}  {name,-26} {Median(values),10:F1} ms{ratio}"));
            }

            return true;
        }
        finally
        {
            foreach ((_, Process peer) in peers)
            {
                peer.StandardInput.Close();
                peer.WaitForExit();
                peer.Dispose();
            }

            Directory.Delete(folder, recursive: true);
            foreach (Tensor tensor in (Tensor[])[captions, images, scale, outputs.Loss, gradients.DCaptions, gradients.DImages, gradients.DScale, product])
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private static void Products(int rows, int tile, Tensor captions, Tensor images, Tensor product)
    {
        for (int repeat = 0; repeat < 4; repeat++)
        {
            for (int i = 0; i < rows; i += tile)
            {
                for (int j = 0; j < rows; j += tile)
                {
                    int height = Math.Min(tile, rows - i);
                    int width = Math.Min(tile, rows - j);
                    Tensor output = new(product.Memory, 0, DType.Float32, new Shape(height, width));
                    MatMul.Run(captions.Rows(i, height), images.Rows(j, width), output, MatMulLayout.NT);
                }
            }
        }
    }

    private static double Time(Action call)
    {
        long start = Stopwatch.GetTimestamp();
        call();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static bool HasPyTorch(string python)
    {
        try
        {
            ProcessStartInfo start = new(python) { RedirectStandardError = true };
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add("import torch");
            using Process process = Process.Start(start)!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // There is no such program.
            return false;
        }
    }

    private static Process Start(string python, string folder, int rows, int width, int threads, string? tunables)
    {
        ProcessStartInfo start = new(python) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])
        [
            Path.Combine("benchmarks", "torch", "similarity_cross_entropy.py"), "--serve", folder,
            "--rows", rows.ToString(CultureInfo.InvariantCulture),
            "--width", width.ToString(CultureInfo.InvariantCulture),
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

        return Process.Start(start) ?? throw new InvalidOperationException($"{python} did not start.");
    }

    private static double Ask(Process peer, string what)
    {
        peer.StandardInput.WriteLine(what);
        peer.StandardInput.Flush();
        string line = peer.StandardOutput.ReadLine() ?? throw new InvalidOperationException("The PyTorch script ended; its error is above.");
        using JsonDocument answer = JsonDocument.Parse(line);
        return answer.RootElement.GetProperty(what == "loss" ? "loss" : "ms").GetDouble();
    }

    private static void Write(string folder, string name, in Tensor tensor) =>
        File.WriteAllBytes(Path.Combine(folder, name), MemoryMarshal.AsBytes(tensor.AsSpan<float>()).ToArray());

    // |theirs - ours| / |theirs|
    private static double Error(string folder, string name, in Tensor ours)
    {
        byte[] bytes = File.ReadAllBytes(Path.Combine(folder, name));
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

    private static Tensor Normal(CpuDevice device, int rows, int width, uint stream)
    {
        Tensor tensor = device.NewTensor(DType.Float32, new Shape(rows, width));
        CounterRandom random = new(1, 0xBE4C, stream);
        foreach (ref float value in tensor.AsSpan<float>())
        {
            value = random.NextNormal();
        }

        return tensor;
    }

    private static void Record(Dictionary<string, List<double>> into, string name, double value)
    {
        if (!into.TryGetValue(name, out List<double>? values))
        {
            into[name] = values = [];
        }

        values.Add(value);
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
