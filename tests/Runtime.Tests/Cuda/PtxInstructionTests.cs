using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Single instructions against what the PTX ISA manual says of them.</summary>
public sealed class PtxInstructionTests
{
    private static readonly uint[] s_lanes = [.. Enumerable.Range(0, 32).Select(i => (uint)i)];

    [Theory]
    [InlineData("shl.b32 %r20, %r10, %r11;", 1u, 31u, 0x80000000u)]
    [InlineData("shl.b32 %r20, %r10, %r11;", 1u, 32u, 0u)]
    [InlineData("shr.u32 %r20, %r10, %r11;", 0x80000000u, 40u, 0u)]
    [InlineData("shr.s32 %r20, %r10, %r11;", 0x80000000u, 40u, 0xFFFFFFFFu)]
    [InlineData("mul.hi.u32 %r20, %r10, %r11;", 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFEu)]
    [InlineData("mul.hi.s32 %r20, %r10, %r11;", 0xFFFFFFFFu, 2u, 0xFFFFFFFFu)]
    [InlineData("mul.lo.s32 %r20, %r10, %r11;", 0x10001u, 0x10001u, 0x20001u)]
    [InlineData("{ .reg .b16 x; .reg .b16 y; cvt.u16.u32 x, %r10; cvt.u16.u32 y, %r11; mul.wide.u16 %r20, x, y; }", 0xFFFFFu, 0xFFFEu, 0xFFFD0002u)]
    [InlineData("{ .reg .b16 x; .reg .b16 y; cvt.u16.u32 x, %r10; cvt.u16.u32 y, %r11; mul.wide.s16 %r20, x, y; }", 0xFFFFu, 3u, 0xFFFFFFFDu)]
    [InlineData("{ .reg .b16 x; .reg .b16 y; cvt.u16.u32 x, %r10; cvt.u16.u32 y, %r11; mul.hi.u16 x, x, y; cvt.u32.u16 %r20, x; }", 0xFFFFFu, 0xFFFEu, 0xFFFDu)]
    [InlineData("{ .reg .b16 x; cvt.u16.u32 x, %r10; shr.s16 x, x, %r11; cvt.u32.u16 %r20, x; }", 0x8123u, 4u, 0xF812u)]
    [InlineData("{ .reg .b16 x; cvt.u16.u32 x, %r10; shr.s16 x, x, %r11; cvt.u32.u16 %r20, x; }", 0x8123u, 99u, 0xFFFFu)]
    [InlineData("div.s32 %r20, %r10, %r11;", 0xFFFFFFF9u, 2u, 0xFFFFFFFDu)]
    [InlineData("rem.s32 %r20, %r10, %r11;", 0xFFFFFFF9u, 2u, 0xFFFFFFFFu)]
    [InlineData("div.u32 %r20, %r10, %r11;", 7u, 0u, 0xFFFFFFFFu)]
    [InlineData("min.s32 %r20, %r10, %r11;", 0xFFFFFFFFu, 1u, 0xFFFFFFFFu)]
    [InlineData("min.u32 %r20, %r10, %r11;", 0xFFFFFFFFu, 1u, 1u)]
    [InlineData("prmt.b32 %r20, %r10, %r11, 0x5410;", 0x33221100u, 0x77665544u, 0x55441100u)]
    [InlineData("prmt.b32 %r20, %r10, %r11, 0x8888;", 0x00000080u, 0u, 0xFFFFFFFFu)]
    [InlineData("bfe.u32 %r20, %r10, 4, 8;", 0x12345678u, 0u, 0x67u)]
    [InlineData("bfe.s32 %r20, %r10, 4, 8;", 0x00000F80u, 0u, 0xFFFFFFF8u)]
    [InlineData("popc.b32 %r20, %r10;", 0xF0F0u, 0u, 8u)]
    [InlineData("clz.b32 %r20, %r10;", 0u, 0u, 32u)]
    [InlineData("shf.l.wrap.b32 %r20, %r10, %r11, 8;", 0xAABBCCDDu, 0x11223344u, 0x223344AAu)]
    [InlineData("mad.lo.s32 %r20, %r10, %r11, 5;", 3u, 4u, 17u)]
    [InlineData("{ .reg .b16 lo; .reg .b16 hi; mov.b32 {lo, hi}, %r10; mov.b32 %r20, {hi, lo}; }", 0x11112222u, 0u, 0x22221111u)]
    [InlineData("{ .reg .b64 w; .reg .b64 x; mov.b64 w, {%r10, %r11}; cvt.s64.s32 x, w; shr.u64 x, x, 32; cvt.u32.u64 %r20, x; }", 0x80000000u, 7u, 0xFFFFFFFFu)]
    [InlineData("{ .reg .b64 w; .reg .b64 x; mov.b64 w, {%r10, %r11}; cvt.u64.u32 x, w; shr.u64 x, x, 32; cvt.u32.u64 %r20, x; }", 0x80000000u, 7u, 0u)]
    [InlineData("{ .reg .pred q; setp.lt.s32 q, %r10, %r11; selp.b32 %r20, 1, 2, q; }", 0xFFFFFFFFu, 0u, 1u)]
    [InlineData("{ .reg .pred q; setp.lt.u32 q, %r10, %r11; selp.b32 %r20, 1, 2, q; }", 0xFFFFFFFFu, 0u, 2u)]
    public void IntegerInstructions(string instruction, uint a, uint b, uint expected) =>
        Assert.Equal(expected, PtxBench.Evaluate(instruction, [a], [b])[0]);

