using System.Diagnostics;
using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Benchmarks;

/// <summary>
/// One forward and backward pass of the fused loss at a size of one's choice, with the memory that it took beside inputs and
/// gradients against the bound of 64 MiB + 32 bytes a row. Exit code 1 where the bound is broken.
/// </summary>
internal static class SimilarityCrossEntropyMemory
{
    public static int Run(int rows, int width)
    {
        using CpuDevice device = new();
        Shape shape = new(rows, width);
        Tensor captions = device.NewTensor(DType.Float32, shape);
        Tensor images = device.NewTensor(DType.Float32, shape);
        Tensor dCaptions = device.NewTensor(DType.Float32, shape);
        Tensor dImages = device.NewTensor(DType.Float32, shape);
        Tensor scalars = device.NewTensor(DType.Float32, new Shape(3));
        CounterRandom random = new(1, 0x105, 0);
        float[] row = new float[width];
        for (int i = 0; i < rows; i++)
        {
            Fill(captions, i);
            Fill(images, i);
        }

        scalars.CopyFrom<float>([MathF.Log(1 / 0.07f), 0, 0]);
        long before = device.AllocatedByteCount;
        Stopwatch clock = Stopwatch.StartNew();
        long operations;
        using (SimilarityCrossEntropyWorkspace workspace = new(device, new(), rows, rows, width))
        {
            SimilarityCrossEntropy.ForwardBackward(
                workspace,
                new() { Captions = captions, Images = images, Scale = scalars.Rows(0, 1) },
                new() { Loss = scalars.Rows(1, 1) },
                new() { DCaptions = dCaptions, DImages = dImages, DScale = scalars.Rows(2, 1) });
            operations = workspace.OperationCount;
        }

        long taken = device.PeakByteCount - before;
        long bound = (64L << 20) + (32L * rows);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"B = {rows}, E = {width}: {clock.Elapsed.TotalSeconds:F1} s, {operations / clock.Elapsed.TotalSeconds / 1e9:F1} GFLOP/s, loss {scalars.ToArray<float>()[1]:F4}, {taken / 1048576.0:F1} MiB beside inputs and gradients, {bound / 1048576.0:F1} MiB are allowed"));
        return taken <= bound ? 0 : 1;

        void Fill(Tensor destination, int index)
        {
            for (int j = 0; j < row.Length; j++)
            {
                row[j] = random.NextNormal();
            }

            destination.Rows(index, 1).CopyFrom<float>(row);
        }
    }
}
