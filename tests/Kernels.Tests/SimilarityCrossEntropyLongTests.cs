using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;

namespace CrossAlign.Kernels.Tests;

/// <summary>
/// The full matrix of sizes, widths and variants up to B = 5000, which takes hours and some GB: with <c>CROSSALIGN_LONG=1</c>,
/// <c>dotnet run --project tests/Kernels.Tests -- --filter-class '*SimilarityCrossEntropyLongTests'</c>. Without it a sample of the
/// same cases runs: every variant once, at sizes that take turns.
/// </summary>
public sealed class SimilarityCrossEntropyLongTests(CpuBackend backend) : IClassFixture<CpuBackend>
{
    private const string Variable = "CROSSALIGN_LONG";

    // Register tiles of 6, 8, 16 and 32 lines, strips of 32, pieces that are multiples of 48, super-tiles of 2064 and two or three of them.
    private static readonly int[] s_sizes =
    [
        1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97, 127, 128, 129, 191, 193, 255, 257, 511, 513, 769, 1000, 1023, 1025, 1500, 2047, 2049, 2063, 2064,
        2065, 2500, 3001, 4095, 4127, 4128, 4129, 5000,
    ];

    private static readonly int[] s_sampledSizes = [5, 31, 48, 65, 96, 97, 129, 193];

    private static readonly int[] s_widths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257, 512, 769];

    private static bool IsLong => Environment.GetEnvironmentVariable(Variable) == "1";

    public static TheoryData<string, int> VariantsAndSizes()
    {
        TheoryData<string, int> data = [];
        int index = 0;
        foreach (string variant in SimilarityCrossEntropyVariants.Names)
        {
            foreach (int size in IsLong ? s_sizes : [s_sampledSizes[index++ % s_sampledSizes.Length]])
            {
                data.Add(variant, size);
            }
        }

        return data;
    }

    public static TheoryData<int, int> SizesAndWidths()
    {
        TheoryData<int, int> data = [];
        int index = 0;
        foreach (int width in s_widths)
        {
            // Of what the reference can do within minutes.
            foreach (int size in IsLong ? s_sizes.Where(b => (long)b * b * width <= 400_000_000) : [s_sampledSizes[index++ % s_sampledSizes.Length]])
            {
                data.Add(size, width);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(VariantsAndSizes))]
    public void EveryVariantAtEverySizeIsWithinTheErrorBudget(string variant, int b) => Check(SimilarityCrossEntropyVariants.Case(variant, b, 300));

    [Theory]
    [MemberData(nameof(SizesAndWidths))]
    public void EverySizeAtEveryWidthIsWithinTheErrorBudget(int b, int e) =>

        // A normalised row of one number is a sign: its gradient is nothing but rounding.
        Check(SimilarityCrossEntropyCase.Seeded(new() { Normalize = e > 1 }, b, b, e, 400) with { Scale = e > 1 ? MathF.Log(14) : 0 });

    private void Check(SimilarityCrossEntropyCase x)
    {
        string? wrong = SimilarityCrossEntropyBudget.Explain(x, SimilarityCrossEntropyReference.Run(x.ToDouble()), x.Run(backend, out _));
        Assert.True(wrong is null, wrong);
    }
}
