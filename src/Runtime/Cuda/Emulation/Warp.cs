using System.Numerics;
using System.Runtime.InteropServices;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// 32 lanes in lockstep: their registers, predicates, and the stack of the places where parted lanes wait for each other. A register
/// is 32 consecutive values of 4 or 8 bytes; 16-bit registers take 4 bytes, of which the upper two are zero.
/// </summary>
internal sealed unsafe class Warp : IDisposable
{
    public const int LaneCount = 32;
    public const uint AllLanes = uint.MaxValue;

    private (int Pc, int Reconverge, uint Mask)[] _stack = new (int, int, uint)[16];
    private int _depth;
    private byte* _registers;

    public Warp(BlockRunner block, int index, int registerByteCount, int predicateCount)
    {
        Block = block;
        Index = index;
        nuint bytes = (nuint)registerByteCount + (LaneCount * 8) + 4096 + ((nuint)predicateCount * sizeof(uint)) + 64;
        _registers = (byte*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_registers, bytes);
        R = _registers;
        Temp = R + registerByteCount;
        Addresses = (ulong*)(Temp + 4096);
        P = (uint*)(Temp + 4096 + (LaneCount * 8));
    }

    /// <summary>The register file.</summary>
    public byte* R { get; }

    /// <summary>The predicates, a bit a lane.</summary>
    public uint* P { get; }

    /// <summary>4 KiB of working space of the operation that runs.</summary>
    public byte* Temp { get; }

    /// <summary>The lanes' addresses of the memory access that runs.</summary>
    public ulong* Addresses { get; }

    public BlockRunner Block { get; }

    /// <summary>Its number in the block.</summary>
    public int Index { get; }

    /// <summary>The lanes that the running operation is for: active ones whose guard holds.</summary>
    public uint Exec;

    /// <summary>The lanes that follow the current path.</summary>
    public uint Active;

    /// <summary>The lanes that have not ended.</summary>
    public uint Alive;

    public int Pc;

    public bool IsWaiting;

    /// <summary>Counts <c>__syncwarp</c> and fences.</summary>
    public int WarpEpoch;

    /// <summary>The order of the lanes, where some were synchronised without the others since they all were; otherwise null.</summary>
    public LaneOrder? PartialOrder;

    // The lanes that the block began with, and what PartialOrder is when it is needed.
    private uint _born;
    private LaneOrder? _order;

    /// <summary>The race check's tag of lane 0 at present.</summary>
    public ulong Tag;

    /// <summary>Asynchronous copies that were issued and not waited for.</summary>
    public List<PendingCopy> Pending { get; } = [];

    /// <summary>For each lane the number of committed groups of asynchronous copies.</summary>
    public int[] CommittedGroups { get; } = new int[LaneCount];

    /// <summary>Puts all lanes of a new block at its first operation.</summary>
    public void Start(uint lanes, int end)
    {
        _depth = 0;
        Pc = 0;
        Active = lanes;
        Alive = lanes;
        IsWaiting = false;
        WarpEpoch = 0;
        PartialOrder = null;
        _born = lanes;
        _stack[0] = (0, end, lanes);
        Pending.Clear();
        Array.Clear(CommittedGroups);
        UpdateTag();
    }

    public void UpdateTag() =>
        Tag = Block.BlockTag | RaceTag.Epochs(Block.BarrierEpoch, WarpEpoch) | (uint)(Index * LaneCount);

    /// <summary>Begins a warp epoch, in which some lanes (none, at a fence) are ordered behind what each of them did.</summary>
    public void StartEpoch(uint members)
    {
        if (members == _born)
        {
            PartialOrder = null;
        }
        else if (PartialOrder is null)
        {
            PartialOrder = _order ??= new LaneOrder();
            PartialOrder.Start(WarpEpoch);
        }

        WarpEpoch++;
        PartialOrder?.Join(members, WarpEpoch);
        UpdateTag();
    }

    /// <summary>Begins a barrier epoch, in which all are ordered.</summary>
    public void StartBarrierEpoch()
    {
        PartialOrder = null;
        UpdateTag();
    }

    /// <summary>Goes on at <paramref name="pc"/>; where parted lanes meet, the next path is taken up.</summary>
    public void Continue(int pc)
    {
        Pc = pc;
        while (_depth > 0 && Pc == _stack[_depth].Reconverge)
        {
            _depth--;
            Pc = _stack[_depth].Pc;
            Active = _stack[_depth].Mask;
        }
    }

    /// <summary>Parts the lanes: <paramref name="taken"/> go to the target, the others on, and all meet at the reconvergence.</summary>
    public void Part(uint taken, int target, int next, int reconverge, bool takenFirst)
    {
        uint rest = Active & ~taken;
        if (_depth + 3 > _stack.Length)
        {
            Array.Resize(ref _stack, _stack.Length * 2);
        }

        // The path that both came from waits at the reconvergence, unless it would itself meet another there.
        _stack[_depth] = (reconverge, _stack[_depth].Reconverge, Active);
        (int pc, uint mask) first = takenFirst ? (target, taken) : (next, rest);
        (int pc, uint mask) second = takenFirst ? (next, rest) : (target, taken);
        _stack[++_depth] = (second.pc, reconverge, second.mask);
        _stack[++_depth] = (first.pc, reconverge, first.mask);
        Active = first.mask;
        Continue(first.pc);
    }

    /// <summary>Ends lanes on every path.</summary>
    /// <returns>False when none is left.</returns>
    public bool End(uint lanes, int next)
    {
        Alive &= ~lanes;
        Active &= ~lanes;
        for (int i = 0; i <= _depth; i++)
        {
            _stack[i].Mask &= ~lanes;
        }

        if (Alive == 0)
        {
            return false;
        }

        if (Active != 0)
        {
            Continue(next);
            return true;
        }

        while (_depth > 0 && _stack[_depth].Mask == 0)
        {
            _depth--;
        }

        Active = _stack[_depth].Mask;
        Continue(_stack[_depth].Pc);
        return true;
    }

    /// <summary>Copies the lanes of <see cref="Exec"/> from the working space to a 32-bit register.</summary>
    public void Merge32(int destination)
    {
        uint* d = (uint*)(R + destination);
        uint* s = (uint*)Temp;
        for (uint m = Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = s[lane];
        }
    }

    /// <summary>The same for a 64-bit register.</summary>
    public void Merge64(int destination)
    {
        ulong* d = (ulong*)(R + destination);
        ulong* s = (ulong*)Temp;
        for (uint m = Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            d[lane] = s[lane];
        }
    }

    public void SetPredicate(int number, uint lanes) => P[number] = (P[number] & ~Exec) | (lanes & Exec);

    public void Dispose()
    {
        NativeMemory.AlignedFree(_registers);
        _registers = null;
    }
}

/// <summary>One warp's asynchronous copy: 16 bytes a lane (or fewer, the rest zero).</summary>
internal sealed unsafe class PendingCopy
{
    public required PtxOp Op { get; init; }

    /// <summary>Lanes whose copy is not yet waited for.</summary>
    public uint Lanes;

    public required uint[] Destinations { get; init; }

    public required ulong[] Sources { get; init; }

    public required int[] SourceByteCounts { get; init; }

    /// <summary>The group of each lane's copy.</summary>
    public required int[] Groups { get; init; }

    public int ByteCount { get; init; }

    /// <summary>Whether the bytes have been moved already; a seeded choice.</summary>
    public bool IsDone;
}
