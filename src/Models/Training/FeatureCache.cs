namespace CrossAlign.Models.Training;

/// <summary>
/// Rows of numbers by what they were computed from: a text's tokens, a picture's index. Holds up to a number of bytes and then
/// takes nothing more: what it holds decides how long a step takes, never what comes out.
/// </summary>
internal sealed class FeatureCache
{
    private const int RowsPerBlock = 512;

    // A key's array and its entry, about.
    private const int OverheadByteCount = 64;

    private readonly Dictionary<int[], int> _places = new(new SequenceComparer());
    private readonly Dictionary<int[], int>.AlternateLookup<ReadOnlySpan<int>> _lookup;
    private readonly List<float[]> _blocks = [];
    private readonly int _width;
    private readonly long _byteLimit;
    private long _byteCount;

    /// <summary>An empty cache.</summary>
    /// <param name="width">Numbers a row.</param>
    /// <param name="byteLimit">The most bytes to hold.</param>
    public FeatureCache(int width, long byteLimit)
    {
        _width = width;
        _byteLimit = byteLimit;
        _lookup = _places.GetAlternateLookup<ReadOnlySpan<int>>();
    }

    /// <summary>Rows held.</summary>
    public int Count => _places.Count;

    /// <summary>How often a row was there.</summary>
    public long HitCount { get; private set; }

    /// <summary>How often it was not.</summary>
    public long MissCount { get; private set; }

    /// <summary>Whether a row was turned away because the cache holds as much as it may.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Copies a row that is there.</summary>
    /// <param name="key">What it was computed from.</param>
    /// <param name="row">Overwritten where the row is there.</param>
    /// <returns>Whether it is.</returns>
    public bool TryGet(ReadOnlySpan<int> key, Span<float> row)
    {
        if (!_lookup.TryGetValue(key, out int place))
        {
            MissCount++;
            return false;
        }

        HitCount++;
        _blocks[place / RowsPerBlock].AsSpan(place % RowsPerBlock * _width, _width).CopyTo(row);
        return true;
    }

    /// <summary>Keeps a row, unless it is there already or there is no room.</summary>
    /// <param name="key">What it was computed from.</param>
    /// <param name="row">The row.</param>
    public void Add(ReadOnlySpan<int> key, ReadOnlySpan<float> row)
    {
        long byteCount = OverheadByteCount + (sizeof(int) * (long)key.Length) + (sizeof(float) * (long)_width);
        if (_byteCount + byteCount > _byteLimit)
        {
            IsFull = true;
            return;
        }

        int place = _places.Count;
        if (!_lookup.TryAdd(key, place))
        {
            return;
        }

        _byteCount += byteCount;
        if (place / RowsPerBlock == _blocks.Count)
        {
            _blocks.Add(new float[RowsPerBlock * _width]);
        }

        row.CopyTo(_blocks[place / RowsPerBlock].AsSpan(place % RowsPerBlock * _width, _width));
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
