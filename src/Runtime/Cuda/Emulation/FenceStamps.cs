namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>How far each warp of a block has fenced what it did: all before an epoch of the block's barriers and, in that, an epoch of the warp.</summary>
/// <param name="warpCount">Warps of the block.</param>
internal sealed class FenceStamps(int warpCount)
{
    // A tag has 14 bits of the barrier epoch: it is taken to be at most this far ahead of a stamp, and behind it otherwise.
    private const int MaxAhead = 1024;

    private readonly (int Barrier, int Warp)[] _stamps = new (int, int)[warpCount];

    /// <summary>A fence: the warp's own accesses so far, and those that a barrier put before it.</summary>
    public void Fence(int warp, int barrierEpoch, int warpEpoch)
    {
        for (int i = 0; i < _stamps.Length; i++)
        {
            Raise(i, (barrierEpoch, i == warp ? warpEpoch : 0));
        }
    }

    /// <summary>Adds what an atomic operation of a warp announces of another's stamps: its own, and of others what a barrier put before it.</summary>
    public void Announce(FenceStamps fenced, int warp, int barrierEpoch)
    {
        for (int i = 0; i < _stamps.Length; i++)
        {
            (int Barrier, int Warp) stamp = fenced._stamps[i];
            Raise(i, i != warp && stamp.Barrier >= barrierEpoch ? (barrierEpoch, 0) : stamp);
        }
    }

    /// <summary>Adds all of another's stamps.</summary>
    public void Add(FenceStamps other)
    {
        for (int i = 0; i < _stamps.Length; i++)
        {
            Raise(i, other._stamps[i]);
        }
    }

    /// <summary>Whether the access of a tag lies before the stamps; one that stands for several warps must lie before each of theirs.</summary>
    public bool Covers(ulong tag)
    {
        if (RaceTag.Thread(tag) == (int)RaceTag.SeveralWarps)
        {
            return Array.TrueForAll(_stamps, s => Covers(s, tag));
        }

        int warp = RaceTag.Warp(tag);
        return warp < _stamps.Length && Covers(_stamps[warp], tag);
    }

    private static bool Covers((int Barrier, int Warp) stamp, ulong tag)
    {
        int ahead = RaceTag.EpochsBehind(stamp.Barrier, RaceTag.BarrierEpoch(tag), RaceTag.BarrierEpochCount);
        return ahead == 0
            ? RaceTag.EpochsBehind(stamp.Warp, RaceTag.WarpEpoch(tag), RaceTag.WarpEpochCount) is > 0 and < RaceTag.WarpEpochCount / 2
            : ahead < RaceTag.BarrierEpochCount - MaxAhead && stamp != default;
    }

    private void Raise(int warp, (int Barrier, int Warp) stamp)
    {
        if (stamp.CompareTo(_stamps[warp]) > 0)
        {
            _stamps[warp] = stamp;
        }
    }
}
