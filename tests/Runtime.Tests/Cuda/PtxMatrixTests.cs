using System.Globalization;
using System.Text;
using CrossAlign.Runtime.Cuda.Emulation;

namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>
/// mma and ldmatrix against the fragment tables of the PTX ISA manual, written out element by element as they stand there ("row = groupID
/// for a_i where ...").
/// </summary>
public sealed class PtxMatrixTests
{
    public static TheoryData<Arithmetic> Arithmetics => [.. Enum.GetValues<Arithmetic>()];

    [Theory]
    [MemberData(nameof(Arithmetics))]
    public void BFloat16ProductsFollowTheFragmentTables(Arithmetic arithmetic)
    {
        float[,] a = Whole(16, 16, 1);
        float[,] b = Whole(16, 8, 2);
        float[,] c = Whole(16, 8, 3);
        uint[] input = new uint[32 * 10];
        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane >> 2;
            int thread = lane % 4;
            for (int i = 0; i < 8; i++)
            {
                int row = i is 0 or 1 or 4 or 5 ? group : group + 8;
                int column = (thread * 2) + (i & 1) + (i >= 4 ? 8 : 0);
                input[((i / 2) * 32) + lane] |= Half(a[row, column]) << (16 * (i & 1));
            }

            for (int i = 0; i < 4; i++)
            {
                int row = (thread * 2) + (i & 1) + (i >= 2 ? 8 : 0);
                input[((4 + (i / 2)) * 32) + lane] |= Half(b[row, group]) << (16 * (i & 1));
            }

            for (int i = 0; i < 4; i++)
            {
                input[((6 + i) * 32) + lane] = BitConverter.SingleToUInt32Bits(c[i < 2 ? group : group + 8, (thread * 2) + (i & 1)]);
            }
        }

