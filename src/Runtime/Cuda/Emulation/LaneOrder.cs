using System.Numerics;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>
/// The order of the lanes of a warp behind a <c>__syncwarp</c> of a part of them: for each lane the warp epoch before which it is ordered
/// behind each other lane. While every synchronisation is of the whole warp nobody asks: another epoch is another order then.
/// </summary>
internal sealed class LaneOrder
{
    private readonly int[] _known = new int[Warp.LaneCount * Warp.LaneCount];

    /// <summary>The present epoch of the warp.</summary>
    public int Epoch { get; private set; }

    /// <summary>Begins with all lanes ordered behind what was done before an epoch.</summary>
    public void Start(int epoch)
    {
        Array.Fill(_known, epoch);
        Epoch = epoch;
    }

    /// <summary>An epoch begins; the lanes of a mask are ordered behind whatever they and those before them have done.</summary>
    public void Join(uint members, int epoch)
    {
        Epoch = epoch;
        Span<int> all = stackalloc int[Warp.LaneCount];
        for (uint m = members; m != 0; m &= m - 1)
        {
            Span<int> known = _known.AsSpan(BitOperations.TrailingZeroCount(m) * Warp.LaneCount, Warp.LaneCount);
            for (int i = 0; i < all.Length; i++)
            {
                all[i] = Math.Max(all[i], known[i]);
            }
        }

        for (uint m = members; m != 0; m &= m - 1)
        {
            all[BitOperations.TrailingZeroCount(m)] = epoch;
        }

        for (uint m = members; m != 0; m &= m - 1)
        {
            all.CopyTo(_known.AsSpan(BitOperations.TrailingZeroCount(m) * Warp.LaneCount, Warp.LaneCount));
        }
    }

    /// <summary>Whether a lane is ordered behind what each of others did in an epoch.</summary>
    public bool IsBehind(int lane, uint others, int epoch)
    {
        for (uint m = others & ~(1u << lane); m != 0; m &= m - 1)
        {
            if (epoch >= _known[(lane * Warp.LaneCount) + BitOperations.TrailingZeroCount(m)])
            {
                return false;
            }
        }

        return true;
    }
}
