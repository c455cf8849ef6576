using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Profiling;

/// <summary>One size and form of the loss to be measured.</summary>
/// <param name="BatchSize">B: captions, and as many images.</param>
/// <param name="Width">E.</param>
/// <param name="Precision">Precision of the products.</param>
/// <param name="Variant">Which loss.</param>
public sealed record LossProfileCase(int BatchSize, int Width, Precision Precision, LossProfileVariant Variant)
{
    /// <summary>A case whose every call takes longer, as it is predicted, is not begun unless that is asked for.</summary>
    public static TimeSpan DefaultLongestCall { get; } = TimeSpan.FromDays(1);

    /// <summary>The loss's options.</summary>
    public SimilarityCrossEntropyOptions Options => Variant.OptionsFor(BatchSize, Width);

    /// <summary>The precision as devices know it.</summary>
    public MatMulPrecision MatMulPrecision => Precision switch
    {
        Precision.TF32 => MatMulPrecision.Tf32,
        Precision.BF16 => MatMulPrecision.BFloat16,
        _ => MatMulPrecision.Float32,
    };

    /// <summary>Bytes of embeddings and their gradients: what no loss can do without.</summary>
    public long TensorByteCount => (4 - (Variant.LocksCaptions ? 1 : 0) - (Variant.LocksImages ? 1 : 0)) * (long)BatchSize * Width * sizeof(float);

    /// <summary>Additions and multiplications of the matrix products of one call, forward and backward, where similarities are kept only if that was asked for.</summary>
    public double ExpectedArithmetic
    {
        get
        {
            int products = (Variant.HasBias || Variant.KeepsSimilarities ? 3 : 4) - (Variant.LocksCaptions ? 1 : 0) - (Variant.LocksImages ? 1 : 0);
            double depth = Options.Prefixes.Count == 0 ? Width : Options.Prefixes.Sum(p => (double)p.Width);
            return products * 2.0 * BatchSize * BatchSize * depth;
        }
    }

    /// <summary>What the loss takes beside them, as it is known before anything is allocated.</summary>
    public long PredictedByteCount => PredictByteCount(DeviceKind.Cpu);

    /// <summary>What the loss takes beside them on a kind of device.</summary>
    /// <param name="kind">The kind.</param>
    /// <returns>Bytes.</returns>
    /// <exception cref="ArgumentException">The budget is too small.</exception>
    public long PredictByteCount(DeviceKind kind) => SimilarityCrossEntropyWorkspace.PredictByteCount(Options, BatchSize, BatchSize, Width, kind: kind);

    /// <summary>A row with what is known before anything is allocated.</summary>
    /// <param name="kind">The kind of device that the loss will run on.</param>
    /// <param name="available">Bytes that are free there.</param>
    /// <returns>The row; with a refusal where the loss's own budget, or the memory, is too small.</returns>
    internal LossProfileRow NewRow(DeviceKind kind, long available)
    {
        LossProfileRow row = new()
        {
            BatchSize = BatchSize,
            Width = Width,
            Precision = Precision.ToString().ToLowerInvariant(),
            Variant = Variant.Name,
            TensorBytes = TensorByteCount,
            BoundBytes = BoundByteCount,
        };
        try
        {
            row = row with { PredictedBytes = PredictByteCount(kind) };
        }
        catch (ArgumentException e)
        {
            // More rows than the budget has room for, whatever the machine has.
            return row with { Refusal = $"is refused: {e.Message.ReplaceLineEndings(" ")}" };
        }

        long needed = row.TensorBytes + row.PredictedBytes;
        return needed <= available ? row : row with
        {
            Refusal = $"needs {MemoryText.Of(row.TensorBytes)} for embeddings and gradients and {MemoryText.Of(row.PredictedBytes)} for the loss, {MemoryText.Of(needed)} together; {MemoryText.Of(available)} are available",
        };
    }

    /// <summary>A row of a case that may begin, with the time that a call takes at least.</summary>
    /// <param name="row">What <see cref="NewRow"/> has said.</param>
    /// <param name="gflops">The rate of a plain matrix product where the loss will run.</param>
    /// <param name="longestCall">How long a call may take.</param>
    /// <returns>The row; with a refusal where one call would take longer.</returns>
    internal LossProfileRow Predict(LossProfileRow row, double gflops, TimeSpan longestCall)
    {
        double seconds = ExpectedArithmetic / gflops / 1e9;
        return row with
        {
            PredictedSeconds = seconds,
            Refusal = seconds <= longestCall.TotalSeconds ? null : string.Create(
                CultureInfo.InvariantCulture,
                $"would take at least {seconds / 3600:G3} h a call ({ExpectedArithmetic:G3} operations at the {gflops:G3} GFLOP/s of a plain product), more than {longestCall.TotalHours:G3} h (--longest)"),
        };
    }

    /// <summary>The most that it may take beside them: the budget and 32 bytes a row.</summary>
    public long BoundByteCount => Options.MemoryBudgetBytes + (32L * BatchSize);
}
