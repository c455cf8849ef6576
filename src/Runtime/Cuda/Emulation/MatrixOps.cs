using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// The tensor cores' products and the loads of their operands. Fragment layouts: PTX ISA, sections "Matrix Fragments for
/// mma.m16n8k16" and "mma.m16n8k8"; with g = lane / 4 and t = lane mod 4, an accumulator's elements are rows g and g + 8, columns 2t and 2t + 1.
/// </summary>
internal static unsafe class MatrixOps
{
    private const int M = 16;
    private const int N = 8;

    /// <summary>mma.m16n8k16 of bfloat16. Vector: 4 destinations, 4 of a, 2 of b, 4 of c.</summary>
    public static void MultiplyBFloat16(Warp warp, PtxOp op)
    {
        WarpOps.RequireWholeWarp(warp, op);
        const int k = 16;
        float* a = (float*)warp.Temp;
        float* b = a + (M * k);
        for (int lane = 0; lane < Warp.LaneCount; lane++)
        {
            int g = lane >> 2;
            int t = lane & 3;
            for (int r = 0; r < 4; r++)
            {
                uint pair = Register(warp, op.Vector[4 + r], lane);
                float* p = a + ((g + ((r & 1) * 8)) * k) + (2 * t) + ((r >> 1) * 8);
                p[0] = BitConverter.UInt32BitsToSingle(pair << 16);
                p[1] = BitConverter.UInt32BitsToSingle(pair & 0xFFFF0000);
            }

            for (int r = 0; r < 2; r++)
            {
                uint pair = Register(warp, op.Vector[8 + r], lane);
                float* p = b + (((2 * t) + (r * 8)) * N) + g;
                p[0] = BitConverter.UInt32BitsToSingle(pair << 16);
                p[N] = BitConverter.UInt32BitsToSingle(pair & 0xFFFF0000);
            }
        }

        Multiply(warp, op, a, b, k);
    }

    /// <summary>mma.m16n8k8 of TF32: float32 whose low 13 bits are not looked at.</summary>
    public static void MultiplyTf32(Warp warp, PtxOp op)
    {
        WarpOps.RequireWholeWarp(warp, op);
        const int k = 8;
        float* a = (float*)warp.Temp;
        float* b = a + (M * k);
        for (int lane = 0; lane < Warp.LaneCount; lane++)
        {
            int g = lane >> 2;
            int t = lane & 3;
            for (int r = 0; r < 4; r++)
            {
                a[((g + ((r & 1) * 8)) * k) + t + ((r >> 1) * 4)] = BitConverter.UInt32BitsToSingle(Register(warp, op.Vector[4 + r], lane) & 0xFFFFE000);
            }

            for (int r = 0; r < 2; r++)
            {
                b[((t + (r * 4)) * N) + g] = BitConverter.UInt32BitsToSingle(Register(warp, op.Vector[8 + r], lane) & 0xFFFFE000);
            }
        }

        Multiply(warp, op, a, b, k);
    }

