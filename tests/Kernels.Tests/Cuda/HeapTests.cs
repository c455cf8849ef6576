using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>An operation on a CUDA device puts nothing on the managed heap, whatever of it reaches the driver: a driver that does nothing stands for one.</summary>
public sealed class HeapTests : IDisposable
{
    private const int N = 40;
    private const int C = 64;

    private readonly IdleDriver _driver = new();
    private readonly CudaDevice _device;
    private readonly List<IDisposable> _owned = [];

    public HeapTests() => _device = new CudaDevice(_driver, null, 0, "idle", poolsMemory: true);

    public static TheoryData<DType> Types() => [DType.Float32, DType.BFloat16];

    public void Dispose()
    {
        _owned.ForEach(o => o.Dispose());
        _device.Dispose();
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void EveryOperationPutsNothingOnTheManagedHeap(DType dtype)
    {
        Dictionary<string, Action> operations = Operations(dtype);
        Assert.Equal(KernelCatalog.Operations.Where(o => o.HasCuda).Select(o => o.Operation).Order(), operations.Keys.Order());
        foreach ((string name, Action run) in operations)
        {
            // Kernels are looked up and working memory is taken; each of the first 64 uploads takes its page-locked memory.
            for (int i = 0; i < 65; i++)
            {
                run();
            }

            int allocations = _driver.AllocationCount;
            int launches = _driver.LaunchCount;
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 20; i++)
            {
                run();
            }

            long after = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(after == before, $"{name}: {after - before} bytes on the managed heap in 20 calls.");
            Assert.True(_driver.AllocationCount == allocations, $"{name} takes memory of the device at every call.");
            Assert.True(_driver.LaunchCount >= launches + 20, $"{name} launched nothing.");
        }
    }

    [Fact]
    public void AReplayedGraphPutsNothingOnTheManagedHeap()
    {
        Dictionary<string, Action> operations = Operations(DType.Float32);
        Action layerNorm = operations[nameof(LayerNorm)];
        layerNorm();
        using CudaGraph graph = CudaGraph.Capture(_device, layerNorm);
        graph.Launch();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++)
        {
            graph.Launch();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(21, _driver.GraphLaunchCount);
    }

