using System.Globalization;

namespace CrossAlign.Runtime;

/// <summary>The extents of a tensor of up to four dimensions, row-major. A value type, so that a view costs no allocation.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    /// <summary>The largest number of dimensions.</summary>
    public const int MaxRank = 4;

    private readonly int _d0;
    private readonly int _d1;
    private readonly int _d2;
    private readonly int _d3;

    /// <summary>One dimension.</summary>
    /// <param name="d0">Extent, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative.</exception>
    public Shape(int d0)
        : this(1, d0, 1, 1, 1)
    {
    }

    /// <summary>Two dimensions.</summary>
    /// <param name="d0">Rows.</param>
    /// <param name="d1">Columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative.</exception>
    public Shape(int d0, int d1)
        : this(2, d0, d1, 1, 1)
    {
    }

    /// <summary>Three dimensions.</summary>
    /// <param name="d0">First extent.</param>
    /// <param name="d1">Second extent.</param>
    /// <param name="d2">Third extent.</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative.</exception>
    public Shape(int d0, int d1, int d2)
        : this(3, d0, d1, d2, 1)
    {
    }

    /// <summary>Four dimensions.</summary>
    /// <param name="d0">First extent.</param>
    /// <param name="d1">Second extent.</param>
    /// <param name="d2">Third extent.</param>
    /// <param name="d3">Fourth extent.</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative.</exception>
    public Shape(int d0, int d1, int d2, int d3)
        : this(4, d0, d1, d2, d3)
    {
    }

    private Shape(int rank, int d0, int d1, int d2, int d3)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(d0);
        ArgumentOutOfRangeException.ThrowIfNegative(d1);
        ArgumentOutOfRangeException.ThrowIfNegative(d2);
        ArgumentOutOfRangeException.ThrowIfNegative(d3);
        Rank = rank;
        _d0 = d0;
        _d1 = d1;
        _d2 = d2;
        _d3 = d3;
    }

    /// <summary>The number of dimensions, 0 (a scalar: one element) to 4.</summary>
    public int Rank { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Rank switch
    {
        0 => 1,
        1 => _d0,
        2 => (long)_d0 * _d1,
        3 => checked((long)_d0 * _d1 * _d2),
        _ => checked((long)_d0 * _d1 * _d2 * _d3),
    };

    /// <summary>The extent of one dimension.</summary>
    /// <param name="dimension">0 to <see cref="Rank"/> - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="dimension"/> is not below <see cref="Rank"/>.</exception>
    public int this[int dimension]
    {
        get
        {
            if ((uint)dimension >= (uint)Rank)
            {
                throw new ArgumentOutOfRangeException(nameof(dimension), dimension, $"The shape {this} has {Rank} dimensions.");
            }

            return dimension switch { 0 => _d0, 1 => _d1, 2 => _d2, _ => _d3 };
        }
    }

    /// <summary>The shape of up to four extents, given as a list.</summary>
    /// <param name="extents">0 to 4 extents.</param>
    /// <returns>The shape.</returns>
    /// <exception cref="ArgumentException">There are more than four extents.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative.</exception>
    public static Shape Of(ReadOnlySpan<int> extents) => extents.Length switch
    {
        0 => default,
        1 => new Shape(extents[0]),
        2 => new Shape(extents[0], extents[1]),
        3 => new Shape(extents[0], extents[1], extents[2]),
        4 => new Shape(extents[0], extents[1], extents[2], extents[3]),
        _ => throw new ArgumentException($"A shape has at most {MaxRank} dimensions, not {extents.Length}.", nameof(extents)),
    };

    /// <summary>The same shape with another first extent.</summary>
    /// <param name="rows">The new first extent.</param>
    /// <returns>A shape of the same rank.</returns>
    /// <exception cref="InvalidOperationException">The shape has no dimension.</exception>
    public Shape WithRows(int rows) => Rank == 0
        ? throw new InvalidOperationException("A scalar has no rows.")
        : new Shape(Rank, rows, _d1, _d2, _d3);

    /// <inheritdoc/>
    public bool Equals(Shape other) =>
        Rank == other.Rank && _d0 == other._d0 && _d1 == other._d1 && _d2 == other._d2 && _d3 == other._d3;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Rank, _d0, _d1, _d2, _d3);

    /// <summary>Whether two shapes have the same rank and extents.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>True when equal.</returns>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Whether two shapes differ.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>True when they differ.</returns>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    /// <summary>The extents as error messages show them: <c>(128, 512)</c>.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => Rank switch
    {
        0 => "()",
        1 => string.Create(CultureInfo.InvariantCulture, $"({_d0})"),
        2 => string.Create(CultureInfo.InvariantCulture, $"({_d0}, {_d1})"),
        3 => string.Create(CultureInfo.InvariantCulture, $"({_d0}, {_d1}, {_d2})"),
        _ => string.Create(CultureInfo.InvariantCulture, $"({_d0}, {_d1}, {_d2}, {_d3})"),
    };
}
