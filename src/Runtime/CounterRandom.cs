namespace CrossAlign.Runtime;

/// <summary>
/// A sequential reader of one counter-based stream, for code that draws a handful of numbers for a named thing (which caption an
/// example shows, how a picture is turned). Equal seeds and names give equal draws, in whatever order things are visited.
/// </summary>

public struct CounterRandom
{
    private readonly ulong _seed;
    private readonly uint _stream;
    private readonly uint _item;
    private readonly uint _step;
    private uint _block;
    private int _left;
    private (uint X, uint Y, uint Z, uint W) _words;

    /// <summary>Opens the stream of one item.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="stream">What the numbers are for; one constant a purpose.</param>
    /// <param name="item">Which example, say.</param>
    /// <param name="step">Which step or epoch.</param>
    public CounterRandom(ulong seed, uint stream, uint item, uint step = 0)
    {
        _seed = seed;
        _stream = stream;
        _item = item;
        _step = step;
        _block = 0;
        _left = 0;
        _words = default;
    }

    /// <summary>The next 32 random bits.</summary>
    /// <returns>A uniform word.</returns>
    public uint NextUInt32()
    {
        if (_left == 0)
        {
            _words = CounterRng.Block(_seed, _block++, _step, _item, _stream);
            _left = 4;
        }

        return _left-- switch { 4 => _words.X, 3 => _words.Y, 2 => _words.Z, _ => _words.W };
    }

    /// <summary>A whole number from 0 to <paramref name="exclusiveMax"/> - 1, without bias.</summary>
    /// <param name="exclusiveMax">At least 1.</param>
    /// <returns>The number.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="exclusiveMax"/> is below 1.</exception>
    public int Next(int exclusiveMax)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(exclusiveMax, 1);

        // D. Lemire, "Fast Random Integer Generation in an Interval", 2019: multiply, and reject the few words that would favour
        // small numbers.
        ulong product = (ulong)NextUInt32() * (uint)exclusiveMax;
        if ((uint)product < (uint)exclusiveMax)
        {
            uint threshold = (uint)-exclusiveMax % (uint)exclusiveMax;
            while ((uint)product < threshold)
            {
                product = (ulong)NextUInt32() * (uint)exclusiveMax;
            }
        }

        return (int)(product >> 32);
    }

    /// <summary>A float in [0, 1).</summary>
    /// <returns>A multiple of 2^-24.</returns>
    public float NextSingle() => CounterRng.ToUnitFloat(NextUInt32());

    /// <summary>A float in [<paramref name="low"/>, <paramref name="high"/>).</summary>
    /// <param name="low">Lower end.</param>
    /// <param name="high">Upper end.</param>
    /// <returns>A uniform number.</returns>
    public float NextSingle(float low, float high) => low + ((high - low) * NextSingle());

    /// <summary>A draw of the standard normal distribution (Box and Muller's transform).</summary>
    /// <returns>The draw.</returns>
    public float NextNormal()
    {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        double radius = Math.Sqrt(-2 * Math.Log(1.0 - NextSingle()));
        return (float)(radius * Math.Cos(2 * Math.PI * NextSingle()));
    }

    /// <summary>Puts the elements into a random order (Fisher and Yates).</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="items">Overwritten.</param>
    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = Next(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }
}
