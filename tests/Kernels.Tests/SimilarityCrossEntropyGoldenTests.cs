using System.Globalization;
using System.Text.Json;
using CrossAlign.Kernels.Tests.Harness;
using CrossAlign.Reference;

namespace CrossAlign.Kernels.Tests;

/// <summary>Golden values of published implementations (open_clip's ClipLoss and SigLipLoss, torch's cross_entropy).</summary>
public abstract class SimilarityCrossEntropyGoldenTests(Backend backend)
{
    private static readonly JsonElement s_index = JsonDocument.Parse(File.ReadAllText(GoldenTensors.PathOf("losses", "index.json"))).RootElement;
    private static readonly GoldenTensors s_inputs = new(GoldenTensors.PathOf("losses", "inputs.safetensors"));
    private static readonly GoldenTensors s_small = new(GoldenTensors.PathOf("losses", "gradients-small.safetensors"));
    private static readonly GoldenTensors s_large = new(GoldenTensors.PathOf("losses", "gradients-large.safetensors"));

    public static TheoryData<string> Cases() => [.. s_index.GetProperty("cases").EnumerateArray().Select(c => c.GetProperty("id").GetString()!)];

    [Fact]
    public void AllPublishedCasesAreThere() => Assert.Equal(144, Cases().Count);

