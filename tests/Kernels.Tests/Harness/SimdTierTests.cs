using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using CrossAlign.Kernels.Cpu.Products;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Tests.Harness;

/// <summary>
/// Runs every <c>Cpu...Tests</c> class of this assembly once more for each other vector width, in a child process with the runtime's own
/// switches, or with 512-bit vectors made of halves, so that a new operation is covered as soon as it has such a class. Cases that would be
/// slow without vectors carry <c>[Trait("Speed", "Slow")]</c> and are left to the process itself.
/// </summary>
public sealed partial class SimdTierTests
{
    /// <summary>Tells a child process which tier it must find; read by <see cref="CpuFeaturesTests"/>.</summary>
    public const string ExpectedTierVariable = "CROSSALIGN_TEST_EXPECTED_TIER";

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(15);

    public static TheoryData<SimdTier, string, string> OtherTiers()
    {
        TheoryData<SimdTier, string, string> data = [];
        foreach ((SimdTier tier, string variable) in ((SimdTier, string)[])
            [(SimdTier.Vector256, "DOTNET_EnableAVX512"), (SimdTier.Vector128, "DOTNET_EnableAVX2"), (SimdTier.Scalar, "DOTNET_EnableHWIntrinsic")])
        {
            if (tier < CpuFeatures.Tier)
            {
                data.Add(tier, variable, "0");
            }
        }

        if (CpuFeatures.Tier == SimdTier.Vector256)
        {
            data.Add(SimdTier.Vector512, CpuFeatures.ForceVariable, "512");
        }

        return data;
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(OtherTiers))]
    public Task EveryCpuOperationPassesItsTestsAtAnotherTier(SimdTier tier, string variable, string value)
    {
        int classes = typeof(SimdTierTests).Assembly.GetTypes().Count(
            t => t.Name.StartsWith("Cpu", StringComparison.Ordinal) && t.Name.EndsWith("Tests", StringComparison.Ordinal) && !t.IsAbstract);
        return RunChildAsync(tier.ToString(), ["*.Cpu*"], classes, new() { [variable] = value, [ExpectedTierVariable] = tier.ToString() });
    }

    /// <summary>Products of bfloat16 pairs as the processor's own instruction forms them, done in C#: the same path on any processor.</summary>
    [Fact]
    public Task ProductsPassTheirTestsWithPairsOfBFloat16() => RunChildAsync(
        BFloat16Products.Variable,
        ["*.CpuMatMulTests", "*.CpuLinearTests", "*.CpuPatchEmbeddingTests", "*.CpuSimilarityBFloat16Tests", "*.BFloat16TileTests"],
        5,
        new() { [BFloat16Products.Variable] = "software" });

    private static async Task RunChildAsync(string name, string[] filters, int classes, Dictionary<string, string> environment)
    {
        string program = Environment.ProcessPath!;
        ProcessStartInfo start = new(program) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            start.ArgumentList.Add(typeof(SimdTierTests).Assembly.Location);
        }

        foreach (string argument in (string[])
            [
                .. filters.SelectMany(f => (string[])["--filter-class", f]),
                "--filter-not-trait", "Speed=Slow", "--minimum-expected-tests", classes.ToString(CultureInfo.InvariantCulture),
                "--no-ansi", "--no-progress", "--auto-reporters", "off", "--results-directory", Path.Combine(Path.GetTempPath(), $"crossalign-{name}-{Environment.ProcessId}"),
            ])
        {
            start.ArgumentList.Add(argument);
        }

        foreach ((string variable, string value) in environment)
        {
            start.Environment[variable] = value;
        }

        using Process child = Process.Start(start)!;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(s_limit);
        Task<string> output = child.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = child.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await child.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            child.Kill(entireProcessTree: true);
            throw;
        }

        string said = await output + await errors;
        Assert.True(child.ExitCode == 0, $"{name} failed with exit code {child.ExitCode}:{Environment.NewLine}{said}");
        Match succeeded = SucceededLine().Match(said);
        Assert.True(
            succeeded.Success && int.Parse(succeeded.Groups[1].ValueSpan, CultureInfo.InvariantCulture) >= classes,
            $"{name} ran too few tests:{Environment.NewLine}{said}");
    }

    [GeneratedRegex(@"succeeded: (\d+)")]
    private static partial Regex SucceededLine();
}
