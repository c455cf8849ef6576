using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Evaluation;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Operations;

/// <summary>
/// The measures of vectors from a file: <c>a</c> (n, E), whose row i belongs to row i of <c>b</c> (n, E). Gives float64 scalars:
/// <c>a-b.SCORE.r1</c>, <c>r5</c>, <c>r10</c>, <c>mrr</c>, <c>medianRank</c> (and <c>b-a</c> alike) for each score, with int32 <c>ranks</c>; <c>hubness</c>, <c>topShare</c>;
/// of each side <c>effectiveRank</c>, <c>effectiveRankRoyVetterli</c>, <c>isoScore</c>, <c>meanPairwiseCosine</c>, <c>uniformity</c>, <c>entropy</c>, <c>nearZero</c>;
/// of the pair <c>alignment</c>, <c>modalityGap</c>, <c>centroidCosine</c>, <c>gramCorrelation</c>, <c>neighbourOverlap</c>.
/// </summary>
public sealed class MetricsOperation
{
    private const string A = "a";
    private const string B = "b";

    private static readonly SimilarityScore[] s_scores = [SimilarityScore.Cosine, SimilarityScore.Centred, SimilarityScore.Csls, SimilarityScore.Margin];

    private readonly int _neighbours;

    /// <summary>Reads the settings: <c>neighbours</c>, the k of hubness and overlap (10).</summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown or out of range.</exception>
    public MetricsOperation(OperationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        float neighbours = settings.Number("neighbours") ?? 10;
        settings.RefuseOthers();
        _neighbours = neighbours >= 1 && neighbours <= int.MaxValue / 2 && neighbours == MathF.Floor(neighbours)
            ? (int)neighbours
            : throw new UserErrorException(FormattableString.Invariant($"--set neighbours={neighbours} is no count"), "give a whole number from 1");
    }

    /// <summary>Computes.</summary>
    /// <param name="file">The inputs.</param>
    /// <param name="device">Where to compute.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">An input is missing or has another shape.</exception>
    public SafetensorsWriter Run(SafetensorsFile file, Device device)
    {
        ArgumentNullException.ThrowIfNull(file);
        CpuDevice? cpu = device as CpuDevice;
        EmbeddingMatrix a = Read(file, A);
        EmbeddingMatrix b = Read(file, B);
        if (a.Rows != b.Rows || a.Columns != b.Columns)
        {
            throw new UserErrorException(
                $"'{file.Path}': 'a' is {file.Entry(A).ShapeText}, 'b' is {file.Entry(B).ShapeText}", "give two matrices of one shape; row i of a belongs to row i of b");
        }

        SafetensorsWriter writer = new();
        AddRetrieval(writer, "a-b", a, b, cpu);
        AddRetrieval(writer, "b-a", b, a, cpu);
        AddGeometry(writer, A, a, cpu);
        AddGeometry(writer, B, b, cpu);
        Put(writer, "alignment", EmbeddingGeometry.Alignment(a, b));
        Put(writer, "modalityGap", EmbeddingGeometry.ModalityGap(a, b));
        Put(writer, "centroidCosine", EmbeddingGeometry.CentroidCosine(a, b));
        Put(writer, "gramCorrelation", EmbeddingGeometry.GramCorrelation(a, b, device: cpu));
        Put(writer, "neighbourOverlap", EmbeddingGeometry.NeighbourOverlap(a, b, _neighbours, cpu));
        return writer;
    }

    private void AddRetrieval(SafetensorsWriter writer, string name, EmbeddingMatrix queries, EmbeddingMatrix pool, CpuDevice? cpu)
    {
        foreach (SimilarityScore score in s_scores)
        {
            int[] ranks = Retrieval.Ranks(new ScoreRows(queries, pool, score, cpu));
            RetrievalMetrics metrics = RetrievalMetrics.FromRanks(ranks, pool.Rows);
            string prefix = $"{name}.{FigureNames.Of(score)}.";
            writer.Add(prefix + "ranks", [ranks.Length], ranks);
            Put(writer, prefix + "r1", metrics.R1);
            Put(writer, prefix + "r5", metrics.R5);
            Put(writer, prefix + "r10", metrics.R10);
            Put(writer, prefix + "mrr", metrics.Mrr);
            Put(writer, prefix + "medianRank", metrics.MedianRank);
        }

        Hubness hubness = Hubness.Measure(queries, pool, _neighbours, cpu);
        Put(writer, name + ".hubness", hubness.Skewness);
        Put(writer, name + ".topShare", hubness.TopShare);
    }

    private static void AddGeometry(SafetensorsWriter writer, string name, EmbeddingMatrix x, CpuDevice? cpu)
    {
        Put(writer, name + ".effectiveRank", SpectralGeometry.EffectiveRank(x, EffectiveRankKind.Energy, centred: true));
        Put(writer, name + ".effectiveRankRoyVetterli", SpectralGeometry.EffectiveRank(x, EffectiveRankKind.RoyVetterli, centred: false));
        Put(writer, name + ".isoScore", SpectralGeometry.IsoScore(x));
        Put(writer, name + ".meanPairwiseCosine", EmbeddingGeometry.MeanPairwiseCosine(x));
        Put(writer, name + ".uniformity", EmbeddingGeometry.Uniformity(x, cpu));
        Put(writer, name + ".entropy", EmbeddingGeometry.Entropy(x));
        Put(writer, name + ".nearZero", EmbeddingGeometry.ProportionNearZero(x));
    }

    private static void Put(SafetensorsWriter writer, string name, double value) => writer.Add(name, [1], new[] { value });

    private static EmbeddingMatrix Read(SafetensorsFile file, string name)
    {
        SafetensorsEntry entry = file.Entry(name);
        return entry.Shape is [> 1 and <= int.MaxValue, > 1 and <= int.MaxValue]
            ? new EmbeddingMatrix(file.ReadSingles(name), (int)entry.Shape[0], (int)entry.Shape[1])
            : throw new UserErrorException($"'{file.Path}': '{name}' is {entry.ShapeText}; it must be a matrix of at least two rows and columns", "give a row a vector");
    }
}
