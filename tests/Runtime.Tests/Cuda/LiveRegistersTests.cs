using System.Globalization;
using System.Text;
using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>The count of registers that are alive at once in a kernel's PTX, on bodies where it can be counted by hand.</summary>
public sealed class LiveRegistersTests
{
    [Fact]
    public void OperandsThatEndGiveTheirPlacesToTheResult() =>
        Assert.Equal(2, Count("ld.global.u32 %r1, [0]; ld.global.u32 %r2, [4]; add.u32 %r3, %r1, %r2; st.global.u32 [0], %r3;"));

    [Fact]
    public void AnOperandThatIsNeededAgainKeepsItsPlace() =>
        Assert.Equal(3, Count("ld.global.u32 %r1, [0]; ld.global.u32 %r2, [4]; add.u32 %r3, %r1, %r2; st.global.v2.u32 [0], {%r1, %r2}; st.global.u32 [8], %r3;"));

    [Fact]
    public void RegistersOf64BitsCountTwiceAndThoseOf16Once() =>
        Assert.Equal(3, Count("ld.global.u64 %rd1, [0]; ld.global.u16 %rs1, [8]; st.global.u64 [0], %rd1; st.global.u16 [8], %rs1;"));

    [Fact]
    public void AResultThatNobodyReadsNeedsAPlaceAllTheSame() =>
        Assert.Equal(4, Count("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [0]; st.global.u32 [0], %r1;"));

    [Fact]
    public void ConstantsAndParametersStandInTheInstructions() =>
        Assert.Equal(1, Count("ld.param.u64 %rd1, [p]; mov.u32 %r1, 7; ld.global.u32 %r2, [%rd1]; add.u32 %r2, %r2, %r1; st.global.u32 [%rd1], %r2;"));

    [Fact]
    public void AVariableThatBeginsAsAConstantCounts() =>
        Assert.Equal(2, Count("mov.u32 %r1, 0; LOOP: add.u32 %r1, %r1, 1; ld.global.u32 %r2, [0]; setp.lt.u32 %p1, %r1, %r2; @%p1 bra LOOP; st.global.u32 [0], %r1;"));

    [Fact]
    public void WhatALoopReadsIsAliveAllThroughIt() =>
        Assert.Equal(3, Count(
            "ld.global.u32 %r1, [0]; ld.global.u32 %r2, [4]; LOOP: add.u32 %r2, %r2, %r1; ld.global.u32 %r3, [8]; setp.lt.u32 %p1, %r2, %r3; @%p1 bra LOOP; st.global.u32 [0], %r2;"));

    [Fact]
    public void AGuardedResultDoesNotEndTheValueBeforeIt() =>
        Assert.Equal(2, Count("ld.global.u32 %r1, [0]; setp.eq.u32 %p1, %r1, 0; ld.global.u32 %r2, [4]; @%p1 mov.u32 %r1, %r2; st.global.u32 [0], %r1;"));

    [Fact]
    public void OfTwoWaysTheWiderCounts() =>
        Assert.Equal(4, Count(
            "ld.global.u32 %r1, [0]; setp.eq.u32 %p1, %r1, 0; @%p1 bra NARROW; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [0]; st.global.v4.u32 [0], {%r1, %r2, %r3, %r4}; ret; NARROW: st.global.u32 [0], %r1;"));

    [Fact]
    public void SpecialRegistersAreReadIntoOnesOfTheThread() =>
        Assert.Equal(2, Count("mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; st.global.u32 [0], %r1; st.global.u32 [4], %r2;"));

    [Fact]
    public void AShuffleWithAPredicateHasTwoResults() =>
        Assert.Equal(1, Count("ld.global.u32 %r1, [0]; shfl.sync.bfly.b32 %r2|%p1, %r1, 1, 31, -1; st.global.u32 [0], %r2;"));

    [Theory]
    [InlineData(40)]
    [InlineData(300)]
    public void AKernelThatKeepsManyValuesIsFoundOut(int values)
    {
        StringBuilder body = new();
        for (int i = 0; i < values; i++)
        {
            body.Append(CultureInfo.InvariantCulture, $"ld.global.u32 %r{i + 1}, [{4 * i}];\n");
        }

        for (int i = 0; i < values; i++)
        {
            body.Append(CultureInfo.InvariantCulture, $"st.global.u32 [{4 * i}], %r{i + 1};\n");
        }

        (int count, PtxStatement? where) = LiveRegisters.Count(Parse(body.ToString()));
        Assert.Equal(values, count);
        Assert.StartsWith("ld.global", where!.Opcode, StringComparison.Ordinal);
    }

    [Fact]
    public void TheEmulatedDriverGivesTheCount()
    {
        // The bench's own: a thread, a block, three addresses of 64 bits; parameters are free.
        using PtxBench bench = new("st.global.v2.u32 [%rd3], {%r1, %r2};");
        using CudaModule module = bench.Device.LoadModule("counted", PtxBench.Wrap("st.global.u32 [%rd3], %r1; st.global.u32 [%rd4], %r2;"));
        CudaKernel kernel = module.Kernel("bench");
        Assert.Equal(LiveRegisters.Count(PtxParser.Parse(PtxBench.Wrap("st.global.u32 [%rd3], %r1; st.global.u32 [%rd4], %r2;")).Entries[0]).Count, kernel.Attribute(CuFunctionAttribute.RegisterCount));
        Assert.InRange(kernel.Attribute(CuFunctionAttribute.RegisterCount), 6, 9);
    }

    private static int Count(string body) => LiveRegisters.Count(Parse(body)).Count;

    private static PtxEntry Parse(string body) => PtxParser.Parse($$"""
        .version 7.0
        .target sm_80
        .address_size 64
        .visible .entry counted(.param .u64 p)
        {
            .reg .pred %p<8>;
            .reg .b16 %rs<8>;
            .reg .b32 %r<512>;
            .reg .b64 %rd<8>;
            {{body}}
            ret;
        }
        """).Entries[0];
}