        CheckProduct("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", input, a, b, c, arithmetic);
    }

    [Theory]
    [MemberData(nameof(Arithmetics))]
    public void Tf32ProductsFollowTheFragmentTables(Arithmetic arithmetic)
    {
        float[,] a = Whole(16, 8, 4);
        float[,] b = Whole(8, 8, 5);
        float[,] c = Whole(16, 8, 6);
        uint[] input = new uint[32 * 10];
        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane >> 2;
            int thread = lane % 4;
            for (int i = 0; i < 4; i++)
            {
                int row = i is 0 or 2 ? group : group + 8;
                int column = i is 0 or 1 ? thread : thread + 4;

                // The low 13 bits are not looked at.
                input[(i * 32) + lane] = BitConverter.SingleToUInt32Bits(a[row, column]) | 0x1FFF;
            }

            for (int i = 0; i < 2; i++)
            {
                input[((4 + i) * 32) + lane] = BitConverter.SingleToUInt32Bits(b[i == 0 ? thread : thread + 4, group]);
            }

            for (int i = 0; i < 4; i++)
            {
                input[((6 + i) * 32) + lane] = BitConverter.SingleToUInt32Bits(c[i < 2 ? group : group + 8, (thread * 2) + (i & 1)]);
            }
        }

        CheckProduct("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", input, a, b, c, arithmetic);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LdmatrixFollowsItsTables(bool transposed)
    {
        // Four matrices of 8 x 8 numbered elements in shared memory; row r of matrix m at byte 128 m + 16 r.
        string body = $$"""
            ld.global.u32 %r10, [%rd3];
            ld.global.u32 %r11, [%rd3+128];
            ld.global.u32 %r12, [%rd3+256];
            ld.global.u32 %r13, [%rd3+384];
            mov.u32 %r14, tile;
            add.u32 %r15, %r14, %r3;
            st.shared.u32 [%r15], %r10;
            st.shared.u32 [%r15+128], %r11;
            st.shared.u32 [%r15+256], %r12;
            st.shared.u32 [%r15+384], %r13;
            bar.sync 0;
            shl.b32 %r16, %r1, 4;
            add.u32 %r16, %r16, %r14;
            ldmatrix.sync.aligned.m8n8.x4{{(transposed ? ".trans" : string.Empty)}}.shared.b16 {%r20, %r21, %r22, %r23}, [%r16];
            st.global.u32 [%rd4], %r20;
            st.global.u32 [%rd4+128], %r21;
            st.global.u32 [%rd4+256], %r22;
            st.global.u32 [%rd4+384], %r23;
            """;
        using PtxBench bench = new(body);
        uint[] input = [.. Enumerable.Range(0, 128).Select(i => (uint)((2 * i) | (((2 * i) + 1) << 16)))];

        uint[] output = bench.Run(input, 128);

        for (int matrix = 0; matrix < 4; matrix++)
        {
            for (int lane = 0; lane < 32; lane++)
            {
                int row = lane / 4;
                int column = 2 * (lane % 4);
                int first = transposed ? (64 * matrix) + (8 * column) + row : (64 * matrix) + (8 * row) + column;
                int second = transposed ? first + 8 : first + 1;
                Assert.Equal((uint)(first | (second << 16)), output[(32 * matrix) + lane]);
            }
        }

        KernelCounters counters = bench.Emulation.ReadCounters()["bench"];
        Assert.Equal(counters.MinSharedWavefrontCount, counters.SharedWavefrontCount);
    }

    [Fact]
    public void TruncatingTensorCoresRoundTowardsZero()
    {
        // 1 + 3 2^-25: nearest is 1 + 2^-23, truncated is 1; the same below zero.
        const string mma = """
            ld.global.u32 %r10, [%rd3];
            mov.b32 %f1, %r10;
            mov.u32 %r12, 0;
            mov.u32 %r13, 0;
            setp.eq.u32 %p1, %r1, 0;
            selp.b32 %r12, 0x39800000, 0, %p1;
            selp.b32 %r13, 0x39C00000, 0, %p1;
            mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f10, %f11, %f12, %f13}, {%r12, %r14, %r14, %r14}, {%r13, %r14}, {%f1, %f1, %f1, %f1};
            mov.b32 %r20, %f10;
            st.global.u32 [%rd4], %r20;
            """;
        uint[] ones = [.. Enumerable.Repeat(0x3F800000u, 32)];
        using PtxBench nearest = new("mov.u32 %r14, 0;" + mma, new EmulationOptions { Arithmetic = Arithmetic.Double });
        using PtxBench truncated = new("mov.u32 %r14, 0;" + mma, new EmulationOptions { Arithmetic = Arithmetic.TruncatedBy4 });
        Assert.Equal(0x3F800001u, nearest.Run(ones, 32)[0]);
        Assert.Equal(0x3F800000u, truncated.Run(ones, 32)[0]);
    }

    private static void CheckProduct(string mma, uint[] input, float[,] a, float[,] b, float[,] c, Arithmetic arithmetic)
    {
        StringBuilder body = new();
        for (int i = 0; i < 10; i++)
        {
            body.AppendLine(CultureInfo.InvariantCulture, $"ld.global.u32 %r{10 + i}, [%rd3+{128 * i}];");
        }

        for (int i = 0; i < 4; i++)
        {
            body.AppendLine(CultureInfo.InvariantCulture, $"mov.b32 %f{i}, %r{16 + i};");
        }

        body.AppendLine(CultureInfo.InvariantCulture, $"{mma} {{%f10, %f11, %f12, %f13}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%f0, %f1, %f2, %f3}};");
        for (int i = 0; i < 4; i++)
        {
            body.AppendLine(CultureInfo.InvariantCulture, $"st.global.f32 [%rd4+{128 * i}], %f{10 + i};");
        }

        using PtxBench bench = new(body.ToString(), new EmulationOptions { Arithmetic = arithmetic });
        uint[] output = bench.Run(input, 128);
        for (int lane = 0; lane < 32; lane++)
        {
            for (int i = 0; i < 4; i++)
            {
                int row = i < 2 ? lane >> 2 : (lane >> 2) + 8;
                int column = ((lane % 4) * 2) + (i & 1);
                float expected = c[row, column];
                for (int k = 0; k < a.GetLength(1); k++)
                {
                    expected += a[row, k] * b[k, column];
                }

                Assert.Equal(expected, BitConverter.UInt32BitsToSingle(output[(32 * i) + lane]));
            }
        }

        Assert.Equal(2L * 16 * 8 * a.GetLength(1), bench.Emulation.ReadCounters()["bench"].MmaOperationCount);
    }

    private static uint Half(float value) => BFloat16.FromSingle(value).Bits;

    // Small whole numbers: every order and rounding of the sum gives the same.
    private static float[,] Whole(int rows, int columns, uint seed)
    {
        CounterRandom random = new(seed, 1, 0);
        float[,] values = new float[rows, columns];
        for (int i = 0; i < values.Length; i++)
        {
            values[i / columns, i % columns] = random.Next(15) - 7;
        }

        return values;
    }
}
