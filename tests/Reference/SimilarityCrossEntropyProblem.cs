using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>The input of <see cref="SimilarityCrossEntropyReference"/>.</summary>
public sealed record SimilarityCrossEntropyProblem<T>(int B, int K, int E, T[] Captions, T[] Images, T Scale)
    where T : IFloatingPointIeee754<T>
{
    public T[] Extra { get; init; } = [];

    public int X => Extra.Length / E;

    public bool Rows { get; init; } = true;

    public bool Columns { get; init; } = true;

    public bool Sigmoid { get; init; }

    public bool Normalize { get; init; }

    public bool LogScale { get; init; }

    public T MaxScale { get; init; } = T.CreateChecked(100);

    public T Bias { get; init; } = T.Zero;

    public int[]? Targets { get; init; }

    public T[]? RowWeights { get; init; }

    public bool DivideByRowCount { get; init; }

    public int[]? CaptionGroups { get; init; }

    public int[]? ImageGroups { get; init; }

    /// <summary>Whether members of a group are positives; otherwise they are masked.</summary>
    public bool SharedGroups { get; init; }

    public T LabelSmoothing { get; init; } = T.Zero;

    /// <summary>Infinite: no mask.</summary>
    public T FalseNegativeMargin { get; init; } = T.PositiveInfinity;

    /// <summary>What becomes of a number that enters a matrix product: rounding, for the twin of a lower precision; null for nothing.</summary>
    public Converter<T, T>? Operand { get; init; }

    public (int Width, T Weight)[] Prefixes { get; init; } = [];
}

/// <summary>The output of <see cref="SimilarityCrossEntropyReference"/>.</summary>
public sealed class SimilarityCrossEntropyResult<T>(int b, int k, int x, int e)
    where T : IFloatingPointIeee754<T>
{
    public T Loss { get; set; } = T.Zero;

    public T DScale { get; set; } = T.Zero;

    public T DBias { get; set; } = T.Zero;

    public T[] RowLoss { get; } = new T[b];

    public T[] ColumnLoss { get; } = new T[k];

    public T[] DCaptions { get; } = new T[b * e];

    public T[] DImages { get; } = new T[k * e];

    public T[] DExtra { get; } = new T[x * e];
}
