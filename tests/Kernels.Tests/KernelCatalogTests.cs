namespace CrossAlign.Kernels.Tests;

public sealed class KernelCatalogTests
{
    [Fact]
    public void EveryOperationOfThePublicSurfaceIsThereOnce()
    {
        string[] names = [.. KernelCatalog.Operations.Select(o => o.Operation)];
        Assert.Equal(names.Distinct(StringComparer.Ordinal), names);
        foreach (Type operation in (Type[])[
            typeof(AdamW), typeof(Attention), typeof(Cast), typeof(Dropout), typeof(Embedding), typeof(Gelu), typeof(GradientNorm), typeof(L2Norm), typeof(LayerNorm),
            typeof(Linear), typeof(MatMul), typeof(PatchEmbedding), typeof(Pooling), typeof(Residual), typeof(RetrievalRanks), typeof(SimilarityCrossEntropy)])
        {
            Assert.Contains(operation.Name, names);
        }

        Assert.DoesNotContain(nameof(MatMulRate), names);
    }

    [Fact]
    public void EveryKernelOfThePtxBelongsToAnOperation()
    {
        string[] catalogued = [.. KernelCatalog.Operations.SelectMany(o => o.CudaKernels).Order(StringComparer.Ordinal)];
        string[] carried = [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "kernels-cu", "ptx"), "*.ptx")
            .SelectMany(File.ReadLines)
            .Where(l => l.StartsWith(".visible .entry ", StringComparison.Ordinal))
            .Select(l => l.Split([' ', '('], StringSplitOptions.RemoveEmptyEntries)[2])
            .Order(StringComparer.Ordinal)];
        Assert.NotEmpty(carried);
        Assert.Equal(carried, catalogued);
        Assert.All(KernelCatalog.Operations.Where(o => o.CudaKernels.Count > 0), o => Assert.True(o.HasCuda, o.Operation));
    }

    [Fact]
    public void ModulesOfSeveralSizesBelongToOneOperation()
    {
        KernelCatalogEntry attention = Assert.Single(KernelCatalog.Operations, o => o.Operation == nameof(Attention));
        Assert.Contains("attention_fwd_bf16_32", attention.CudaKernels);
        Assert.Contains("attention_bwd_keys_f32_128", attention.CudaKernels);
        Assert.Equal(30, attention.CudaKernels.Count);
    }
}
