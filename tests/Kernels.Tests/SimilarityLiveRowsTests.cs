using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// One captured graph of the fused loss for batches of any size up to its capacity: the numbers of captions, images and extra negatives
/// are read from the device, and a replay has the bits of a call on tensors, and in a workspace, of just that size.
/// </summary>
public abstract class SimilarityLiveRowsTests(Backend backend, MatMulPrecision precision)
{
    // More than a tile of 128 lines, so that tiles inside the matrix and at its edge change with the number of rows.
    private const int Capacity = 140;

    public static TheoryData<string> Variants() => [.. SimilarityCrossEntropyVariants.Names];

    [Theory]
    [MemberData(nameof(Variants))]
    public void AReplayOfAnyNumberOfRowsHasTheBitsOfACallOfJustThose(string variant) => Check(
        SimilarityCrossEntropyVariants.Case(variant, Capacity), [.. new[] { 131, 17 }.Select(b => SimilarityCrossEntropyVariants.Case(variant, b, (uint)b))]);

    [Theory]
    [InlineData("symmetric", 128, 2)]
    [InlineData("extra negatives", 129, 1)]
    [InlineData("masked + smoothing + weights + ignored + extra + prefixes", 64, 3)]
    [InlineData("sigmoid", 128, 1)]
    public void SuperTilesMayBeEmptyOrEndAnywhere(string variant, int first, int second)
    {
        // With cuBLAS bits depend on where super-tiles end.
        using OwnProducts own = new(Device);
        Check(
            SimilarityCrossEntropyVariants.Case(variant, 300),
            [SimilarityCrossEntropyVariants.Case(variant, first, 1), SimilarityCrossEntropyVariants.Case(variant, second, 2), SimilarityCrossEntropyVariants.Case(variant, 257, 3)],
            TileBudget);
    }

    [Fact]
    public void RowsWithoutAnImageGiveANaNLossUntilTheyHaveOne()
    {
        // As a wrong target: on the device nobody waits for it. Six captions, five images.
        Device.MatMulPrecision = precision;
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case("symmetric", 8);
        using Bound bound = new(backend, x, x.Options);
        bound.Set(x);
        bound.SetCounts(6, 5, 0);
        bound.Step();
        Assert.True(float.IsNaN(backend.Download(bound.Loss)[0]));
        using CudaGraph graph = CudaGraph.Capture(Device, bound.Step);
        bound.SetCounts(6, 6, 0);
        graph.Launch();
        Assert.True(float.IsFinite(backend.Download(bound.Loss)[0]));
    }

    [Fact]
    public void TensorsThatDisagreeAreRefused()
    {
        SimilarityCrossEntropyCase x = SimilarityCrossEntropyVariants.Case("weights", 8);
        using SimilarityCrossEntropyWorkspace workspace = new(Device, x.Options, 8, 8, x.E);
        SimilarityCrossEntropyInputs inputs = x.Inputs(backend);
        LiveRows rows = new(8, Device.NewTensor(DType.Int32, new Shape(1)));
        SimilarityCrossEntropyOutputs outputs = new() { Loss = backend.Poisoned(DType.Float32, new Shape(1)) };
        SimilarityCrossEntropyInputs captionsAlone = inputs with { Captions = inputs.Captions.WithLiveRows(rows) };
        ArgumentException e = Assert.Throws<ArgumentException>(() => SimilarityCrossEntropy.Forward(workspace, captionsAlone, outputs));
        Assert.Contains("live rows", e.Message, StringComparison.Ordinal);
        SimilarityCrossEntropyInputs bound = captionsAlone with { RowWeights = inputs.RowWeights.WithLiveRows(rows), Images = inputs.Images.WithLiveRows(rows) };
        Assert.Throws<ArgumentException>(() => SimilarityCrossEntropy.ForwardBackward(
            workspace, bound, outputs, new() { DImages = backend.Poisoned(DType.Float32, inputs.Images.Shape) }));
    }

    // Super-tiles of 128 lines.
    private const long TileBudget = 300 << 10;

    private CudaDevice Device => (CudaDevice)backend.Device;

