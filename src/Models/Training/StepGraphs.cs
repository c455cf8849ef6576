using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>The graphs of the stages of a step that read the same inputs.</summary>
internal sealed class StepGraphs : IDisposable
{
    private static readonly int s_stages = Enum.GetValues<StepStage>().Length;
    private readonly CudaGraph?[] _graphs = new CudaGraph?[s_stages];
    private readonly int[] _generations = NeverRun();

    /// <summary>The graph of a stage, where it was captured.</summary>
    /// <param name="stage">The stage.</param>
    public CudaGraph? this[StepStage stage] => _graphs[(int)stage];

    /// <summary>Sets the graph of a stage; the one before is disposed.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="graph">The graph, or null.</param>
    public void Set(StepStage stage, CudaGraph? graph)
    {
        _graphs[(int)stage]?.Dispose();
        _graphs[(int)stage] = graph;
    }

    /// <summary>What <see cref="ContrastiveStep.ArenaGeneration"/> was when a stage was issued last; negative before the first time.</summary>
    /// <param name="stage">The stage.</param>
    public ref int Generation(StepStage stage) => ref _generations[(int)stage];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (CudaGraph? graph in _graphs)
        {
            graph?.Dispose();
        }

        Array.Clear(_graphs);
        Array.Fill(_generations, -1);
    }

    private static int[] NeverRun()
    {
        int[] generations = new int[s_stages];
        Array.Fill(generations, -1);
        return generations;
    }
}