    [Theory]
    [InlineData("cvt.rni.s32.f32 %r20, %f10;", 2.5f, 2)]
    [InlineData("cvt.rni.s32.f32 %r20, %f10;", 3.5f, 4)]
    [InlineData("cvt.rzi.s32.f32 %r20, %f10;", -2.9f, -2)]
    [InlineData("cvt.rmi.s32.f32 %r20, %f10;", -2.1f, -3)]
    [InlineData("cvt.rpi.s32.f32 %r20, %f10;", 2.1f, 3)]
    [InlineData("cvt.rzi.s32.f32 %r20, %f10;", 1e20f, int.MaxValue)]
    [InlineData("cvt.rzi.s32.f32 %r20, %f10;", float.NaN, 0)]
    [InlineData("cvt.rzi.u32.f32 %r20, %f10;", -1f, 0)]
    public void ConversionsToIntegersRoundAndClamp(string instruction, float a, int expected) =>
        Assert.Equal(expected, (int)PtxBench.Evaluate(instruction, [Bits(a)])[0]);

    [Theory]
    [InlineData("cvt.rn.f32.u32 %f20, %r10;", 0x01000003u, 0x01000004u)]
    [InlineData("cvt.rz.f32.u32 %f20, %r10;", 0x01000003u, 0x01000002u)]
    [InlineData("cvt.rp.f32.u32 %f20, %r10;", 0x01000001u, 0x01000002u)]
    public void ConversionsToFloatsRound(string instruction, uint a, uint expected) =>
        Assert.Equal((float)expected, Single(PtxBench.Evaluate(instruction, [a])[0]));

    [Fact]
    public void PairsOfBFloat16HoldTheFirstSourceInTheHighHalf()
    {
        // 1 + 2^-8 is a tie and goes to even, 1 + 3 2^-8 goes up.
        uint packed = PtxBench.Evaluate("cvt.rn.bf16x2.f32 %r20, %f10, %f11;", [Bits(1.00390625f)], [Bits(1.01171875f)])[0];
        Assert.Equal(0x3F803F82u, packed);
        Assert.Equal(0x7FFFu, PtxBench.Evaluate("cvt.rn.bf16x2.f32 %r20, %f11, %f10;", [Bits(float.NaN)], [0])[0]);
    }

