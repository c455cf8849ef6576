using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Sees one query's scores against the whole pool. It is called from several threads at once, for different queries.</summary>
/// <param name="query">The query's row.</param>
/// <param name="scores">A score for each row of the pool; larger is more alike. Valid during the call only.</param>
public delegate void ScoreRowVisitor(int query, ReadOnlySpan<double> scores);

/// <summary>
/// The scores of all queries against a pool, one query at a time: the matrix is made in tiles and never held as a whole.
/// Cosines are float32 products of unit rows, what is derived from them is in double. Equal vectors give equal scores.
/// </summary>
public sealed class ScoreRows
{
    /// <summary>The neighbours that CSLS averages over.</summary>
    public const int CslsNeighbours = 10;

    /// <summary>The neighbours that the ratio margin and xsim look at.</summary>
    public const int MarginNeighbours = 4;

    private readonly EmbeddingMatrix _queries;
    private readonly EmbeddingMatrix _pool;
    private readonly CpuDevice? _device;
    private readonly double[]? _queryMeans;
    private readonly double[]? _poolMeans;

    /// <summary>Prepares the rows: unit length, centring, neighbourhood means, as the score asks.</summary>
    /// <param name="queries">(n, E) vectors as the tower gives them.</param>
    /// <param name="pool">(m, E) vectors.</param>
    /// <param name="score">The comparison; k shrinks to the size of the side where that is smaller.</param>
    /// <param name="device">The processor to compute on; a temporary one with all threads where null.</param>
    /// <exception cref="ArgumentException">The widths differ.</exception>
    public ScoreRows(EmbeddingMatrix queries, EmbeddingMatrix pool, SimilarityScore score, CpuDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(pool);
        if (queries.Columns != pool.Columns)
        {
            throw new ArgumentException($"Vectors of width {queries.Columns} and {pool.Columns} cannot be compared.", nameof(pool));
        }

        Score = score;
        _device = device;
        (_queries, _pool) = score switch
        {
            SimilarityScore.Dot => (queries, pool),
            SimilarityScore.Centred => (Centre(queries), Centre(pool)),
            _ => (queries.Normalized(), pool.Normalized()),
        };
        int neighbours = score switch
        {
            SimilarityScore.Csls => CslsNeighbours,
            SimilarityScore.Margin or SimilarityScore.Xsim => MarginNeighbours,
            _ => 0,
        };
        if (neighbours > 0)
        {
            _queryMeans = NeighbourhoodMeans(_queries, _pool, neighbours, device);
            _poolMeans = NeighbourhoodMeans(_pool, _queries, neighbours, device);
        }
    }

    /// <summary>The comparison.</summary>
    public SimilarityScore Score { get; }

    /// <summary>The number of queries.</summary>
    public int QueryCount => _queries.Rows;

    /// <summary>The number of items that a query is compared with.</summary>
    public int PoolCount => _pool.Rows;

    /// <summary>r(x) or m(x) of each query for CSLS, margin and xsim; empty for the other scores.</summary>
    public ReadOnlySpan<double> QueryMeans => _queryMeans;

    /// <summary>r(y) or m(y) of each item of the pool for CSLS, margin and xsim; empty for the other scores.</summary>
    public ReadOnlySpan<double> PoolMeans => _poolMeans;

    /// <summary>Shows every query's scores.</summary>
    /// <param name="visit">Called once a query, from several threads at once; what it does must not depend on the order.</param>
    public void ForEach(ScoreRowVisitor visit)
    {
        ArgumentNullException.ThrowIfNull(visit);
        SimilarityTiles.ForEachRow(_queries, _pool, _device, (query, similarities) =>
        {
            double[] scores = System.Buffers.ArrayPool<double>.Shared.Rent(similarities.Length);
            Span<double> row = scores.AsSpan(0, similarities.Length);
            Fill(query, similarities, row);
            visit(query, row);
            System.Buffers.ArrayPool<double>.Shared.Return(scores);
        });
    }

    private static EmbeddingMatrix Centre(EmbeddingMatrix x) => x.Normalized().Centred().Normalized();

    private static double[] NeighbourhoodMeans(EmbeddingMatrix x, EmbeddingMatrix y, int neighbours, CpuDevice? device)
    {
        double[] means = new double[x.Rows];
        SimilarityTiles.ForEachRow(x, y, device, (i, similarities) => means[i] = NearestNeighbours.MeanOfLargest(similarities, neighbours));
        return means;
    }

    private void Fill(int query, ReadOnlySpan<float> similarities, Span<double> scores)
    {
        switch (Score)
        {
            case SimilarityScore.Csls:
                for (int j = 0; j < scores.Length; j++)
                {
                    scores[j] = (2.0 * similarities[j]) - _queryMeans![query] - _poolMeans![j];
                }

                break;
            case SimilarityScore.Margin:
                for (int j = 0; j < scores.Length; j++)
                {
                    scores[j] = Margin(query, j, similarities[j]);
                }

                break;
            case SimilarityScore.Xsim:
                // Candidates come first whatever their margin; the others keep the order of their cosines below all of them.
                for (int j = 0; j < scores.Length; j++)
                {
                    scores[j] = similarities[j];
                }

                Span<int> nearest = stackalloc int[MarginNeighbours];
                nearest = nearest[..NearestNeighbours.Find(similarities, nearest)];
                const double AboveAnyCosine = 1e6;
                foreach (int j in nearest)
                {
                    scores[j] = AboveAnyCosine + Math.Clamp(Margin(query, j, similarities[j]), -1e5, 1e5);
                }

                break;
            default:
                for (int j = 0; j < scores.Length; j++)
                {
                    scores[j] = similarities[j];
                }

                break;
        }
    }

    private double Margin(int query, int item, double cosine) => cosine / ((_queryMeans![query] + _poolMeans![item]) / 2);
}