    /// <summary>ldmatrix: 1, 2 or 4 matrices of 8 x 8 16-bit elements; the rows' addresses come from lanes 0-7, 8-15, and so on.</summary>
    public static void LoadMatrix(Warp warp, PtxOp op)
    {
        WarpOps.RequireWholeWarp(warp, op);
        MemoryOps.ComputeAddresses(warp, op);
        BlockRunner block = warp.Block;
        uint lanes = op.Count == 4 ? Warp.AllLanes : (1u << (8 * op.Count)) - 1;
        MemoryOps.CheckShared(warp, op, lanes, 16, "ldmatrix row");
        for (int i = 0; i < op.Count; i++)
        {
            RaceCheck.CountPhase(block.Counters, warp.Addresses, 0xFFu << (8 * i), 16);
            uint* d = (uint*)(warp.R + op.Vector[i]);
            for (int lane = 0; lane < Warp.LaneCount; lane++)
            {
                // Each lane reads two elements: of one row, or, transposed, of two.
                int g = lane >> 2;
                int t = lane & 3;
                if (op.PNegated)
                {
                    ulong first = warp.Addresses[(8 * i) + (2 * t)] + (uint)(2 * g);
                    ulong second = warp.Addresses[(8 * i) + (2 * t) + 1] + (uint)(2 * g);
                    MemoryOps.ReadShared(warp, op, lane, first, 2);
                    MemoryOps.ReadShared(warp, op, lane, second, 2);
                    d[lane] = *(ushort*)(block.Shared + first) | ((uint)*(ushort*)(block.Shared + second) << 16);
                }
                else
                {
                    ulong address = warp.Addresses[(8 * i) + g] + (uint)(4 * t);
                    MemoryOps.ReadShared(warp, op, lane, address, 4);
                    d[lane] = *(uint*)(block.Shared + address);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Register(Warp warp, int offset, int lane) => ((uint*)(warp.R + offset))[lane];

    // a (16 x k), b (k x 8), row-major.
    private static void Multiply(Warp warp, PtxOp op, float* a, float* b, int k)
    {
        warp.Block.Counters.MmaOperationCount += 2 * M * N * k;
        float* c = b + (k * N);
        for (int lane = 0; lane < Warp.LaneCount; lane++)
        {
            int g = lane >> 2;
            int t = lane & 3;
            for (int r = 0; r < 4; r++)
            {
                c[((g + ((r >> 1) * 8)) * N) + (2 * t) + (r & 1)] = BitConverter.UInt32BitsToSingle(Register(warp, op.Vector[10 + r], lane));
            }
        }

        Arithmetic arithmetic = warp.Block.Launch.Arithmetic;
        int group = arithmetic switch
        {
            Arithmetic.TruncatedBy4 => 4,
            Arithmetic.TruncatedBy8 => 8,
            Arithmetic.TruncatedBy16 => Math.Min(16, k),
            _ => k,
        };
        for (int row = 0; row < M; row++)
        {
            float* x = a + (row * k);
            if (arithmetic == Arithmetic.Sequential)
            {
                Vector256<float> sum = Vector256.Load(c + (row * N));
                for (int i = 0; i < k; i++)
                {
                    sum += Vector256.Create(x[i]) * Vector256.Load(b + (i * N));
                }

                sum.Store(c + (row * N));
                continue;
            }

            for (int start = 0; start < k; start += group)
            {
                // Products of bfloat16 or TF32 are exact in double, and so, but for far-apart exponents, are sums of a few.
                (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Load(c + (row * N)));
                for (int i = start; i < start + group; i++)
                {
                    (Vector256<double> bl, Vector256<double> bh) = Vector256.Widen(Vector256.Load(b + (i * N)));
                    Vector256<double> factor = Vector256.Create((double)x[i]);
                    low += factor * bl;
                    high += factor * bh;
                }

                Vector256<float> sum = Vector256.Narrow(low, high);
                if (arithmetic != Arithmetic.Double)
                {
                    // Towards zero: where rounding to nearest went away from zero, one step back.
                    (Vector256<double> rl, Vector256<double> rh) = Vector256.Widen(sum);
                    Vector256<int> step = Vector256.Narrow(
                        Vector256.GreaterThan(Vector256.Abs(rl), Vector256.Abs(low)).AsInt64(),
                        Vector256.GreaterThan(Vector256.Abs(rh), Vector256.Abs(high)).AsInt64());
                    sum = (sum.AsInt32() + step).AsSingle();
                }

                sum.Store(c + (row * N));
            }
        }

        for (int lane = 0; lane < Warp.LaneCount; lane++)
        {
            int g = lane >> 2;
            int t = lane & 3;
            for (int r = 0; r < 4; r++)
            {
                ((float*)(warp.R + op.Vector[r]))[lane] = c[((g + ((r >> 1) * 8)) * N) + (2 * t) + (r & 1)];
            }
        }
    }
}