    private void Check(SimilarityCrossEntropyCase full, SimilarityCrossEntropyCase[] cases, long budget = SimilarityCrossEntropyOptions.DefaultMemoryBudgetBytes)
    {
        Device.MatMulPrecision = precision;
        using Bound bound = new(backend, full, full.Options with { MemoryBudgetBytes = budget });

        // Once without a graph, for the modules to be loaded.
        bound.Set(cases.MinBy(x => x.B)!);
        bound.Step();
        using CudaGraph graph = CudaGraph.Capture(Device, bound.Step);
        foreach (SimilarityCrossEntropyCase x in cases)
        {
            bound.Set(x);
            graph.Launch();
            SimilarityCrossEntropyResult<float> replayed = bound.Result(x);
            SimilarityCrossEntropyResult<float> eager = x.Run(backend, out _);
            Assert.Equal(SimilarityCrossEntropyTests.Parts(eager), SimilarityCrossEntropyTests.Parts(replayed));
            bound.AssertZeroBehind(x);
        }

        backend.CheckGuards();
    }

    /// <summary>Tensors of a capacity, bound to numbers of rows.</summary>
    private sealed class Bound : IDisposable
    {
        private readonly Backend _backend;
        private readonly CudaDevice _device;
        private readonly SimilarityCrossEntropyCase _full;
        private readonly SimilarityCrossEntropyWorkspace _workspace;
        private readonly Tensor _counts;
        private readonly SimilarityCrossEntropyInputs _inputs;
        private readonly SimilarityCrossEntropyOutputs _outputs;
        private readonly SimilarityCrossEntropyGradients _gradients;

        public Bound(Backend backend, SimilarityCrossEntropyCase full, SimilarityCrossEntropyOptions options)
        {
            _backend = backend;
            _device = (CudaDevice)backend.Device;
            _full = full;
            _workspace = new SimilarityCrossEntropyWorkspace(_device, options, full.B, full.K, full.E, full.X);
            _counts = backend.Upload(new Shape(3), [0, 0, 0]);
            LiveRows captions = new(full.B, _counts.Rows(0, 1));
            LiveRows images = new(full.K, _counts.Rows(1, 1));
            LiveRows extras = new(full.X, _counts.Rows(2, 1));
            SimilarityCrossEntropyInputs inputs = full.Inputs(backend);
            _inputs = inputs with
            {
                Captions = inputs.Captions.WithLiveRows(captions),
                Images = inputs.Images.WithLiveRows(images),
                ExtraNegatives = To(inputs.ExtraNegatives, extras),
                Targets = To(inputs.Targets, captions),
                RowWeights = To(inputs.RowWeights, captions),
                CaptionGroups = To(inputs.CaptionGroups, captions),
                ImageGroups = To(inputs.ImageGroups, images),
            };
            _outputs = new()
            {
                Loss = backend.Poisoned(DType.Float32, new Shape(1)),
                RowLoss = backend.Poisoned(DType.Float32, new Shape(full.B)).WithLiveRows(captions),
                ColumnLoss = backend.Poisoned(DType.Float32, new Shape(full.K)).WithLiveRows(images),
            };
            _gradients = new()
            {
                DCaptions = full.LockCaptions ? default : backend.Poisoned(DType.Float32, new Shape(full.B, full.E)).WithLiveRows(captions),
                DImages = full.LockImages ? default : backend.Poisoned(DType.Float32, new Shape(full.K, full.E)).WithLiveRows(images),
                DExtraNegatives = full.X == 0 ? default : backend.Poisoned(DType.Float32, new Shape(full.X, full.E)).WithLiveRows(extras),
                DScale = backend.Upload(DType.Float32, new Shape(1), [0f]),
                DBias = full.Bias is null ? default : backend.Upload(DType.Float32, new Shape(1), [0f]),
            };

            static Tensor To(in Tensor tensor, LiveRows rows) => tensor.IsPresent ? tensor.WithLiveRows(rows) : default;
        }

        public Tensor Loss => _outputs.Loss;

        public void SetCounts(int captions, int images, int extras) => _counts.CopyFrom<int>([captions, images, extras]);

        /// <summary>Lays a smaller case in the first rows; what is behind them is a number that nobody may read.</summary>
        public void Set(SimilarityCrossEntropyCase x)
        {
            SetCounts(x.B, x.K, x.X);
            Fill(_inputs.Captions, x.Captions);
            Fill(_inputs.Images, x.Images);
            Fill(_inputs.ExtraNegatives, x.Extra);
            Fill(_inputs.RowWeights, x.RowWeights);
            Fill(_inputs.Targets, x.Targets);
            Fill(_inputs.CaptionGroups, x.CaptionGroups);
            Fill(_inputs.ImageGroups, x.ImageGroups);
            _inputs.Scale.CopyFrom<float>([x.Scale]);
            _gradients.DScale.CopyFrom<float>([0]);
            if (_inputs.Bias.IsPresent)
            {
                _inputs.Bias.CopyFrom<float>([x.Bias!.Value]);
                _gradients.DBias.CopyFrom<float>([0]);
            }
        }

