using System.Diagnostics;
using System.Globalization;
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
    private const string Own = "fused loss";

    /// <summary>Runs the comparison.</summary>
    /// <param name="args">Sizes, width, rounds, python.</param>
    /// <returns>0; 1 where gradients differ.</returns>
    public static int Run(string[] args)
    {
        int[] sizes = [.. (args.Length > 0 ? args[0] : "1024,4096").Split(',').Select(s => int.Parse(s, CultureInfo.InvariantCulture))];
        int width = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 512;
        int rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 7;
        string python = args.Length > 3 ? args[3] : TorchLoss.Python;
        using CpuDevice device = new();
        string? whyNot = TorchLoss.WhyNot(python);
        if (whyNot is not null)
        {
            Console.WriteLine($"Only plain products are compared. {whyNot}");
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{CpuFeatures.Tier}, {device.Workers.ThreadCount} threads, E = {width}, {rounds} rounds, forward and backward; medians"));
        foreach (int rows in sizes)
        {
            if (!Compare(device, rows, width, rounds, whyNot is null ? python : null))
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

        List<(string Name, TorchLoss Peer)> peers = [];
        try
        {
            SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
            if (python is not null)
            {
                peers.Add(("torch", new TorchLoss(python, captions, images, device.Workers.ThreadCount)));
                peers.Add(("torch, tuned allocator", new TorchLoss(python, captions, images, device.Workers.ThreadCount, TorchLoss.TunedAllocator)));
                foreach ((string name, TorchLoss peer) in peers)
                {
                    if (peer.Difference(outputs.Loss.AsSpan<float>()[0], gradients.DCaptions, gradients.DImages) is string difference)
                    {
                        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"B = {rows}, {name}: {difference}"));
                        return false;
                    }
                }
            }

            List<(string Name, Func<double> Call)> calls =
            [
                (Own, () => Time(() => SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients))),
                ("8 B^2 E of plain products", () => Time(() => Products(rows, tile, captions, images, product))),
                .. peers.Select(p => (p.Name, (Func<double>)p.Peer.Step)),
            ];
            Dictionary<string, List<double>> times = [];
            Dictionary<string, List<double>> ratios = [];
            double[] milliseconds = new double[calls.Count];
            for (int round = -1; round < rounds; round++)
            {
                // Each begins in its turn: what comes after another program finds caches and threads as that left them.
                for (int i = 0; i < calls.Count; i++)
                {
                    int turn = (i + round + 1) % calls.Count;
                    milliseconds[turn] = calls[turn].Call();
                }

                // The first round warms up.
                for (int i = 0; round >= 0 && i < calls.Count; i++)
                {
                    Record(times, calls[i].Name, milliseconds[i]);
                    if (i > 0)
                    {
                        Record(ratios, calls[i].Name, milliseconds[i] / milliseconds[0]);
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
            foreach ((_, TorchLoss peer) in peers)
            {
                peer.Dispose();
            }

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