    [Fact]
    public void CopiesPutNothingOnTheManagedHeap()
    {
        Tensor x = New(DType.Float32, N, C);
        Tensor y = New(DType.Float32, N, C);
        float[] host = new float[N * C];
        for (int i = 0; i < 100; i++)
        {
            Copy();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Copy();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Copy()
        {
            x.CopyFrom<float>(host);
            _device.Copy(x, y);
            _device.Zero(x);
            _device.CopyToHost(y, System.Runtime.InteropServices.MemoryMarshal.AsBytes(host.AsSpan()));
        }
    }

    private Tensor New(DType dtype, params ReadOnlySpan<int> extents)
    {
        Tensor tensor = _device.NewTensor(dtype, extents.Length switch { 1 => new Shape(extents[0]), 2 => new Shape(extents[0], extents[1]), _ => new Shape(extents[0], extents[1], extents[2], extents[3]) });
        _owned.Add(tensor.Memory);
        return tensor;
    }

    private Dictionary<string, Action> Operations(DType dtype)
    {
        Tensor x = New(dtype, N, C);
        Tensor y = New(dtype, N, C);
        Tensor dX = New(dtype, N, C);
        Tensor qkv = New(dtype, N, 3 * C);
        Tensor dQkv = New(dtype, N, 3 * C);
        Tensor lse = New(DType.Float32, N, 2);
        Tensor other = New(dtype == DType.Float32 ? DType.BFloat16 : DType.Float32, N, C);
        Tensor weight = New(DType.Float32, C, C);
        Tensor typedWeight = New(dtype, C, C);
        Tensor dWeight = New(DType.Float32, C, C);
        Tensor line = New(DType.Float32, C);
        Tensor dLine = New(DType.Float32, C);
        Tensor rows = New(DType.Float32, N);
        Tensor moreRows = New(DType.Float32, N);
        Tensor ids = New(DType.Int32, N);
        Tensor ends = New(DType.Int32, 3);
        Tensor pooled = New(dtype, 2, C);
        Tensor keys = New(DType.Int32, N, 2);
        Tensor table = New(DType.Float32, 100, C);
        Tensor dTable = New(DType.Float32, 100, C);
        Tensor pixels = New(DType.Float32, 2, 3, 16, 16);
        Tensor patchWeight = New(DType.Float32, C, 3 * 8 * 8);
        Tensor patchPosition = New(DType.Float32, 5, C);
        Tensor patches = New(dtype, 2 * 5, C);
        Tensor top = New(DType.Int32, N, 5);
        Tensor norm = New(DType.Float32, GradientNorm.ResultLength);
        Tensor one = New(DType.Float32, 1);
        Tensor dOne = New(DType.Float32, 1);
        Tensor loss = New(DType.Float32, 1);
        Tensor dCaptions = New(DType.Float32, N, C);
        Tensor dImages = New(DType.Float32, N, C);
        AdamWParameters parameters = new(_device, new AdamWParameter(weight, dWeight, New(DType.Float32, C, C), New(DType.Float32, C, C), New(DType.BFloat16, C, C)));
        SimilarityCrossEntropyWorkspace workspace = new(_device, new SimilarityCrossEntropyOptions(), N, N, C);
        _owned.Add(parameters);
        _owned.Add(workspace);
        DropoutSite site = new(0.1f, 1, 2, keys);
        return new Dictionary<string, Action>(StringComparer.Ordinal)
        {
            [nameof(AdamW)] = () => AdamW.Step(parameters, new AdamWSettings(1e-3, 1), norm),
            [nameof(Attention)] = () =>
            {
                Attention.Forward(qkv, ends, y, lse, 2);
                Attention.Backward(y, qkv, ends, y, lse, dQkv, 2);
            },
            [nameof(Cast)] = () => Cast.Run(x, other),
            [nameof(Dropout)] = () => Dropout.Forward(x, y, site),
            [nameof(Embedding)] = () =>
            {
                Embedding.Forward(ids, ids, default, table, table, default, y);
                Embedding.Backward(y, ids, ids, default, dTable, dTable, default);
            },
            [nameof(Gelu)] = () =>
            {
                Gelu.Forward(GeluKind.Erf, x, line, y);
                Gelu.Backward(GeluKind.Erf, y, x, line, dX, dLine);
            },
            [nameof(GradientNorm)] = () => GradientNorm.Run(parameters, 1, norm),
            [nameof(L2Norm)] = () =>
            {
                L2Norm.Forward(x, y, rows);
                L2Norm.Backward(x, y, rows, dX);
            },
            [nameof(LayerNorm)] = () =>
            {
                LayerNorm.Forward(x, line, line, y, rows, moreRows, 1e-5f);
                LayerNorm.Backward(y, x, line, rows, moreRows, dX, dLine, dLine);
            },
            [nameof(Linear)] = () =>
            {
                Linear.Forward(x, typedWeight, line, y);
                Linear.Backward(y, x, typedWeight, dX, dWeight, dLine);
            },
            [nameof(MatMul)] = () => MatMul.Run(x, typedWeight, y, MatMulLayout.NT),
            [nameof(PatchEmbedding)] = () =>
            {
                PatchEmbedding.Forward(pixels, patchWeight, line, line, patchPosition, patches, 8);
                PatchEmbedding.Backward(patches, pixels, patchWeight, dLine, dLine, patchPosition, 8);
            },
            [nameof(Pooling)] = () =>
            {
                Pooling.Forward(PoolingKind.Mean, x, ends, pooled);
                Pooling.Backward(PoolingKind.Mean, pooled, ends, dX);
            },
            [nameof(Residual)] = () => Residual.Add(x, y, y),
            [nameof(RetrievalRanks)] = () =>
            {
                RetrievalRanks.Run(x, y, ids, ids);
                RetrievalRanks.TopK(x, y, top);
            },
            [nameof(SimilarityCrossEntropy)] = () =>
            {
                SimilarityCrossEntropyInputs inputs = new() { Captions = x, Images = y, Scale = one };
                SimilarityCrossEntropyOutputs outputs = new() { Loss = loss };
                SimilarityCrossEntropyGradients gradients = new() { DCaptions = dCaptions, DImages = dImages, DScale = dOne };
                SimilarityCrossEntropy.ForwardBackward(workspace, inputs, outputs, gradients);
            },
        };
    }
}
