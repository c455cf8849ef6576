using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// The matrix product beside OpenBLAS in one process, interleaved call by call in short bursts, each result checked against the
/// other. <c>matmul-peer [path of libopenblas] [threads] [rounds]</c>; use an OpenMP build with <c>GOMP_SPINCOUNT=10000</c>, so that its
/// threads do not spin on while ours compute.
/// </summary>
internal static unsafe class MatMulPeer
{
    private const int RowMajor = 101;
    private const int AsItLies = 111;
    private const int Transposed = 112;

    private static readonly (MatMulLayout Layout, int M, int N, int K)[] s_shapes =
    [
        (MatMulLayout.NT, 2048, 2048, 512), (MatMulLayout.NN, 2048, 512, 2048), (MatMulLayout.TN, 2048, 512, 2048),
        (MatMulLayout.NT, 4096, 768, 768), (MatMulLayout.NT, 256, 2048, 512),
        (MatMulLayout.NT, 2500, 96, 96), (MatMulLayout.NT, 2500, 288, 96), (MatMulLayout.NT, 2500, 384, 96), (MatMulLayout.NT, 2500, 96, 384),
        (MatMulLayout.NN, 2500, 192, 512), (MatMulLayout.NT, 2500, 192, 192), (MatMulLayout.NT, 128, 128, 512),
        (MatMulLayout.TN, 96, 96, 3000), (MatMulLayout.TN, 288, 192, 3000), (MatMulLayout.TN, 96, 384, 3000),
    ];

    /// <summary>Prints one line a shape: median GFLOP/s of both and the ratio of the median times (below 1: ours is faster).</summary>
    public static void Run(string[] args)
    {
        string library = args.Length > 0 ? args[0] : "libopenblas.so.0";
        int threads = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : Environment.ProcessorCount;
        int rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 15;
        nint handle = NativeLibrary.Load(library);
        var setThreads = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(handle, "openblas_set_num_threads");
        var sgemm = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)NativeLibrary.GetExport(handle, "cblas_sgemm");
        setThreads(threads);
        using CpuDevice device = new(threads);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{CpuFeatures.Tier}, {threads} threads, {rounds} rounds; GFLOP/s = 2 M N K / median time"));
        foreach ((MatMulLayout layout, int m, int n, int k) in s_shapes)
        {
            Tensor a = Normal(device, layout == MatMulLayout.TN ? new Shape(k, m) : new Shape(m, k));
            Tensor b = Normal(device, layout == MatMulLayout.NT ? new Shape(n, k) : new Shape(k, n));
            Tensor ours = device.NewTensor(DType.Float32, new Shape(m, n));
            Tensor theirs = device.NewTensor(DType.Float32, new Shape(m, n));
            double operations = 2.0 * m * n * k;
            int calls = (int)Math.Clamp(1e9 / operations, 1, 40);
            double[] ourTimes = new double[rounds];
            double[] theirTimes = new double[rounds];
            for (int round = -2; round < rounds; round++)
            {
                long start = Stopwatch.GetTimestamp();
                for (int i = 0; i < calls; i++)
                {
                    MatMul.Run(a, b, ours, layout);
                }

                long middle = Stopwatch.GetTimestamp();
                for (int i = 0; i < calls; i++)
                {
                    sgemm(
                        RowMajor,
                        layout == MatMulLayout.TN ? Transposed : AsItLies,
                        layout == MatMulLayout.NT ? Transposed : AsItLies,
                        m,
                        n,
                        k,
                        1,
                        a.Pointer<float>(),
                        a.Shape[1],
                        b.Pointer<float>(),
                        b.Shape[1],
                        0,
                        theirs.Pointer<float>(),
                        n);
                }

                if (round >= 0)
                {
                    ourTimes[round] = Stopwatch.GetElapsedTime(start, middle).TotalSeconds / calls;
                    theirTimes[round] = Stopwatch.GetElapsedTime(middle).TotalSeconds / calls;
                }
            }

            CheckSame(ours.AsSpan<float>(), theirs.AsSpan<float>(), k);
            Array.Sort(ourTimes);
            Array.Sort(theirTimes);
            double ourTime = ourTimes[rounds / 2];
            double theirTime = theirTimes[rounds / 2];
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{layout} {m,5} x {n,5} x {k,5}: {operations / ourTime / 1e9,6:F1}, OpenBLAS {operations / theirTime / 1e9,6:F1}; time ratio {ourTime / theirTime:F2} (fastest calls {ourTimes[0] / theirTimes[0]:F2})"));
            foreach (Tensor tensor in (Tensor[])[a, b, ours, theirs])
            {
                tensor.Memory.Dispose();
            }
        }
    }

    private static Tensor Normal(CpuDevice device, Shape shape)
    {
        Tensor tensor = device.NewTensor(DType.Float32, shape);
        CounterRandom random = new(1, 0xBE4C, (uint)shape[0]);
        foreach (ref float value in tensor.AsSpan<float>())
        {
            value = random.NextNormal();
        }

        return tensor;
    }

    private static void CheckSame(ReadOnlySpan<float> ours, ReadOnlySpan<float> theirs, int k)
    {
        for (int i = 0; i < ours.Length; i++)
        {
            if (!(Math.Abs(ours[i] - theirs[i]) <= 1e-5 * k))
            {
                throw new InvalidOperationException($"Element {i} is {ours[i]}, OpenBLAS gives {theirs[i]}.");
            }
        }
    }
}
