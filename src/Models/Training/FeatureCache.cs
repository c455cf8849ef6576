namespace CrossAlign.Models.Training;

/// <summary>
/// Numbers by what they were computed from: a text's tokens, a picture's index. Holds up to a number of bytes and then
/// takes nothing more: what it holds decides how long a step takes, never what comes out.
/// </summary>
internal sealed class FeatureCache
{
    // Floats that are taken at once: 1 MiB.
    private const int ChunkLength = 1 << 18;

    // A key's array and its entry, about.
    private const int OverheadByteCount = 64;

    private readonly Dictionary<int[], (int Chunk, int Offset)> _places = new(new SequenceComparer());
    private readonly Dictionary<int[], (int Chunk, int Offset)>.AlternateLookup<ReadOnlySpan<int>> _lookup;
    private readonly List<float[]> _chunks = [];
    private readonly long _byteLimit;
    private int _usedOfLast;
    private long _byteCount;

    /// <summary>An empty cache.</summary>
    /// <param name="byteLimit">The most bytes to hold.</param>
    public FeatureCache(long byteLimit)
    {
        _byteLimit = byteLimit;
        _lookup = _places.GetAlternateLookup<ReadOnlySpan<int>>();
    }

    /// <summary>Inputs whose numbers are held.</summary>
    public int Count => _places.Count;

    /// <summary>How often an input was there.</summary>
    public long HitCount { get; private set; }

    /// <summary>How often it was not.</summary>
    public long MissCount { get; private set; }

    /// <summary>Whether an input was turned away because the cache holds as much as it may.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Copies the numbers of an input that is there.</summary>
    /// <param name="key">What they were computed from.</param>
    /// <param name="values">As many as were added; overwritten where the input is there.</param>
    /// <returns>Whether it is.</returns>
    public bool TryGet(ReadOnlySpan<int> key, Span<float> values)
    {
        if (!_lookup.TryGetValue(key, out (int Chunk, int Offset) place))
        {
            MissCount++;
            return false;
        }

        HitCount++;
        _chunks[place.Chunk].AsSpan(place.Offset, values.Length).CopyTo(values);
        return true;
    }

    /// <summary>Keeps the numbers of an input, unless it is there already or there is no room.</summary>
    /// <param name="key">What they were computed from; it decides how many there are.</param>
    /// <param name="values">The numbers.</param>
    public void Add(ReadOnlySpan<int> key, ReadOnlySpan<float> values)
    {
        long byteCount = OverheadByteCount + (sizeof(int) * (long)key.Length) + (sizeof(float) * (long)values.Length);
        if (_byteCount + byteCount > _byteLimit)
        {
            IsFull = true;
            return;
        }

        if (_chunks.Count == 0 || _usedOfLast + values.Length > _chunks[^1].Length)
        {
            if (_lookup.ContainsKey(key))
            {
                return;
            }

            _chunks.Add(new float[Math.Max(ChunkLength, values.Length)]);
            _usedOfLast = 0;
        }

        if (!_lookup.TryAdd(key, (_chunks.Count - 1, _usedOfLast)))
        {
            return;
        }

        values.CopyTo(_chunks[^1].AsSpan(_usedOfLast));
        _usedOfLast += values.Length;
        _byteCount += byteCount;
    }

    private sealed class SequenceComparer : IEqualityComparer<int[]>, IAlternateEqualityComparer<ReadOnlySpan<int>, int[]>
    {
        public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(int[] obj) => GetHashCode(obj.AsSpan());

        public bool Equals(ReadOnlySpan<int> alternate, int[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<int> alternate)
        {
            HashCode hash = default;
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(alternate));
            return hash.ToHashCode();
        }

        public int[] Create(ReadOnlySpan<int> alternate) => alternate.ToArray();
    }
}