        public void Step() => SimilarityCrossEntropy.ForwardBackward(_workspace, _inputs, _outputs, _gradients);

        public SimilarityCrossEntropyResult<float> Result(SimilarityCrossEntropyCase x)
        {
            SimilarityCrossEntropyResult<float> result = new(x.B, x.K, x.X, x.E)
            {
                Loss = _backend.Download(Loss)[0],
                DScale = _backend.Download(_gradients.DScale)[0],
                DBias = x.Bias is null ? 0 : _backend.Download(_gradients.DBias)[0],
            };
            Copy(_outputs.RowLoss, x.B, result.RowLoss);
            Copy(_outputs.ColumnLoss, x.K, result.ColumnLoss);
            Copy(_gradients.DCaptions, x.B, result.DCaptions);
            Copy(_gradients.DImages, x.K, result.DImages);
            Copy(_gradients.DExtraNegatives, x.X, result.DExtra);
            return result;
        }

        public void AssertZeroBehind(SimilarityCrossEntropyCase x)
        {
            if (_device.MatMulEngine == MatMulEngine.Cublas)
            {
                // It multiplies all rows that there is room for.
                return;
            }

            Zero(_outputs.RowLoss, x.B);
            Zero(_outputs.ColumnLoss, x.K);
            Zero(_gradients.DCaptions, x.B);
            Zero(_gradients.DImages, x.K);
            Zero(_gradients.DExtraNegatives, x.X);

            void Zero(in Tensor tensor, int rows)
            {
                if (tensor.IsPresent)
                {
                    Assert.All(_backend.Download(tensor.Rows(rows, tensor.Shape[0] - rows)), v => Assert.Equal(0, v));
                }
            }
        }

        public void Dispose() => _workspace.Dispose();

        private void Copy(in Tensor tensor, int rows, float[] destination)
        {
            if (tensor.IsPresent)
            {
                _backend.Download(tensor.Rows(0, rows)).CopyTo(destination, 0);
            }
        }

        private void Fill(in Tensor tensor, float[]? values)
        {
            if (!tensor.IsPresent)
            {
                return;
            }

            float[] all = [.. values!, .. Enumerable.Repeat(float.NaN, (int)tensor.Count - values!.Length)];
            if (tensor.DType == DType.Float32)
            {
                tensor.CopyFrom<float>(all);
            }
            else
            {
                tensor.CopyFrom<BFloat16>(Array.ConvertAll(all, BFloat16.FromSingle));
            }

            Forget(tensor, values.Length);
        }

        private void Fill(in Tensor tensor, int[]? values)
        {
            if (tensor.IsPresent)
            {
                tensor.CopyFrom<int>([.. values!, .. Enumerable.Repeat(int.MaxValue, (int)tensor.Count - values!.Length)]);
                Forget(tensor, values.Length);
            }
        }

        // The emulated device then refuses to read it.
        private void Forget(in Tensor tensor, int count)
        {
            long from = (long)count * tensor.DType.ByteSize();
            if (from < tensor.ByteCount)
            {
                _device.Synchronize();
                _device.Emulation?.MarkUninitialised(tensor.Address + (nint)from, tensor.ByteCount - from);
            }
        }
    }
}

public sealed class EmulatedCudaForwardSimilarityLiveRowsTests(EmulatedCudaForward backend)
    : SimilarityLiveRowsTests(backend, MatMulPrecision.Float32), IClassFixture<EmulatedCudaForward>;

public sealed class EmulatedCudaReverseSimilarityLiveRowsTests(EmulatedCudaReverse backend)
    : SimilarityLiveRowsTests(backend, MatMulPrecision.BFloat16), IClassFixture<EmulatedCudaReverse>;

public sealed class EmulatedCudaRandomSimilarityLiveRowsTests(EmulatedCudaRandom backend)
    : SimilarityLiveRowsTests(backend, MatMulPrecision.Tf32), IClassFixture<EmulatedCudaRandom>;

public sealed class EmulatedCudaCublasSimilarityLiveRowsTests(EmulatedCudaCublas backend)
    : SimilarityLiveRowsTests(backend, MatMulPrecision.Float32), IClassFixture<EmulatedCudaCublas>;

public sealed class CudaSimilarityLiveRowsTests(CudaBackend backend)
    : SimilarityLiveRowsTests(backend, MatMulPrecision.BFloat16), IClassFixture<CudaBackend>;
