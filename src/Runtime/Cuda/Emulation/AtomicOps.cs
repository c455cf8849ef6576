using System.Globalization;
using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>What an atomic operation does with the value in memory.</summary>
internal enum AtomicFunction
{
    Add,
    AddSingle,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
    MinSigned,
    MaxSigned,
    Increment,
}

/// <summary>atom and red, lane by lane in ascending order.</summary>
internal static unsafe class AtomicOps
{
    /// <summary>A the address, B the operand, C the second operand of cas, D the old value or -1; Immediate the offset, Target the function, P the space (1 global, 2 shared, 0 generic).</summary>
    public static void Run(Warp warp, PtxOp op)
    {
        MemoryOps.ComputeAddresses(warp, op);
        BlockRunner block = warp.Block;
        for (uint m = warp.Exec; m != 0; m &= m - 1)
        {
            int lane = BitOperations.TrailingZeroCount(m);
            ulong address = warp.Addresses[lane];
            if ((address & (ulong)(op.Size - 1)) != 0)
            {
                MemoryOps.Misaligned(warp, op, 1u << lane, op.Size, "atomic operation");
            }

            byte* p;
            bool shared = op.P == 2 || (op.P == 0 && address - DeviceHeap.SharedWindow < DeviceHeap.SharedWindowSize);
            if (shared)
            {
                address = op.P == 2 ? address : address - DeviceHeap.SharedWindow;
                warp.Addresses[lane] = address;
                MemoryOps.CheckShared(warp, op, 1u << lane, op.Size, "atomic operation");
                int shift = block.Kernel.SharedCellShift;
                RaceCheck.Atomic(warp, op, lane, block.SharedWriters, block.SharedReaders, (long)(address >> shift), Math.Max(op.Size >> shift, 1), shared: true);
                for (int i = 0; i < op.Size; i++)
                {
                    if (block.SharedInitialised[address + (uint)i] == 0)
                    {
                        throw block.Fault(FaultKind.Uninitialised, warp, op, lane, "atomic operation on shared memory that was never written");
                    }
                }

                p = block.Shared + address;
            }
            else
            {
                Allocation allocation = MemoryOps.Resolve(warp, op, 1u << lane, op.Size, "atomic operation", out _);
                long offset = (long)(address - allocation.Address);
                block.Launch.Synchronise(warp, address);
                int shift = block.Kernel.GlobalCellShift;
                if (block.Launch.CountsFootprint)
                {
                    allocation.MarkSectorRead(warp.Tag, offset, op.Size);
                }

                RaceCheck.Atomic(warp, op, lane, allocation.Writers, allocation.Readers, offset >> shift, Math.Max(op.Size >> shift, 1), shared: false);
                if (!allocation.IsAllInitialised && !MemoryOps.IsWritten(allocation.Initialised, offset, op.Size))
                {
                    throw block.Fault(FaultKind.Uninitialised, warp, op, lane, string.Create(
                        CultureInfo.InvariantCulture, $"atomic operation on {op.Size} bytes at 0x{address:X} that were never written"));
                }

                p = allocation.Data + offset;
            }

            Apply(warp, op, lane, p);
        }

        if (op.P != 2)
        {
            uint lanes = warp.Exec;
            RaceCheck.CountSectors(block.Counters, warp.Addresses, lanes, op.Size);
        }
    }

    private static void Apply(Warp warp, PtxOp op, int lane, byte* p)
    {
        if (op.Size == 8)
        {
            ulong old = *(ulong*)p;
            ulong b = ((ulong*)(warp.R + op.B))[lane];
            *(ulong*)p = (AtomicFunction)op.Target switch
            {
                AtomicFunction.Add => old + b,
                AtomicFunction.Min => Math.Min(old, b),
                AtomicFunction.Max => Math.Max(old, b),
                AtomicFunction.MinSigned => (ulong)Math.Min((long)old, (long)b),
                AtomicFunction.MaxSigned => (ulong)Math.Max((long)old, (long)b),
                AtomicFunction.And => old & b,
                AtomicFunction.Or => old | b,
                AtomicFunction.Xor => old ^ b,
                AtomicFunction.Exchange => b,
                AtomicFunction.CompareAndSwap => old == b ? ((ulong*)(warp.R + op.C))[lane] : old,
                _ => throw new InvalidOperationException(op.Text),
            };
            if (op.D >= 0)
            {
                ((ulong*)(warp.R + op.D))[lane] = old;
            }
        }
        else
        {
            uint old = *(uint*)p;
            uint b = ((uint*)(warp.R + op.B))[lane];
            *(uint*)p = (AtomicFunction)op.Target switch
            {
                AtomicFunction.Add => old + b,
                AtomicFunction.AddSingle => BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(old) + BitConverter.UInt32BitsToSingle(b)),
                AtomicFunction.Min => Math.Min(old, b),
                AtomicFunction.Max => Math.Max(old, b),
                AtomicFunction.MinSigned => (uint)Math.Min((int)old, (int)b),
                AtomicFunction.MaxSigned => (uint)Math.Max((int)old, (int)b),
                AtomicFunction.And => old & b,
                AtomicFunction.Or => old | b,
                AtomicFunction.Xor => old ^ b,
                AtomicFunction.Exchange => b,
                AtomicFunction.Increment => old >= b ? 0 : old + 1,
                _ => old == b ? ((uint*)(warp.R + op.C))[lane] : old,
            };
            if (op.D >= 0)
            {
                ((uint*)(warp.R + op.D))[lane] = old;
            }
        }
    }
}
