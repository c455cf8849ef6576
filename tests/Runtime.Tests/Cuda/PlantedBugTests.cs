using CrossAlign.Runtime.Cuda;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>Kernels with one planted bug each, which a check of the emulated device must name, and beside each the kernel without it, which must pass.</summary>
public sealed class PlantedBugTests
{
    // Each thread writes its word, reads its neighbour's.
    private const string Exchange = """
        mov.u32 %r10, tile;
        add.u32 %r11, %r10, %r3;
        st.shared.u32 [%r11], 0;
        bar.sync 0;
        st.shared.u32 [%r11], %r1;
        {0}
        xor.b32 %r12, %r3, {1};
        add.u32 %r12, %r12, %r10;
        ld.shared.u32 %r13, [%r12];
        st.global.u32 [%rd4], %r13;
        """;

    public static TheoryData<string, string, string, FaultKind, string> Bugs()
    {
        TheoryData<string, string, string, FaultKind, string> data = [];
        data.Add("a missing __syncthreads", Exchange.Replace("{0}", "", StringComparison.Ordinal).Replace("{1}", "128", StringComparison.Ordinal),
            Exchange.Replace("{0}", "bar.sync 0;", StringComparison.Ordinal).Replace("{1}", "128", StringComparison.Ordinal), FaultKind.Race, "shared");
        data.Add("a missing __syncwarp", Exchange.Replace("{0}", "", StringComparison.Ordinal).Replace("{1}", "4", StringComparison.Ordinal),
            Exchange.Replace("{0}", "bar.warp.sync -1;", StringComparison.Ordinal).Replace("{1}", "4", StringComparison.Ordinal), FaultKind.Race, "__syncwarp");
        data.Add("a read out of bounds", "ld.global.u32 %r10, [%rd3+4]; st.global.u32 [%rd4], %r10;", "ld.global.u32 %r10, [%rd3]; st.global.u32 [%rd4], %r10;",
            FaultKind.OutOfBounds, "4 bytes past the end of the allocation of 256 bytes");
        data.Add("a write out of bounds", "st.global.u32 [%rd4+4], %r1;", "st.global.u32 [%rd4], %r1;", FaultKind.OutOfBounds, "write of 4 bytes");
        data.Add("a shared write out of bounds", "mov.u32 %r10, tile; add.u32 %r10, %r10, %r3; st.shared.u32 [%r10+1024], %r1; st.global.u32 [%rd4], %r1;",
            "mov.u32 %r10, tile; add.u32 %r10, %r10, %r3; st.shared.u32 [%r10], %r1; st.global.u32 [%rd4], %r1;", FaultKind.OutOfBounds, "of shared memory");
        data.Add("an off-by-one in a tail", "setp.gt.u32 %p1, %r1, 63; @%p1 ret; st.global.u32 [%rd4+4], %r1;", "setp.ge.u32 %p1, %r1, 63; @%p1 ret; st.global.u32 [%rd4+4], %r1;",
            FaultKind.OutOfBounds, "thread (63, 0, 0)");
        data.Add("a divergent barrier", "setp.lt.u32 %p1, %r1, 16; @%p1 bra SKIP; bar.sync 0; SKIP: st.global.u32 [%rd4], %r1;",
            "setp.lt.u32 %p1, %r1, 16; @%p1 bra SKIP; mov.u32 %r10, 1; SKIP: bar.sync 0; st.global.u32 [%rd4], %r1;", FaultKind.Synchronisation, "barrier");
        data.Add("a barrier that a warp misses", "setp.lt.u32 %p1, %r1, 32; @%p1 ret; bar.sync 0; st.global.u32 [%rd4], %r1;",
            "bar.sync 0; setp.lt.u32 %p1, %r1, 32; @%p1 ret; st.global.u32 [%rd4], %r1;", FaultKind.Synchronisation, "ended");
        data.Add("a shuffle in divergent code", "setp.lt.u32 %p1, %r1, 16; mov.u32 %r10, %r1; @%p1 bra SKIP; shfl.sync.bfly.b32 %r10, %r1, 1, 31, -1; SKIP: st.global.u32 [%rd4], %r10;",
            "setp.lt.u32 %p1, %r1, 16; shfl.sync.bfly.b32 %r10, %r1, 1, 31, -1; @%p1 bra SKIP; mov.u32 %r10, %r1; SKIP: st.global.u32 [%rd4], %r10;", FaultKind.Synchronisation, "member mask");
        data.Add("a missing wait for cp.async", AsyncCopy(""), AsyncCopy("cp.async.wait_group 0;"), FaultKind.PendingCopy, "cp.async");
        data.Add("a wait for one group too few", AsyncCopy("cp.async.wait_group 1;"), AsyncCopy("cp.async.wait_all;"), FaultKind.PendingCopy, "cp.async");
        data.Add("a misaligned row of ldmatrix", LoadMatrix(8), LoadMatrix(16), FaultKind.Misaligned, "ldmatrix");
        data.Add("a misaligned vector load", "ld.global.v2.u32 {%r10, %r11}, [%rd1+4]; st.global.u32 [%rd4], %r10;", "ld.global.v2.u32 {%r10, %r11}, [%rd1+8]; st.global.u32 [%rd4], %r10;",
            FaultKind.Misaligned, "misaligned read of 8 bytes");
        data.Add("an uninitialised shared read", "mov.u32 %r10, tile; add.u32 %r10, %r10, %r3; ld.shared.u32 %r11, [%r10]; st.global.u32 [%rd4], %r11;",
            "mov.u32 %r10, tile; add.u32 %r10, %r10, %r3; st.shared.u32 [%r10], 0; ld.shared.u32 %r11, [%r10]; st.global.u32 [%rd4], %r11;", FaultKind.Uninitialised, "never written");
        data.Add("a plain add for an atomic one", "ld.global.u32 %r10, [%rd2]; add.u32 %r10, %r10, 1; st.global.u32 [%rd2], %r10;",
            "atom.global.add.u32 %r10, [%rd2], 1;", FaultKind.Race, "global");
        data.Add("two threads that write the same number to one word", "st.global.u32 [%rd2], 7;", "st.global.u32 [%rd4], 7;", FaultKind.Race, "global");
        data.Add("two warps that write the same number to one shared word", "mov.u32 %r10, tile; st.shared.u32 [%r10], 7; bar.sync 0; ld.shared.u32 %r11, [%r10]; st.global.u32 [%rd4], %r11;",
            "mov.u32 %r10, tile; setp.ne.u32 %p1, %r1, 0; @%p1 bra SKIP; st.shared.u32 [%r10], 7; SKIP: bar.sync 0; ld.shared.u32 %r11, [%r10]; st.global.u32 [%rd4], %r11;", FaultKind.Race, "shared");
        data.Add("a shared address used as a global one", "mov.u64 %rd6, tile; cvta.shared.u64 %rd7, %rd6; ld.global.u32 %r10, [%rd7]; st.global.u32 [%rd4], %r10;",
            "mov.u64 %rd6, tile; cvta.shared.u64 %rd7, %rd6; mul.wide.u32 %rd8, %r1, 4; add.s64 %rd7, %rd7, %rd8; st.u32 [%rd7], 1; st.global.u32 [%rd4], %r1;", FaultKind.OutOfBounds, "shared memory used for global");
        return data;
    }