    [Fact]
    public void Tf32RoundsTiesAwayFromZero()
    {
        Assert.Equal(0x3F802000u, PtxBench.Evaluate("cvt.rna.tf32.f32 %r20, %f10;", [0x3F801000])[0]);
        Assert.Equal(0x3F800000u, PtxBench.Evaluate("cvt.rna.tf32.f32 %r20, %f10;", [0x3F800FFF])[0]);
    }

    [Theory]
    [InlineData("min.f32 %f20, %f10, %f11;", float.NaN, 1f, 1f)]
    [InlineData("max.f32 %f20, %f10, %f11;", 1f, float.NaN, 1f)]
    [InlineData("max.NaN.f32 %f20, %f10, %f11;", 1f, float.NaN, float.NaN)]
    [InlineData("fma.rn.f32 %f20, %f10, %f11, 0fBF800000;", 1.0000001f, 1.0000001f, 2.3841858e-07f)]
    [InlineData("div.rn.f32 %f20, %f10, %f11;", 1f, 3f, 0.33333334f)]
    [InlineData("sqrt.rn.f32 %f20, %f10;", 2f, 0f, 1.4142135f)]
    public void FloatInstructions(string instruction, float a, float b, float expected) =>
        Assert.Equal(expected, Single(PtxBench.Evaluate(instruction, [Bits(a)], [Bits(b)])[0]));

    [Theory]
    [InlineData("lt", 1f, 2f, true)]
    [InlineData("lt", float.NaN, 2f, false)]
    [InlineData("ltu", float.NaN, 2f, true)]
    [InlineData("ne", float.NaN, 2f, false)]
    [InlineData("neu", float.NaN, 2f, true)]
    [InlineData("equ", 1f, 2f, false)]
    [InlineData("nan", float.NaN, 2f, true)]
    [InlineData("num", 1f, 2f, true)]
    public void FloatComparisonsKnowNaN(string comparison, float a, float b, bool expected) => Assert.Equal(
        expected ? 1u : 2u,
        PtxBench.Evaluate($"setp.{comparison}.f32 %p1, %f10, %f11; selp.b32 %r20, 1, 2, %p1;", [Bits(a)], [Bits(b)])[0]);

    [Fact]
    public void ShufflesMoveValuesBetweenLanes()
    {
        // Clamp and segment mask as CUDA C++ makes them: width 32: 0x1F (down, bfly, idx) and 0 (up); width 8: 0x181F and 0x1800.
        Assert.Equal(s_lanes.Select(i => i ^ 5), PtxBench.Evaluate("shfl.sync.bfly.b32 %r20, %r10, 5, 31, -1;", s_lanes));
        Assert.Equal(s_lanes.Select(i => i < 3 ? i : i - 3), PtxBench.Evaluate("shfl.sync.up.b32 %r20, %r10, 3, 0, -1;", s_lanes));
        Assert.Equal(s_lanes.Select(i => i + 3 > 31 ? i : i + 3), PtxBench.Evaluate("shfl.sync.down.b32 %r20, %r10, 3, 31, -1;", s_lanes));
        Assert.Equal(s_lanes.Select(_ => 7u), PtxBench.Evaluate("shfl.sync.idx.b32 %r20, %r10, 7, 31, -1;", s_lanes));
        Assert.Equal(s_lanes.Select(i => (i & ~7u) + 2), PtxBench.Evaluate("shfl.sync.idx.b32 %r20, %r10, 2, 0x181F, -1;", s_lanes));
        Assert.Equal(s_lanes.Select(i => i % 8 < 2 ? i : i - 2), PtxBench.Evaluate("shfl.sync.up.b32 %r20, %r10, 2, 0x1800, -1;", s_lanes));
        Assert.Equal(
            s_lanes.Select(i => i + 3 > 31 ? 0u : 1u),
            PtxBench.Evaluate("shfl.sync.down.b32 %r13|%p1, %r10, 3, 31, -1; selp.b32 %r20, 1, 0, %p1;", s_lanes));
    }

