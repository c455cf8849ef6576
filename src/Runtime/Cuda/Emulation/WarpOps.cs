using System.Globalization;
using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Instructions in which the lanes of a warp meet: shuffles, votes, matches, reductions, synchronisation.</summary>
internal static unsafe class WarpOps
{
    public const long ShuffleIndex = 0;
    public const long ShuffleUp = 1;
    public const long ShuffleDown = 2;
    public const long ShuffleXor = 3;

    /// <summary>shfl.sync; operands: A the value, B lane or distance, C clamp and segment mask, Vector[0] the member mask.</summary>
    public static void Shuffle(Warp warp, PtxOp op)
    {
        uint members = Members(warp, op, op.Vector[0]);
        uint* a = (uint*)(warp.R + op.A);
        uint* b = (uint*)(warp.R + op.B);
        uint* c = (uint*)(warp.R + op.C);
        uint* d = (uint*)warp.Temp;
        uint valid = 0;
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            int segment = (int)((c[lane] >> 8) & 0x1F);
            int clamp = (int)(c[lane] & 0x1F);
            int max = (lane & segment) | (clamp & ~segment);
            int min = lane & segment;
            int distance = (int)(b[lane] & 0x1F);
            (int source, bool inside) = op.Immediate switch
            {
                ShuffleUp => (lane - distance, lane - distance >= max),
                ShuffleDown => (lane + distance, lane + distance <= max),
                ShuffleXor => (lane ^ distance, (lane ^ distance) <= max),
                _ => (min | (distance & ~segment), (min | (distance & ~segment)) <= max),
            };
            source = inside ? source : lane;
            valid |= inside ? 1u << lane : 0;
            if (((members >> source) & 1) == 0)
            {
                throw warp.Block.Fault(FaultKind.Synchronisation, warp, op, lane, string.Create(
                    CultureInfo.InvariantCulture, $"the shuffle reads lane {source}, which is not in its member mask 0x{members:X8}"));
            }

            d[lane] = a[source];
        }

        warp.Merge32(op.D);
        if (op.P >= 0)
        {
            warp.SetPredicate(op.P, valid);
        }
    }

    /// <summary>vote.sync: 0 ballot, 1 any, 2 all, 3 uni.</summary>
    public static void Vote(Warp warp, PtxOp op)
    {
        uint members = Members(warp, op, op.Vector[0]);
        uint p = (op.PNegated ? ~warp.P[op.P] : warp.P[op.P]) & members;
        if (op.Immediate == 0)
        {
            Broadcast(warp, op.D, p);
            return;
        }

        bool holds = op.Immediate switch { 1 => p != 0, 2 => p == members, _ => p == members || p == 0 };
        warp.SetPredicate(op.D, holds ? uint.MaxValue : 0);
    }

    /// <summary>match.any.sync.b32: for each lane the lanes with the same value.</summary>
    public static void MatchAny(Warp warp, PtxOp op)
    {
        uint members = Members(warp, op, op.Vector[0]);
        uint* a = (uint*)(warp.R + op.A);
        uint* d = (uint*)warp.Temp;
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            uint same = 0;
            for (uint n = members; n != 0; n &= n - 1)
            {
                int other = BitOperations.TrailingZeroCount(n);
                same |= a[other] == a[lane] ? 1u << other : 0;
            }

            d[lane] = same;
        }

        warp.Merge32(op.D);
    }

    /// <summary>redux.sync of 32-bit integers: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor; unsigned but for min and max of .s32 (6, 7).</summary>
    public static void Reduce(Warp warp, PtxOp op)
    {
        uint members = Members(warp, op, op.Vector[0]);
        uint* a = (uint*)(warp.R + op.A);
        uint result = a[BitOperations.TrailingZeroCount(members)];
        for (uint n = members & (members - 1); n != 0; n &= n - 1)
        {
            uint x = a[BitOperations.TrailingZeroCount(n)];
            result = op.Immediate switch
            {
                0 => result + x,
                1 => Math.Min(result, x),
                2 => Math.Max(result, x),
                3 => result & x,
                4 => result | x,
                5 => result ^ x,
                6 => (uint)Math.Min((int)result, (int)x),
                _ => (uint)Math.Max((int)result, (int)x),
            };
        }

        Broadcast(warp, op.D, result);
    }

    /// <summary>bar.warp.sync: orders the memory accesses of its lanes.</summary>
    public static void SyncWarp(Warp warp, PtxOp op)
    {
        warp.StartEpoch(Members(warp, op, op.A));
    }

    /// <summary>activemask: the lanes that are here.</summary>
    public static void ActiveMask(Warp warp, PtxOp op) => Broadcast(warp, op.D, warp.Exec);

    /// <summary>membar and fence: what the warp has done so far is ready to be announced to other blocks.</summary>
    public static void Fence(Warp warp, PtxOp op)
    {
        if (op.Immediate != 0)
        {
            warp.StartEpoch(0);
            warp.Block.Fence(warp);
        }
    }

    /// <summary>Does nothing, as nanosleep.</summary>
    public static void Nothing(Warp warp, PtxOp op)
    {
    }

    /// <summary>The member mask of a warp-wide instruction, every lane of which must be here.</summary>
    public static uint Members(Warp warp, PtxOp op, int register)
    {
        uint* masks = (uint*)(warp.R + register);
        int first = BitOperations.TrailingZeroCount(warp.Exec);
        uint members = masks[first];
        if ((members & ~warp.Exec) != 0)
        {
            int missing = BitOperations.TrailingZeroCount(members & ~warp.Exec);
            throw warp.Block.Fault(FaultKind.Synchronisation, warp, op, missing, string.Create(
                CultureInfo.InvariantCulture, $"the member mask 0x{members:X8} names lane {missing}, which does not reach the instruction (lanes here: 0x{warp.Exec:X8})"));
        }

        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            if (masks[lane] != members || ((members >> lane) & 1) == 0)
            {
                throw warp.Block.Fault(FaultKind.Synchronisation, warp, op, lane, string.Create(
                    CultureInfo.InvariantCulture, $"the lane's member mask 0x{masks[lane]:X8} does not agree with 0x{members:X8} of lane {first}, or leaves the lane itself out"));
            }
        }

        return members;
    }

    /// <summary>Refuses an instruction that the whole warp must execute together (mma, ldmatrix).</summary>
    public static void RequireWholeWarp(Warp warp, PtxOp op)
    {
        if (warp.Exec != Warp.AllLanes)
        {
            int missing = BitOperations.TrailingZeroCount(~warp.Exec);
            throw warp.Block.Fault(FaultKind.Synchronisation, warp, op, missing, "the lane does not reach an instruction that the whole warp must execute together");
        }
    }

    private static void Broadcast(Warp warp, int destination, uint value)
    {
        uint* d = (uint*)(warp.R + destination);
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            d[BitOperations.TrailingZeroCount(m)] = value;
        }
    }
}
