using CrossAlign.Kernels.Cpu.Similarity;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The options of a <see cref="SimilarityCrossEntropy"/> with the memory that it works in, planned once for the largest batch. Not for
/// several calls at a time.
/// </summary>
public sealed class SimilarityCrossEntropyWorkspace : IDisposable
{
    private readonly DeviceMemory _memory;
    private double _discrepancy = double.NaN;
    private Tensor _numbers;

    /// <summary>Takes the memory.</summary>
    /// <param name="device">Where the loss will run.</param>
    /// <param name="options">Which loss; see <see cref="SimilarityCrossEntropyOptions.Validate"/>.</param>
    /// <param name="rows">The most captions.</param>
    /// <param name="columns">The most images.</param>
    /// <param name="width">E, the width of the embeddings.</param>
    /// <param name="extraNegatives">The most extra negatives.</param>
    /// <exception cref="ArgumentNullException">A reference is null.</exception>
    /// <exception cref="ArgumentException">The options are refused, a prefix is wider than <paramref name="width"/>, or extra negatives are asked for where no row looks at columns.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A size is below 1, or <paramref name="extraNegatives"/> negative.</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public SimilarityCrossEntropyWorkspace(Device device, SimilarityCrossEntropyOptions options, int rows, int columns, int width, int extraNegatives = 0)
    {
        ArgumentNullException.ThrowIfNull(device);
        Check(options, rows, columns, width, extraNegatives);
        if (device.Kind == DeviceKind.Cuda)
        {
            CudaPlan = new CudaSimilarityPlan(options, rows, columns, extraNegatives, width);
        }
        else if (device.Kind is not (DeviceKind.Cpu or DeviceKind.Plan))
        {
            throw Kernels.Check.NoBackend(device, nameof(SimilarityCrossEntropy));
        }
        else
        {
            Plan = new CpuSimilarityPlan(options, rows, columns, extraNegatives);
        }

        Device = device;
        Options = options;
        Rows = rows;
        Columns = columns;
        Width = width;
        ExtraNegatives = extraNegatives;
        Prefixes = options.Prefixes.Count > 0 ? [.. options.Prefixes] : [new SimilarityCrossEntropyPrefix(width, 1)];
        _memory = device.Allocate(CudaPlan?.ByteCount ?? Plan.ByteCount);
    }

    /// <summary>Where the loss runs.</summary>
    public Device Device { get; }

    /// <summary>Which loss is computed.</summary>
    public SimilarityCrossEntropyOptions Options { get; }

    /// <summary>The most captions.</summary>
    public int Rows { get; }

    /// <summary>The most images.</summary>
    public int Columns { get; }

    /// <summary>E.</summary>
    public int Width { get; }

    /// <summary>The most extra negatives.</summary>
    public int ExtraNegatives { get; }

    /// <summary>Bytes of the workspace itself.</summary>
    public long ByteCount => _memory.ByteCount;

    /// <summary>Whether the budget was enough to keep the similarities: one product of 2 B K E less.</summary>
    public bool KeepsSimilarities => CudaPlan?.KeepsTiles ?? Plan.KeepsTiles;

    /// <summary>The most rows and columns of a super-tile: what the budget allows.</summary>
    public int SuperTile => CudaPlan?.TileCapacity ?? Plan.TileCapacity;

    /// <summary>
    /// After a <see cref="SimilarityCrossEntropy.ForwardBackward"/> with both towers' gradients: the relative difference of the scale's gradient as
    /// the captions and as the columns give it, which are equal but for rounding, relative to the terms that it is the sum of. A large value means that a gradient is wrong. NaN where it does not apply.
    /// On a CUDA device reading it waits for the call to end.
    /// </summary>
    public double ScaleGradientDiscrepancy
    {
        get => _numbers.IsPresent ? CudaSimilarityCrossEntropy.Discrepancy(_numbers) : _discrepancy;
        internal set => _discrepancy = value;
    }

    /// <summary>Additions and multiplications of the matrix products of the last call: what a rate in FLOP/s refers to.</summary>
    public long OperationCount { get; internal set; }

    internal CpuSimilarityPlan Plan { get; }

    /// <summary>The plan on a CUDA device, in place of <see cref="Plan"/>.</summary>
    internal CudaSimilarityPlan? CudaPlan { get; }

    internal SimilarityCrossEntropyPrefix[] Prefixes { get; }

    internal DeviceMemory Memory => _memory;

    internal nint Address => _memory.Address;

    /// <summary>The most memory that the loss takes beside inputs and gradients, to be known before anything is allocated: the workspace, and the part
    /// of the device's scratch that its products use, whatever the number of threads. With the default options it is never
    /// more than 64 MiB + 32 bytes a row (on a CUDA device of embeddings up to 32,768 wide: packed rows of a tile are part of it).</summary>
    /// <param name="options">Which loss.</param>
    /// <param name="rows">The most captions.</param>
    /// <param name="columns">The most images.</param>
    /// <param name="width">E.</param>
    /// <param name="extraNegatives">The most extra negatives.</param>
    /// <param name="kind">Where the loss will run.</param>
    /// <returns>Bytes.</returns>
    /// <exception cref="ArgumentException">As for the constructor.</exception>
    public static long PredictByteCount(
        SimilarityCrossEntropyOptions options, int rows, int columns, int width, int extraNegatives = 0, DeviceKind kind = DeviceKind.Cpu)
    {
        Check(options, rows, columns, width, extraNegatives);
        return kind == DeviceKind.Cuda
            ? new CudaSimilarityPlan(options, rows, columns, extraNegatives, width).ByteCount
            : new CpuSimilarityPlan(options, rows, columns, extraNegatives).ByteCount + CpuSimilarityProducts.ScratchByteCount;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    /// <summary>Says that the last call's doubles lie in the workspace, where the discrepancy is read when it is asked for.</summary>
    /// <param name="applies">Whether both towers have a gradient.</param>
    internal void ReadDiscrepancyFromDevice(bool applies) =>
        _numbers = applies
            ? new Tensor(_memory, CudaPlan!.Numbers, DType.UInt8, new Shape(CudaSimilarityPlan.NumberCount * sizeof(double)))
            : default;

    private static void Check(SimilarityCrossEntropyOptions options, int rows, int columns, int width, int extraNegatives)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(extraNegatives);
        options.Validate();
        foreach (SimilarityCrossEntropyPrefix prefix in options.Prefixes)
        {
            if (prefix.Width > width)
            {
                throw new ArgumentException($"A prefix of width {prefix.Width} is wider than the embeddings ({width}).", nameof(options));
            }
        }

        if (extraNegatives > 0 && options.Direction == SimilarityCrossEntropyDirection.ImageToCaption)
        {
            throw new ArgumentException(
                "Extra negatives are columns, which only rows look at: with Direction ImageToCaption nothing uses them. Choose another direction, or none of them.",
                nameof(extraNegatives));
        }
    }
}