    [Theory]
    [MemberData(nameof(Cases))]
    public void AgreesWithThePublishedImplementation(string id)
    {
        JsonElement golden = s_index.GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("id").GetString() == id);
        SimilarityCrossEntropyCase x = Read(golden);
        Compare(golden, x.Run(backend, out _));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void TheReferenceAgreesWithThePublishedImplementation(string id)
    {
        JsonElement golden = s_index.GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("id").GetString() == id);
        SimilarityCrossEntropyResult<double> actual = SimilarityCrossEntropyReference.Run(Read(golden).ToDouble());
        SimilarityCrossEntropyResult<float> rounded = new(actual.RowLoss.Length, actual.ColumnLoss.Length, 0, actual.DCaptions.Length / actual.RowLoss.Length)
        {
            Loss = (float)actual.Loss,
            DScale = (float)actual.DScale,
            DBias = (float)actual.DBias,
        };
        Round(actual.RowLoss, rounded.RowLoss);
        Round(actual.ColumnLoss, rounded.ColumnLoss);
        Round(actual.DCaptions, rounded.DCaptions);
        Round(actual.DImages, rounded.DImages);
        Compare(golden, rounded);
    }

    private static void Compare(JsonElement golden, SimilarityCrossEntropyResult<float> actual)
    {
        string id = golden.GetProperty("id").GetString()!;
        JsonElement tolerances = golden.GetProperty("scalarAbsoluteTolerance");
        double scale = golden.GetProperty("scale").GetDouble();
        Near("loss", actual.Loss);
        Near("dScale", actual.DScale);
        Near("dLogScale", scale * actual.DScale);
        Near("dBias", actual.DBias);
        Near("rowLoss", actual.RowLoss.Average(v => (double)v));
        Near("columnLoss", actual.ColumnLoss.Average(v => (double)v));
        GoldenTensors file = golden.GetProperty("gradientFile").GetString() == "gradients-small" ? s_small : s_large;
        Whole("dCaptions", actual.DCaptions);
        Whole("dImages", actual.DImages);

        void Near(string name, double value)
        {
            if (golden.TryGetProperty(name + "_f64", out JsonElement expected))
            {
                double error = Math.Abs(value - expected.GetDouble());
                double tolerance = tolerances.GetProperty(name).GetDouble();
                Assert.True(
                    error <= tolerance, string.Create(CultureInfo.InvariantCulture, $"{id}: {name} is {value}, expected {expected}; error / tolerance = {error / tolerance:G3}."));
            }
        }

        void Whole(string name, float[] values)
        {
            string tensor = string.Concat(id, ".", name);
            double[] expected = file.Doubles(file.Contains(tensor + "_f64") ? tensor + "_f64" : tensor);
            Assert.Equal(expected.Length, values.Length);
            Assert.DoesNotContain(values, v => !float.IsFinite(v));
            double errors = 0;
            double norm = 0;
            for (int i = 0; i < values.Length; i++)
            {
                errors += Math.Pow(values[i] - expected[i], 2);
                norm += Math.Pow(expected[i], 2);
            }

            JsonElement relative = golden.GetProperty(name + "Tolerance");
            double tolerance = golden.GetProperty("absoluteFloor").GetDouble()
                + (relative.ValueKind == JsonValueKind.Null ? 0 : relative.GetDouble() * Math.Sqrt(norm));
            Assert.True(
                Math.Sqrt(errors) <= tolerance,
                string.Create(CultureInfo.InvariantCulture, $"{id}: {name} differs by {Math.Sqrt(errors):G4}, allowed are {tolerance:G4}."));
        }
    }

    private static SimilarityCrossEntropyCase Read(JsonElement golden)
    {
        string variant = golden.GetProperty("variant").GetString()!;
        int b = golden.GetProperty("B").GetInt32();
        int k = golden.GetProperty("K").GetInt32();
        SimilarityCrossEntropyOptions options = new()
        {
            Scale = SimilarityCrossEntropyScale.Multiplier,
            Normalize = variant.EndsWith("Normalized", StringComparison.Ordinal),
            Objective = variant.StartsWith("sigmoid", StringComparison.Ordinal) ? SimilarityCrossEntropyObjective.Sigmoid : SimilarityCrossEntropyObjective.Softmax,
            Direction = variant switch
            {
                "captionToImage" or "rectangular" or "rowWeights" or "ignoredRows" => SimilarityCrossEntropyDirection.CaptionToImage,
                "imageToCaption" => SimilarityCrossEntropyDirection.ImageToCaption,
                _ => SimilarityCrossEntropyDirection.Symmetric,
            },
            Groups = variant switch
            {
                "groupShared" => SimilarityCrossEntropyGroups.Shared,
                "groupMasked" => SimilarityCrossEntropyGroups.Masked,
                _ => SimilarityCrossEntropyGroups.None,
            },
        };
        int[]? groups = golden.TryGetProperty("groups", out JsonElement name) ? s_inputs.Ints(name.GetString()!) : null;
        return new SimilarityCrossEntropyCase(
            options,
            b,
            k,
            golden.GetProperty("E").GetInt32(),
            s_inputs.Floats(golden.GetProperty("captions").GetString()!),
            s_inputs.Floats(golden.GetProperty("images").GetString()!),
            (float)golden.GetProperty("scale").GetDouble())
        {
            Bias = golden.TryGetProperty("bias", out JsonElement bias) ? (float)bias.GetDouble() : null,
            Targets = golden.TryGetProperty("targets", out name) ? s_inputs.Ints(name.GetString()!) : null,
            RowWeights = golden.TryGetProperty("rowWeights", out name) ? s_inputs.Floats(name.GetString()!) : null,
            CaptionGroups = groups,
            ImageGroups = groups,
        };
    }

    private static void Round(double[] source, float[] destination) => Array.ConvertAll(source, v => (float)v).CopyTo(destination, 0);
}

public sealed class CpuSimilarityCrossEntropyGoldenTests(CpuBackend backend) : SimilarityCrossEntropyGoldenTests(backend), IClassFixture<CpuBackend>;

public sealed class EmulatedCudaForwardSimilarityCrossEntropyGoldenTests(EmulatedCudaForward backend) : SimilarityCrossEntropyGoldenTests(backend), IClassFixture<EmulatedCudaForward>;

public sealed class CudaSimilarityCrossEntropyGoldenTests(CudaBackend backend) : SimilarityCrossEntropyGoldenTests(backend), IClassFixture<CudaBackend>;
