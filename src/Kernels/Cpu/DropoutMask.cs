using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CrossAlign.Kernels.Cpu;

/// <summary>The factors of a <see cref="DropoutSite"/> on the CPU: 0 for what is dropped, 1 / (1 - rate) for what is kept.</summary>
internal readonly unsafe struct DropoutMask
{
    /// <summary>The channels that <see cref="Channels"/> draws at a time: eight blocks of four.</summary>
    public const int ChannelsPerDraw = 4 * PhiloxLanes.Count;

    private const uint ElementwiseHead = DropoutSite.MaxHeads;

    // The columns of a block of queries are whole vectors of at most 16 lanes, three of them.
    private const int MaxColumns = 48;

    private readonly ulong _key;
    private readonly uint _site;
    private readonly int _threshold;
    private readonly float _scale;
    private readonly int* _tokenKeys;

    public DropoutMask(in DropoutSite site)
    {
        _key = site.IsActive ? site.ReadKey() : 0;
        _site = site.Site << 10;

        // k 2^-24 >= rate for whole k just if k >= ceil(rate 2^24); the product is exact in double.
        _threshold = (int)Math.Ceiling(site.Rate * (double)(1 << 24));
        _scale = (float)(1 / (1 - (double)site.Rate));
        _tokenKeys = site.IsActive ? site.TokenKeys.Pointer<int>() : null;
    }

    public bool IsActive => _tokenKeys != null;

    /// <summary>The factors of <see cref="ChannelsPerDraw"/> channels of a token.</summary>
    /// <param name="token">The token's row in the packed batch.</param>
    /// <param name="first">The first channel, a multiple of four.</param>
    /// <param name="factors">Overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Channels(int token, int first, float* factors)
    {
        PhiloxLanes.Blocks(
            _key,
            Vector256.Create((uint)first / 4) + Vector256<uint>.Indices,
            Vector256.Create((uint)_tokenKeys[(2L * token) + 1]),
            Vector256.Create((uint)_tokenKeys[2L * token]),
            Vector256.Create(_site | ElementwiseHead),
            out Vector256<uint> x,
            out Vector256<uint> y,
            out Vector256<uint> z,
            out Vector256<uint> w);
        Vector256<float> fx = Factors(x);
        Vector256<float> fy = Factors(y);
        Vector256<float> fz = Factors(z);
        Vector256<float> fw = Factors(w);
        for (int block = 0; block < PhiloxLanes.Count; block++)
        {
            Vector128.Create(fx[block], fy[block], fz[block], fw[block]).Store(factors + (4 * block));
        }
    }

    /// <summary>
    /// The factors of the attention probabilities of a block of queries: a row a key, the queries along the columns.
    /// </summary>
    /// <param name="firstQuery">The row of the first query in the packed batch.</param>
    /// <param name="queries">How many queries.</param>
    /// <param name="firstKey">The row of the sequence's first token.</param>
    /// <param name="keys">How many keys.</param>
    /// <param name="head">The head.</param>
    /// <param name="factors">(keys, columns); overwritten; the columns behind the queries get factors too, which mean nothing.</param>
    /// <param name="columns">At least the queries, a multiple of four, at most 48.</param>
    public void Probabilities(int firstQuery, int queries, int firstKey, int keys, int head, float* factors, int columns)
    {
        uint* positions = stackalloc uint[MaxColumns];
        uint* examples = stackalloc uint[MaxColumns];
        float* drawn = stackalloc float[4 * MaxColumns];
        for (int i = 0; i < queries; i++)
        {
            examples[i] = (uint)_tokenKeys[2L * (firstQuery + i)];
            positions[i] = (uint)_tokenKeys[(2L * (firstQuery + i)) + 1];
        }

        long block = -1;
        for (int j = 0; j < keys; j++)
        {
            // Four neighbouring keys share a block of the stream.
            uint keyPosition = (uint)_tokenKeys[(2L * (firstKey + j)) + 1];
            if (keyPosition / 4 != block)
            {
                block = keyPosition / 4;
                for (int i = 0; i < columns; i += PhiloxLanes.Count)
                {
                    PhiloxLanes.Blocks(
                        _key,
                        Vector256.Create((uint)block),
                        Vector256.Load(positions + i),
                        Vector256.Load(examples + i),
                        Vector256.Create(_site | (uint)head),
                        out Vector256<uint> x,
                        out Vector256<uint> y,
                        out Vector256<uint> z,
                        out Vector256<uint> w);
                    Factors(x).Store(drawn + i);
                    Factors(y).Store(drawn + MaxColumns + i);
                    Factors(z).Store(drawn + (2 * MaxColumns) + i);
                    Factors(w).Store(drawn + (3 * MaxColumns) + i);
                }
            }

            new ReadOnlySpan<float>(drawn + (keyPosition % 4 * MaxColumns), columns).CopyTo(new Span<float>(factors + ((long)j * columns), columns));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector256<float> Factors(Vector256<uint> words)
    {
        // 24 bits are positive as signed numbers too, which is what the processor compares.
        Vector256<int> kept = ~Vector256.LessThan(Vector256.ShiftRightLogical(words, 8).AsInt32(), Vector256.Create(_threshold));
        return (kept & Vector256.Create(_scale).AsInt32()).AsSingle();
    }
}
