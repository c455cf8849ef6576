using System.Text.RegularExpressions;

namespace CrossAlign.Kernels.Tests.Cuda;

/// <summary>
/// What nvcc and NVRTC warn of or refuse in the kernels' sources and clang, which makes the PTX, takes silently: rules that a text can be
/// held to, for where neither compiler is at hand.
/// </summary>
public sealed partial class KernelSourceTests
{
    // Builtins of clang, and its header of built-in variables, stand here alone.
    private const string CompilerHeader = "compiler.cuh";

    private static readonly string s_folder = Path.Combine(AppContext.BaseDirectory, "kernels-cu");

    [Fact]
    public void NoSourceNeedsAStandardHeader() => Check((file, code) =>
        Include().Matches(code).Select(m => m.Value).Where(_ => file != CompilerHeader));

    [Fact]
    public void BuiltinsOfOneCompilerStandInOneHeader() => Check((file, code) =>
        Builtin().Matches(code).Select(m => m.Value).Where(_ => file != CompilerHeader));

    [Fact]
    public void UnrollingIsAskedForDirectlyBeforeALoop() => Check((_, code) => StrayUnroll().Matches(code).Select(m => m.Value));

    [Fact]
    public void NothingIsPrintedAndNothingLivesOutsideOfKernels() => Check((_, code) => ModuleState().Matches(code).Select(m => m.Value));

    [Fact]
    public void EveryFunctionIsOneOfTheDevice() => Check((_, code) => HostFunction().Matches(code).Select(m => m.Value));

    // nvcc gives device code the values of host constants of whole numbers on every system, those of others not with every host compiler.
    [Fact]
    public void ConstantsOutsideOfFunctionsAreWholeNumbers() => Check((_, code) => FloatingConstant().Matches(code).Select(m => m.Value));

    [Fact]
    public void EveryConstantIsUsedInEachFileThatSeesIt()
    {
        foreach (string source in Directory.GetFiles(s_folder, "*.cu"))
        {
            string code = WithIncludes(Path.GetFileName(source), []);
            foreach (string name in Constant().Matches(code).Select(m => m.Groups[1].Value))
            {
                Assert.True(Regex.Count(code, $@"\b{name}\b") > 1, $"{Path.GetFileName(source)} declares {name}, or includes its header, and never uses it.");
            }
        }
    }

    [Fact]
    public void TheSourcesCompileWithTheToolkitsOwnDeclarations()
    {
        string toolkit = Path.Combine(AppContext.BaseDirectory, "Native", "toolkit.h");
        if (CommittedPtxTests.Run("-dumpversion") is null)
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"{CommittedPtxTests.Compiler} is missing, and the way of other compilers must be tried in CI.");
            Assert.Skip($"{CommittedPtxTests.Compiler} is not installed, so the sources cannot be compiled.");
        }

        // Warnings are errors, and a message of the compiler is the failure's.
        Parallel.ForEach(
            Directory.GetFiles(s_folder, "*.cu"),
            new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
            source => CommittedPtxTests.Run("@clang.flags", "-fsyntax-only", "-D__CUDACC_VER_MAJOR__=12", "-include", toolkit, Path.GetFileName(source)));

        // The toolkit's float4 has no constructor, that of compiler.cuh has one.
        string planted = Path.GetTempFileName();
        try
        {
            File.WriteAllText(planted, "#include \"prelude.cuh\"\nextern \"C\" __global__ void planted(float4* p) { *p = float4(1.0f, 2.0f, 3.0f, 4.0f); }\n");
            string[] arguments = ["@clang.flags", "-fsyntax-only", "-I.", planted];
            CommittedPtxTests.Run(arguments);
            Xunit.Sdk.XunitException refused = Assert.ThrowsAny<Xunit.Sdk.XunitException>(
                () => CommittedPtxTests.Run([.. arguments, "-D__CUDACC_VER_MAJOR__=12", "-include", toolkit]));
            Assert.Contains("float4", refused.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(planted);
        }
    }

    [Theory]
    [InlineData("#include <math.h>\n", nameof(Include))]
    [InlineData("float x = __builtin_inff();\n", nameof(Builtin))]
    [InlineData("#pragma unroll\n    int i = 0;\n", nameof(StrayUnroll))]
    [InlineData("__device__ int counter;\n", nameof(ModuleState))]
    [InlineData("printf(\"%d\", 1);\n", nameof(ModuleState))]
    [InlineData("constexpr int twice(int x) { return 2 * x; }\n", nameof(HostFunction))]
    [InlineData("inline int twice(int x) { return 2 * x; }\n", nameof(HostFunction))]
    [InlineData("constexpr float kHalf = 0.5f;\n", nameof(FloatingConstant))]
    [InlineData("constexpr int kUnused = 3;\n", nameof(Constant))]
    public void EachRuleFindsWhatItIsFor(string planted, string rule) => Assert.True(rule switch
    {
        nameof(Include) => Include().IsMatch(planted),
        nameof(Builtin) => Builtin().IsMatch(planted),
        nameof(StrayUnroll) => StrayUnroll().IsMatch(planted),
        nameof(ModuleState) => ModuleState().IsMatch(planted),
        nameof(HostFunction) => HostFunction().IsMatch(planted),
        nameof(FloatingConstant) => FloatingConstant().IsMatch(planted),
        _ => Constant().IsMatch(planted),
    });

    private static void Check(Func<string, string, IEnumerable<string>> faults)
    {
        string[] files = [.. Directory.GetFiles(s_folder, "*.cu"), .. Directory.GetFiles(s_folder, "*.cuh")];
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            string name = Path.GetFileName(file);
            Assert.All(faults(name, Code(name)), fault => Assert.Fail($"{name}: {fault.Trim()}"));
        }
    }

    private static string Code(string name) => Comment().Replace(File.ReadAllText(Path.Combine(s_folder, name)), string.Empty);

    private static string WithIncludes(string name, HashSet<string> seen) => !seen.Add(name) ? string.Empty
        : OwnInclude().Replace(Code(name), m => WithIncludes(m.Groups[1].Value, seen));

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex("""^#include "([^"]+)"$""", RegexOptions.Multiline)]
    private static partial Regex OwnInclude();

    [GeneratedRegex(@"#include\s*<[^\n]*")]
    private static partial Regex Include();

    [GeneratedRegex(@"\b__(builtin|nvvm|has_builtin|attribute)\w*")]
    private static partial Regex Builtin();

    [GeneratedRegex(@"#pragma unroll[^\n]*\n(?!\s*(for|while|do)\b)[^\n]*")]
    private static partial Regex StrayUnroll();

    [GeneratedRegex(@"\bprintf\s*\(|^(__device__|__constant__|__managed__)\s[^(\n]*;", RegexOptions.Multiline)]
    private static partial Regex ModuleState();

    // At the margin a declaration with parentheses that is no __device__ function, no kernel and no macro.
    [GeneratedRegex(@"^(inline|static|constexpr|auto|void|int|float|double|unsigned|bool)\b[^=;\n]*\([^\n]*", RegexOptions.Multiline)]
    private static partial Regex HostFunction();

    [GeneratedRegex(@"^constexpr (float|double|bf16)\b[^\n]*", RegexOptions.Multiline)]
    private static partial Regex FloatingConstant();

    // No template: those that nobody uses are not made.
    [GeneratedRegex(@"(?<!>\r?\n)^constexpr \w+(?: \w+)? (k\w+) =", RegexOptions.Multiline)]
    private static partial Regex Constant();
}