    [Fact]
    public void VotesMatchesAndReductions()
    {
        Assert.All(PtxBench.Evaluate("setp.lt.u32 %p1, %r10, 4; vote.sync.ballot.b32 %r20, %p1, -1;", s_lanes), v => Assert.Equal(0xFu, v));
        Assert.All(PtxBench.Evaluate("setp.lt.u32 %p1, %r10, 4; vote.sync.any.pred %p2, %p1, -1; selp.b32 %r20, 1, 0, %p2;", s_lanes), v => Assert.Equal(1u, v));
        Assert.All(PtxBench.Evaluate("setp.lt.u32 %p1, %r10, 4; vote.sync.all.pred %p2, %p1, -1; selp.b32 %r20, 1, 0, %p2;", s_lanes), v => Assert.Equal(0u, v));
        Assert.Equal(
            s_lanes.Select(i => 0x01010101u << (int)(i % 8)),
            PtxBench.Evaluate("and.b32 %r13, %r10, 7; match.any.sync.b32 %r20, %r13, -1;", s_lanes));
        Assert.All(PtxBench.Evaluate("redux.sync.add.s32 %r20, %r10, -1;", s_lanes), v => Assert.Equal(496u, v));
        Assert.All(PtxBench.Evaluate("redux.sync.max.u32 %r20, %r10, -1;", s_lanes), v => Assert.Equal(31u, v));
    }

    [Theory]
    [InlineData("ex2.approx.ftz.f32 %f20, %f10;", 4194304)]
    [InlineData("rsqrt.approx.f32 %f20, %f10;", 5534417)]
    [InlineData("lg2.approx.ftz.f32 %f20, %f10;", 4194304)]
    public void ApproximateInstructionsUseTheirErrorAndNoMore(string instruction, int inverseOfTheBound)
    {
        float[] x = [.. Enumerable.Range(0, 32).Select(i => 2.5f + (1.37f * i))];
        uint[] bits = [.. x.Select(Bits)];
        HashSet<uint> seen = [];
        foreach (Arithmetic arithmetic in Enum.GetValues<Arithmetic>())
        {
            uint[] y = PtxBench.Evaluate(instruction, bits, options: new EmulationOptions { Arithmetic = arithmetic });
            seen.Add(y[3]);
            for (int i = 0; i < x.Length; i++)
            {
                double exact = instruction[0] switch { 'e' => Math.Pow(2, x[i]), 'r' => 1 / Math.Sqrt(x[i]), _ => Math.Log2(x[i]) };
                Assert.InRange(Math.Abs((Single(y[i]) / exact) - 1), 0, 1.0 / inverseOfTheBound);
            }
        }

        Assert.True(seen.Count >= 3, "the ways of arithmetic do not differ");
    }

    [Fact]
    public void SubnormalResultsOfFlushingInstructionsAreZero() =>
        Assert.Equal(0u, PtxBench.Evaluate("ex2.approx.ftz.f32 %f20, %f10;", [Bits(-127)])[0]);

    [Fact]
    public void LanesThatPartMeetAgain()
    {
        // Each lane loops as often as its number says, then all vote together.
        const string body = """
            mov.u32 %r10, 0;
            mov.u32 %r11, %r1;
            LOOP:
            setp.eq.u32 %p1, %r11, 0;
            @%p1 bra DONE;
            add.u32 %r10, %r10, %r11;
            sub.u32 %r11, %r11, 1;
            bra.uni LOOP;
            DONE:
            vote.sync.ballot.b32 %r12, 1, -1;
            setp.eq.u32 %p2, %r12, -1;
            @!%p2 mov.u32 %r10, 999;
            st.global.u32 [%rd4], %r10;
            """;
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            using PtxBench bench = new(body, new EmulationOptions { Interleaving = interleaving, Seed = 3 });
            Assert.Equal(s_lanes.Select(i => i * (i + 1) / 2), bench.Run([], 32));
        }
    }

    private static uint Bits(float value) => BitConverter.SingleToUInt32Bits(value);

    private static float Single(uint bits) => BitConverter.UInt32BitsToSingle(bits);
}