    [Theory]
    [MemberData(nameof(Bugs))]
    public void EachIsCaughtAndItsCureIsNot(string name, string bug, string cure, FaultKind kind, string words)
    {
        uint[] input = [.. Enumerable.Range(0, 64).Select(i => (uint)i)];
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            EmulationOptions options = new() { Interleaving = interleaving, Seed = 7 };
            using PtxBench broken = new(bug, options);
            CudaException e = Assert.Throws<CudaException>(() => broken.Run(input, 64, threads: 64));
            Assert.True(kind == broken.Emulation.LastFault, $"{name}: {broken.Emulation.LastFault}: {e.Message}");
            Assert.Contains(words, e.Message, StringComparison.Ordinal);
            Assert.Equal(kind is FaultKind.OutOfBounds or FaultKind.Misaligned ? CuResult.IllegalAddress : CuResult.LaunchFailed, e.Result);
            using PtxBench sound = new(cure, options);
            sound.Run(input, 64, threads: name == "a missing __syncwarp" ? 32 : 64);
        }
    }

    [Fact]
    public void ARaceBetweenBlocksIsCaughtUnlessAFenceAndAnAtomicOrderThem()
    {
        // The last block to finish adds what all have written: the usual pattern, and the same without its fence.
        const string pattern = """
            mul.wide.u32 %rd6, %r2, 4;
            add.s64 %rd7, %rd2, %rd6;
            st.global.u32 [%rd7+4], 5;
            {0}
            atom.global.add.u32 %r10, [%rd2], 1;
            setp.ne.u32 %p1, %r10, 3;
            @%p1 ret;
            ld.global.u32 %r11, [%rd2+4];
            ld.global.u32 %r12, [%rd2+8];
            ld.global.u32 %r13, [%rd2+12];
            ld.global.u32 %r14, [%rd2+16];
            add.u32 %r11, %r11, %r12;
            add.u32 %r11, %r11, %r13;
            add.u32 %r11, %r11, %r14;
            st.global.u32 [%rd2+20], %r11;
            """;
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            EmulationOptions options = new() { Interleaving = interleaving, Seed = 5 };
            using PtxBench broken = new(pattern.Replace("{0}", string.Empty, StringComparison.Ordinal), options);
            CudaException e = Assert.Throws<CudaException>(() => broken.Run([0], 8, threads: 1, blocks: 4));
            Assert.Equal(FaultKind.Race, broken.Emulation.LastFault);
            Assert.Contains("no order of blocks", e.Message, StringComparison.Ordinal);
            using PtxBench sound = new(pattern.Replace("{0}", "membar.gl;", StringComparison.Ordinal), options);
            Assert.Equal(20u, sound.Run([0], 8, threads: 1, blocks: 4)[5]);
        }
    }

    public static TheoryData<string, string, bool> PartsOfAWarp()
    {
        const string store = "mov.u32 %r10, tile; add.u32 %r11, %r10, %r3; st.shared.u32 [%r11], %r1; setp.lt.u32 %p1, %r1, 16;";
        const string upper = "@%p1 bra MET; bar.warp.sync 0xFFFF0000; MET:";
        const string halves = "@%p1 bra LOW; bar.warp.sync 0xFFFF0000; bra MET; LOW: bar.warp.sync 0x0000FFFF; MET:";
        const string chain = "@!%p1 bra MET; bar.warp.sync 0x0000FFFF; MET: setp.ge.u32 %p2, %r1, 8; setp.lt.u32 %p3, %r1, 24; and.pred %p2, %p2, %p3; @!%p2 bra MET2; bar.warp.sync 0x00FFFF00; MET2:";

        // Every lane reads what the one at a distance of so many bytes has written; after the chain lanes 16 to 23 read what 0 to 7 have.
        static string Read(int bytes) => $"xor.b32 %r12, %r3, {bytes}; add.u32 %r12, %r12, %r10; ld.shared.u32 %r13, [%r12]; st.global.u32 [%rd4], %r13;";
        const string readBelow = "setp.lt.u32 %p4, %r1, 16; @%p4 ret; setp.ge.u32 %p4, %r1, {0}; @%p4 ret; ld.shared.u32 %r13, [%r11+-64]; st.global.u32 [%rd4], %r13;";

        // Lanes from a first one on read one word, which lane 16 writes behind a synchronisation of the upper half.
        const string broadcast = "setp.lt.u32 %p4, %r1, {0}; bar.warp.sync -1; @%p4 bra READ; ld.shared.u32 %r13, [%r10+64]; st.global.u32 [%rd4], %r13; READ:"
            + upper + " setp.ne.u32 %p5, %r1, 16; @%p5 ret; st.shared.u32 [%r11], 7;";
        return new()
        {
            { "one half, then the neighbour's word", store + upper + Read(4), true },
            { "each half, then the neighbour's word", store + halves + Read(4), false },
            { "each half, then the other half's", store + halves + Read(64), true },
            { "each half, then all", store + halves + "bar.warp.sync -1;" + Read(64), false },
            { "all, then a part", store + "bar.warp.sync -1;" + upper + Read(64), false },
            { "a chain", store + chain + readBelow.Replace("{0}", "24", StringComparison.Ordinal), false },
            { "beyond a chain", store + chain + readBelow.Replace("{0}", "25", StringComparison.Ordinal), true },
            { "readers of the half", store + broadcast.Replace("{0}", "16", StringComparison.Ordinal), false },
            { "a reader of the other half", store + broadcast.Replace("{0}", "15", StringComparison.Ordinal), true },
        };
    }

    [Theory]
    [MemberData(nameof(PartsOfAWarp))]
    public void ASynchronisationOrdersTheLanesOfItsMaskOnly(string name, string body, bool isRace)
    {
        for (ulong seed = 0; seed < 6; seed++)
        {
            using PtxBench bench = new(body, EmulationOptions.ForSeed(seed));
            if (isRace)
            {
                CudaException e = Assert.Throws<CudaException>(() => bench.Run([], 32));
                Assert.True(bench.Emulation.LastFault == FaultKind.Race, $"{name}: {e.Message}");
                Assert.Contains("no __syncwarp", e.Message, StringComparison.Ordinal);
            }
            else
            {
                bench.Run([], 32);
            }
        }
    }

    // What the first lanes of two warps do to %rd7, the word of each, before and behind the block's announcement by thread 0; what lies between all do.
    [Theory]
    [InlineData("a fence before the store", "membar.gl; st.global.u32 [%rd7], 5;", "bar.sync 0;", "", true)]
    [InlineData("a store behind the announcement", "membar.gl;", "bar.sync 0;", "st.global.u32 [%rd7], 5;", true)]
    [InlineData("a barrier, then the fence of the first warp", "st.global.u32 [%rd7], 5;", "bar.sync 0; membar.gl;", "", false)]
    [InlineData("each warp's own fence, then a barrier", "st.global.u32 [%rd7], 5; membar.gl;", "bar.sync 0;", "", false)]
    [InlineData("each warp's own fence and no barrier", "st.global.u32 [%rd7], 5; membar.gl;", "", "", true)]
    [InlineData("a barrier, a fence, and a store of the other warp", "st.global.u32 [%rd7], 5;", "bar.sync 0; membar.gl; setp.ne.u32 %p5, %r1, 32; @%p5 bra ON; st.global.u32 [%rd7], 6; ON:", "", true)]
    public void AnAtomicAnnouncesWhatWasFencedBeforeItAndNothingElse(string name, string before, string between, string behind, bool isRace)
    {
        string body = $"""
            and.b32 %r15, %r1, 31;
            setp.ne.u32 %p1, %r15, 0;
            mul.wide.u32 %rd6, %r2, 8;
            add.s64 %rd7, %rd2, %rd6;
            shr.u32 %r16, %r1, 5;
            mul.wide.u32 %rd6, %r16, 4;
            add.s64 %rd7, %rd7, %rd6;
            add.s64 %rd7, %rd7, 4;
            @%p1 bra STORED;
            {before}
            STORED:
            {between}
            setp.ne.u32 %p2, %r1, 0;
            @%p2 bra ANNOUNCED;
            atom.global.add.u32 %r10, [%rd2], 1;
            ANNOUNCED:
            @%p1 ret;
            {behind}
            @%p2 ret;
            setp.ne.u32 %p3, %r10, 1;
            @%p3 ret;
            xor.b32 %r17, %r2, 1;
            mul.wide.u32 %rd6, %r17, 8;
            add.s64 %rd7, %rd2, %rd6;
            ld.global.u32 %r11, [%rd7+4];
            ld.global.u32 %r12, [%rd7+8];
            add.u32 %r11, %r11, %r12;
            st.global.u32 [%rd2+20], %r11;
            """;
        for (ulong seed = 0; seed < 6; seed++)
        {
            using PtxBench bench = new(body, EmulationOptions.ForSeed(seed));
            if (isRace)
            {
                CudaException e = Assert.Throws<CudaException>(() => bench.Run([], 6, threads: 64, blocks: 2));
                Assert.True(bench.Emulation.LastFault == FaultKind.Race, $"{name}: {e.Message}");
                Assert.Contains("no order of blocks", e.Message, StringComparison.Ordinal);
            }
            else
            {
                Assert.Equal(10u, bench.Run([], 6, threads: 64, blocks: 2)[5]);
            }
        }
    }

    [Theory]
    [InlineData(4, 1)]
    [InlineData(8, 2)]
    [InlineData(128, 32)]
    public void BankConflictsAreCounted(int strideBytes, int wavefronts)
    {
        using PtxBench bench = new($"mov.u32 %r10, tile; mul.lo.u32 %r11, %r1, {strideBytes}; add.u32 %r10, %r10, %r11; st.shared.u32 [%r10], %r1;", sharedByteCount: 4096);
        bench.Run([], 1);
        KernelCounters counters = bench.Emulation.ReadCounters()["bench"];
        Assert.Equal(1, counters.MinSharedWavefrontCount);
        Assert.Equal(wavefronts, counters.SharedWavefrontCount);
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 8)]
    [InlineData(8, 32)]
    public void UncoalescedLoadsAreCounted(int strideWords, int sectors)
    {
        using PtxBench bench = new($"mul.lo.u32 %r10, %r3, {strideWords}; cvt.u64.u32 %rd6, %r10; add.s64 %rd6, %rd6, %rd1; ld.global.u32 %r11, [%rd6];");
        bench.Run(new uint[256], 1);
        KernelCounters counters = bench.Emulation.ReadCounters()["bench"];
        Assert.Equal(1, counters.GlobalRequestCount);
        Assert.Equal(4, counters.MinGlobalSectorCount);
        Assert.Equal(sectors, counters.GlobalSectorCount);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AnMbarrierOrdersThreadsAndWithoutItTheyRace(bool waits)
    {
        // All arrive and spin on the phase; each then reads what a thread of the other warp wrote.
        string body = $"""
            mov.u32 %r10, tile;
            setp.ne.u32 %p1, %r1, 0;
            @%p1 bra READY;
            mbarrier.init.shared.b64 [%r10], 64;
            READY:
            add.u32 %r11, %r10, %r3;
            st.shared.u32 [%r11+16], 0;
            bar.sync 0;
            st.shared.u32 [%r11+16], %r1;
            mbarrier.arrive.shared.b64 %rd6, [%r10];
            SPIN:
            mbarrier.test_wait.shared.b64 %p2, [%r10], %rd6;
            {(waits ? "@!%p2 bra SPIN;" : string.Empty)}
            xor.b32 %r12, %r3, 128;
            add.u32 %r12, %r12, %r10;
            ld.shared.u32 %r13, [%r12+16];
            st.global.u32 [%rd4], %r13;
            """;
        foreach (Interleaving interleaving in Enum.GetValues<Interleaving>())
        {
            using PtxBench bench = new(body, new EmulationOptions { Interleaving = interleaving, Seed = 2 });
            if (waits)
            {
                Assert.Equal(Enumerable.Range(0, 64).Select(i => (uint)(i ^ 32)), bench.Run([], 64, threads: 64));
            }
            else
            {
                Assert.Throws<CudaException>(() => bench.Run([], 64, threads: 64));
                Assert.Equal(FaultKind.Race, bench.Emulation.LastFault);
            }
        }
    }

    [Fact]
    public void AnEndlessKernelIsAnError()
    {
        using PtxBench bench = new("L: bra.uni L;", new EmulationOptions { MaxInstructionsPerBlock = 100_000 });
        CudaException e = Assert.Throws<CudaException>(() => bench.Run([], 1, threads: 1));
        Assert.Equal(CuResult.LaunchTimeout, e.Result);
    }

    [Fact]
    public void ARegisterThatWasNeverWrittenHoldsNoZeroNorWhatTheBlockBeforeLeft()
    {
        // A sum that nobody began, in two blocks of one thread that run one after the other, and a predicate that nobody set.
        const string body = """
            mul.wide.u32 %rd6, %r2, 8;
            add.s64 %rd7, %rd2, %rd6;
            add.f32 %f1, %f1, 0f3F800000;
            st.global.f32 [%rd7], %f1;
            selp.u32 %r10, 7, 8, %p5;
            st.global.u32 [%rd7+4], %r10;
            """;
        HashSet<float> sums = [];
        HashSet<uint> choices = [];
        for (ulong seed = 0; seed < 4; seed++)
        {
            using PtxBench bench = new(body, new EmulationOptions { Seed = seed, WorkerCount = 1 });
            uint[] words = bench.Run([0], 4, threads: 1, blocks: 2);
            sums.UnionWith([BitConverter.UInt32BitsToSingle(words[0]), BitConverter.UInt32BitsToSingle(words[2])]);
            choices.UnionWith([words[1], words[3]]);
        }

        Assert.Equal([float.NaN, -1e30f, 2.5f, 1e30f], sums.Order());
        Assert.Equal([7u, 8u], choices.Order());
    }

    [Fact]
    public void AnUnknownInstructionIsNamed()
    {
        CudaException e = Assert.Throws<CudaException>(() => new PtxBench("frobnicate.b32 %r10, %r11;").Dispose());
        Assert.Equal(CuResult.InvalidPtx, e.Result);
        Assert.Contains("frobnicate.b32", e.Message, StringComparison.Ordinal);
    }

    private static string AsyncCopy(string wait) => $"""
        shl.b32 %r10, %r1, 4;
        mov.u32 %r11, tile;
        add.u32 %r11, %r11, %r10;
        and.b32 %r12, %r10, 255;
        cvt.u64.u32 %rd6, %r12;
        add.s64 %rd6, %rd1, %rd6;
        cp.async.cg.shared.global [%r11], [%rd6], 16;
        cp.async.commit_group;
        {wait}
        ld.shared.u32 %r13, [%r11];
        st.global.u32 [%rd4], %r13;
        """;

    private static string LoadMatrix(int stride) => $$"""
        shl.b32 %r10, %r1, 4;
        mov.u32 %r11, tile;
        add.u32 %r12, %r11, %r10;
        st.shared.v4.u32 [%r12], {%r1, %r1, %r1, %r1};
        bar.sync 0;
        and.b32 %r13, %r1, 31;
        mul.lo.u32 %r13, %r13, {{stride}};
        add.u32 %r13, %r13, %r11;
        ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r20, %r21, %r22, %r23}, [%r13];
        st.global.u32 [%rd4], %r20;
        """;
}
