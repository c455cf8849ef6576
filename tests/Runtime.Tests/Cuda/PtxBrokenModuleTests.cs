using System.Globalization;
using System.Text;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Texts that are no PTX, or ask for what is not there: refused when they are loaded, by name and line, whatever is wrong with them.</summary>
public sealed class PtxBrokenModuleTests
{
    private const string Head = ".version 7.0\n.target sm_80\n.address_size 64\n";

    [Theory]
    [InlineData("ld.bogus.global.u32 %r3, [%rd3]")]
    [InlineData("ld.global.L1::no_allocate.u32 %r3, [%rd3]")]
    [InlineData("ld.global.v4.u32 %r3, [%rd3]")]
    [InlineData("ld.global.v2.u32 {%r3, %r4, %r5, %r6}, [%rd3]")]
    [InlineData("ld.global.v3.u32 {%r3, %r4, %r5}, [%rd3]")]
    [InlineData("ld.global.v4.f64 {%fd1, %fd2, %fd3, %fd4}, [%rd3]")]
    [InlineData("ld.global.f16 %rs1, [%rd3]")]
    [InlineData("ld.global.u32 %f1, [%rd3]")]
    [InlineData("ld.global.u32 7, [%rd3]")]
    [InlineData("ld.global.u32 %r3, [%f3]")]
    [InlineData("ld.global.u32 %r3, [tile]")]
    [InlineData("ld.global.u32 %r3, [%rd3+9999999999]")]
    [InlineData("st.global.nc.u32 [%rd3], %r1")]
    [InlineData("st.param.u64 [bench_param_0], %rd3")]
    [InlineData("add.bogus.f32 %f1, %f2, %f3")]
    [InlineData("add.ftz.f32 %f1, %f2, %f3")]
    [InlineData("add.rn.s32 %r3, %r1, %r1")]
    [InlineData("add.f32 %f1, %f2")]
    [InlineData("add.s32 %r3, %r1, %r1, %r1")]
    [InlineData("add.s32 %f1, %f2, %f3")]
    [InlineData("add.f32 %f1, %f2, 1")]
    [InlineData("add.s32 %tid.x, %r1, 1")]
    [InlineData("fma.f32 %f1, %f2, %f3, %f4")]
    [InlineData("fma.rn.f32 %f1, %f2, %f3")]
    [InlineData("fma.rn.bf16x2 %r3, %r1, %r1, %r1")]
    [InlineData("mul.s32 %r3, %r1, %r1")]
    [InlineData("mad.s32 %r3, %r1, %r1, %r1")]
    [InlineData("div.f32 %f1, %f2, %f3")]
    [InlineData("ex2.f32 %f1, %f2")]
    [InlineData("setp.lt.bogus.s32 %p1, %r1, %r2")]
    [InlineData("setp.lt.ftz.f32 %p1, %f1, %f2")]
    [InlineData("setp.foo.s32 %p1, %r1, %r2")]
    [InlineData("selp.s32 %r3, %r1, %r2")]
    [InlineData("cvt.bogus.f32.s32 %f1, %r1")]
    [InlineData("cvt.f32.s32 %f1, %r1")]
    [InlineData("cvt.s32.f32 %r3, %f1")]
    [InlineData("cvt.f32.bf16 %f1, %rs1")]
    [InlineData("cvt.rn.relu.bf16x2.f32 %r3, %f1, %f2")]
    [InlineData("mov.u64 %rd8, %tid.x")]
    [InlineData("mov.u32 %r3, %clock")]
    [InlineData("mov.u32 %r3, %nobody")]
    [InlineData("mov.b32 %r3, {%rs1, %rs2, %rs3}")]
    [InlineData("shfl.sync.bogus.b32 %r3, %r1, 1, 31, -1")]
    [InlineData("shfl.bfly.b32 %r3, %r1, 1, 31")]
    [InlineData("vote.sync.bogus.pred %p1, %p2, -1")]
    [InlineData("redux.sync.bogus.u32 %r3, %r1, -1")]
    [InlineData("redux.sync.add.f32 %f1, %f2, -1")]
    [InlineData("match.all.sync.b32 %r3, %r1, -1")]
    [InlineData("membar.bogus")]
    [InlineData("bar.sync 17")]
    [InlineData("bar.sync 0, 32")]
    [InlineData("bar.sync %r1")]
    [InlineData("nanosleep.bogus 1")]
    [InlineData("atom.global.add.u16 %rs1, [%rd3], %rs2")]
    [InlineData("atom.global.add.f64 %fd1, [%rd3], %fd2")]
    [InlineData("atom.global.cas.b32 %r3, [%rd3], %r1")]
    [InlineData("atom.global.inc.u64 %rd3, [%rd3], %rd4")]
    [InlineData("atom.global.bogus.u32 %r3, [%rd3], %r1")]
    [InlineData("atom.add.u32 %r3, [%rd3], %r1, %r1, %r1")]
    [InlineData("cp.async.wait_group %r1")]
    [InlineData("cp.async.wait_group -1")]
    [InlineData("cp.async.cg.shared.global [%r1], [%rd3], 8")]
    [InlineData("cp.async.ca.shared.global [%r1], [%rd3], 5")]
    [InlineData("cp.bogus")]
    [InlineData("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4}, [%r1]")]
    [InlineData("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2}, {%r1}, {%r1, %r1}, {%f1}")]
    [InlineData("mma.sync.aligned.m16n8k16.row.row.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%f1, %f2, %f3, %f4}")]
    [InlineData("bra NOWHERE")]
    [InlineData("call (%r3), foo, (%r1)")]
    [InlineData("trap")]
    [InlineData("griddepcontrol.wait")]
    [InlineData("ld.param.u32 %r3, [bench_param_0+1000000000]")]
    [InlineData("ld.param.u32 %r3, [bench_param_1+8]")]
    [InlineData("ld.param.u32 %r3, [bench_param_1+2]")]
    [InlineData("ld.param.u64 %rd8, [bench_param_0+-4096]")]
    [InlineData("ld.param.u64 %rd8, [bench_param_9]")]
    [InlineData("setp")]
    [InlineData("mbarrier")]
    public void AnInstructionThatIsNoneIsRefusedByItsNameAndLine(string instruction)
    {
        string text = PtxBench.Wrap(instruction + ";");
        int line = text[..text.IndexOf(instruction, StringComparison.Ordinal)].Count(c => c == '\n') + 1;
        (CuResult result, string? log) = Load(text);
        Assert.Equal(CuResult.InvalidPtx, result);
        Assert.Contains(instruction.Split(' ')[0], log, StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"PTX line {line}:"), log, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Broken() => new()
    {
        { "", ".version" },
        { ".version x", "version" },
        { ".version", "version" },
        { ".version 7.0\n.target sm_xx\n", "'xx'" },
        { ".version 7.0\n.target sm_80\n.address_size 32\n", "'32'" },
        { Head + ".file 1\n", ".file" },
        { Head + ".section .debug {", ".section" },
        { Head + "/* without an end", "comment" },
        { Head + ".func foo(){ret;}", ".func" },
        { Head + ".entry", "ends" },
        { Head + ".entry k", "k" },
        { Head + ".entry k(", "k" },
        { Head + ".entry k(){", "k" },
        { Head + ".entry k(.param .u64){ret;}", "name" },
        { Head + ".entry k(.param p){ret;}", "type" },
        { Head + ".entry k(.param .u64 p[){ret;}", "end" },
        { Head + ".entry k(.param .u64 p[]){ret;}", "size" },
        { Head + ".entry k(.param .u64 p[99999999999]){ret;}", "99999999999" },
        { Head + ".entry k(.param .align 0 .b8 p[4]){ret;}", "alignment" },
        { Head + ".entry k(.param .b8 p[2000000000]){ret;}", "4352" },
        { Head + ".entry k(.param .b8 p[4352], .param .b8 q){ret;}", "4352" },
        { Head + ".entry k(.param .u64 p, .param .u64 p){ret;}", "twice" },
        { Head + ".entry k(){.reg .b32 %r<2000000000>;ret;}", "65536" },
        { Head + ".entry k(){.reg .b32 %r<-5>;ret;}", "-5" },
        { Head + ".entry k(){.reg .q32 %r;ret;}", ".q32" },
        { Head + ".entry k(){.reg .b32 %r<5>;.reg .b64 %r<5>;ret;}", "twice" },
        { Head + ".entry k(){}", "k" },
        { Head + ".entry k(){ret;}}", "}" },
        { Head + ".entry k(){ret;} .entry k(){ret;}", "twice" },
        { Head + ".entry k(){L: L: ret;}", "twice" },
        { Head + ".entry k(){bra L; L:}", "bra" },
        { Head + ".entry k(){@ret;}", "@ret" },
        { Head + ".entry k(){.reg .b32 %r<2>; @%r1 ret; ret;}", "%r1" },
        { Head + ".entry k(){.reg .b32 %r<2>; mov.u32 %r1,,2; ret;}", "missing" },
        { Head + ".entry k(){.reg .b32 %r<2>; mov.u32 {,},%r1; ret;}", "missing" },
        { Head + ".entry k(){.reg .b32 %r<2>; mov.u32 %r1,0xZZ; ret;}", "0xZZ" },
        { Head + ".entry k(){.shared .align 0 .b8 s[4];ret;}", "alignment" },
        { Head + ".entry k(){.shared .b8 s[2147483647];ret;}", "49152" },
        { Head + ".entry k(){.shared .b8 s[-4];ret;}", "-4" },
        { Head + ".entry k(){.loc x y;ret;}", "'x'" },
        { Head + ".entry k() .maxntid x {ret;}", "'x'" },
        { Head + ".entry k() .maxntid 0 {ret;}", ".maxntid" },
        { Head + ".entry k() .bogus 1 {ret;}", ".bogus" },
        { Head + ".entry k(){" + new string('{', 60000) + "ret;" + new string('}', 60000) + "}", "nested" },
        { Head + ".entry k(){.reg .b32 %r<2>; mov.b32 " + new string('{', 60000) + "%r1" + new string('}', 60000) + ",%r1; ret;}", "braces" },
    };

    [Theory]
    [MemberData(nameof(Broken), DisableDiscoveryEnumeration = true)]
    public void ATextThatIsNoModuleIsRefusedWithWhatIsWrong(string text, string named)
    {
        (CuResult result, string? log) = Load(text);
        Assert.Equal(CuResult.InvalidPtx, result);
        Assert.Contains(named, log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(64u, 1u, CuResult.Success)]
    [InlineData(32u, 1u, CuResult.InvalidValue)]
    [InlineData(32u, 2u, CuResult.InvalidValue)]
    public unsafe void ABlockOtherThanTheRequiredOneIsRefused(uint x, uint y, CuResult expected)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        fixed (byte* text = Encoding.UTF8.GetBytes(Head + ".visible .entry k()\n.reqntid 64, 1, 1\n{ ret; }\0"), name = "k\0"u8)
        {
            Assert.Equal(CuResult.Success, driver.ModuleLoadData(out nint module, text));
            Assert.Equal(CuResult.Success, driver.ModuleGetFunction(out nint function, module, name));
            void* none = null;
            Assert.Equal(expected, driver.LaunchKernel(function, 1, 1, 1, x, y, 1, 0, 0, &none, null));
        }
    }

    /// <summary>What compilers write besides what this project's kernels hold.</summary>
    [Theory]
    [InlineData("{ bra DONE; DONE: } { bra DONE; DONE: }")]
    [InlineData("AGAIN: { .reg .pred q; setp.lt.u32 q, %r1, 0; @q bra AGAIN; }")]
    [InlineData("mul.f32 %r3, %r1, %r1;")]
    [InlineData("and.b32 %f1, %f2, %f3;")]
    [InlineData("/* a comment */ mov.f32 %f1, 0f3F800000;")]
    [InlineData("setp.lt.and.s32 %p1|%p2, %r1, %r2, !%p3;")]
    [InlineData("atom.global.cas.b32 %r3, [%rd3], %r1, 0;")]
    [InlineData("membar.gl; fence.acq_rel.gpu;")]
    public void WhatIsPtxLoads(string body) => Assert.Equal((CuResult.Success, null), Load(PtxBench.Wrap(body)));

    [Fact]
    public void APointersAlignmentIsNotItsParameters()
    {
        PtxParameter[] parameters = PtxLoader.Load(Head + ".entry k(.param .u32 n, .param .u64 .ptr .global .align 16 p, .param .align 4 .b8 s[12]){ret;}", 80).Kernels[0].Parameters;
        Assert.Equal([(0, 4), (8, 8), (16, 4)], parameters.Select(p => (p.Offset, p.Alignment)));
    }

    private static unsafe (CuResult Result, string? Log) Load(string text)
    {
        using EmulatedDriver driver = new(new EmulationOptions());
        fixed (byte* bytes = Encoding.UTF8.GetBytes(text + "\0"))
        {
            return (driver.ModuleLoadData(out _, bytes), driver.ErrorDetail);
        }
    }
}
