using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>Launches <c>similarity_cross_entropy_lines.cu</c> and <c>similarity_cross_entropy_embeddings.cu</c>: what the fused loss does line by line.</summary>
internal static class CudaSimilarityLines
{
    // As in similarity_cross_entropy_lines.cu.
    public const int Loss = 0;
    public const int ScaleByRows = 1;
    public const int ScaleByColumns = 2;
    public const int ScaleMagnitude = 3;
    public const int BiasGradient = 6;
    private const int ThreadsPerBlock = 256;
    private const int LinesPerBlock = 8;
    private const string Stem = "similarity_cross_entropy_lines";
    private const string EmbeddingsStem = "similarity_cross_entropy_embeddings";

    /// <summary>Writes the numbers of lines that all other kernels read.</summary>
    public static void Counts(in CudaSimilarityCall call)
    {
        KernelArguments arguments = default;
        call.AddCounts(ref arguments);
        Launch(call, Stem, "similarity_counts", new Dim3(1), ref arguments);
    }

    public static void Begin(in CudaSimilarityCall call, in SimilarityCrossEntropyInputs inputs, float maxScale)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.Add(inputs.Scale);
        arguments.Add(inputs.Bias);
        arguments.Add(maxScale);
        arguments.AddAddress(call.Values);
        arguments.AddAddress(call.Numbers);
        Launch(call, Stem, "similarity_begin", new Dim3(1), ref arguments);
    }

    public static void Norms(in CudaSimilarityCall call, in Tensor source, nint lines, nint rstd, int width)
    {
        KernelArguments arguments = default;
        arguments.Add(source);
        arguments.AddAddress(rstd);
        AddLines(call, ref arguments, lines, width);
        Launch(call, EmbeddingsStem, "similarity_norms", Lines(source), ref arguments);
    }

    public static void Thresholds(in CudaSimilarityCall call, in SimilarityCrossEntropyInputs inputs, int width, float margin)
    {
        KernelArguments rows = default;
        call.AddProblem(ref rows);
        rows.Add(inputs.Captions);
        rows.Add(inputs.Images);
        rows.Add(width);
        rows.Add(call.E);
        rows.Add(call.DType == DType.BFloat16);
        rows.Add(margin);
        Launch(call, EmbeddingsStem, "similarity_thresholds", Lines(inputs.Captions), ref rows);

        KernelArguments columns = default;
        call.AddProblem(ref columns);
        columns.Add(call.ColumnRoom);
        Launch(call, EmbeddingsStem, "similarity_column_thresholds", Threads(call.ColumnRoom), ref columns);
    }

    public static void Reset(in CudaSimilarityCall call)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.Add(call.ColumnRoom);
        Launch(call, Stem, "similarity_reset", BothSides(call), ref arguments);
    }

    /// <summary>When all rows were merged into a piece of the images: the columns' losses, and what only their divisor is missing from.</summary>
    public static void Columns(in CudaSimilarityCall call, in CudaSimilarityPiece piece, in SimilarityCrossEntropyOutputs outputs, float smoothing)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(piece.CountAddress);
        arguments.Add(piece.First);
        arguments.AddAddress(call.AtHand);
        arguments.Add(call.Plan.TileCapacity);
        arguments.Add(smoothing);
        arguments.AddAddress(call.ColumnTerms);
        arguments.AddAddress(call.ColumnWeights);
        arguments.Add(outputs.ColumnLoss);
        Dim3 grid = new((uint)CudaKernels.Blocks(piece.Count, CudaSimilarityPlan.ColumnsPerTerm));
        call.Device.Launch(CudaKernels.Get(call.Device, Stem, "similarity_columns"), grid, CudaSimilarityPlan.ColumnsPerTerm, ref arguments);
    }

    public static void Divisors(in CudaSimilarityCall call, float prefixWeight)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(call.Numbers);
        arguments.AddAddress(call.ColumnTerms);
        arguments.AddAddress(call.ColumnWeights);
        arguments.Add((call.Flags & CudaSimilarityCall.RowsActive) != 0 ? 0.5f * prefixWeight : prefixWeight);
        Launch(call, Stem, "similarity_divisors", new Dim3(1), ref arguments);
    }

    public static void SigmoidRows(in CudaSimilarityCall call, float prefixWeight)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(call.Numbers);
        arguments.Add(prefixWeight);
        Launch(call, Stem, "similarity_sigmoid_rows", Threads(call.RowCount), ref arguments);
    }

    public static void SoftmaxLines(in CudaSimilarityCall call, in SimilarityCrossEntropyOutputs outputs, float prefixWeight, float smoothing)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(call.Numbers);
        arguments.Add(prefixWeight);
        arguments.Add(smoothing);
        arguments.Add(call.ColumnRoom);
        arguments.AddAddress(call.RowTerms);
        arguments.Add(outputs.RowLoss);
        Launch(call, Stem, "similarity_softmax_lines", BothSides(call), ref arguments);
        if ((call.Flags & CudaSimilarityCall.RowsActive) != 0)
        {
            Sum(call, call.RowTerms, call.Rows, CudaSimilarityPlan.RowsPerTerm, Loss);
        }
    }

    public static void SigmoidLines(in CudaSimilarityCall call, in SimilarityCrossEntropyOutputs outputs)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(call.RowTerms);
        arguments.AddAddress(call.ColumnTerms);
        arguments.Add(outputs.RowLoss);
        Launch(call, Stem, "similarity_sigmoid_lines", Threads(call.RowCount), ref arguments);
        Sum(call, call.RowTerms, call.Rows, CudaSimilarityPlan.RowsPerTerm, Loss);
        Sum(call, call.ColumnTerms, call.Rows, CudaSimilarityPlan.RowsPerTerm, BiasGradient);
    }

    /// <summary>After the lines' coefficients: zeros in a piece's packed lines that have no part in the loss.</summary>
    public static void ClearAbsent(in CudaSimilarityCall call, in CudaSimilarityOperand packed, in CudaSimilarityPiece piece, bool ofRows)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.AddAddress(packed.Address);
        arguments.AddAddress(piece.CountAddress);
        arguments.Add(piece.First);
        arguments.Add(packed.Stride);
        arguments.Add(call.ElementType == DType.BFloat16);
        arguments.Add(ofRows);
        Launch(call, EmbeddingsStem, "similarity_clear_absent", new Dim3((uint)CudaKernels.Blocks(piece.Count, LinesPerBlock)), ref arguments);
    }

    /// <summary>Before a further prefix: keeps what the inner products of lines and gradients are already.</summary>
    public static void Keep(in CudaSimilarityCall call, in Tensor source, nint lines, in Tensor gradient, nint inner, int width)
    {
        KernelArguments arguments = default;
        arguments.Add(source);
        arguments.Add(gradient);
        arguments.AddAddress(inner);
        AddLines(call, ref arguments, lines, width);
        Launch(call, EmbeddingsStem, "similarity_keep", Lines(source), ref arguments);
    }

    /// <summary>After a prefix: the norm's part of the gradients, and what the prefix adds to the scale's gradient.</summary>
    public static void Finish(
        in CudaSimilarityCall call, in Tensor source, nint lines, in Tensor gradient, nint before, nint terms, nint rstd, int width, bool isLast, int to, int magnitudeTo)
    {
        KernelArguments arguments = default;
        arguments.Add(source);
        arguments.Add(gradient);
        arguments.AddAddress(before);
        arguments.AddAddress(terms);
        arguments.AddAddress((call.Flags & CudaSimilarityCall.Normalize) != 0 ? rstd : 0);
        arguments.AddAddress(call.Values);
        AddLines(call, ref arguments, lines, width);
        arguments.Add(isLast);
        Launch(call, EmbeddingsStem, "similarity_finish", Lines(source), ref arguments);
        Sum(call, terms, lines, 1, to, magnitudeTo);
    }

    public static void End(
        in CudaSimilarityCall call, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs, in SimilarityCrossEntropyGradients gradients, float maxScale)
    {
        KernelArguments arguments = default;
        arguments.AddAddress(call.Numbers);
        arguments.Add(inputs.Scale);
        arguments.Add(call.Flags);
        arguments.Add(maxScale);
        arguments.Add(MathF.Log(maxScale));
        arguments.Add(gradients.DCaptions.IsPresent);
        arguments.Add(outputs.Loss);
        arguments.Add(gradients.DScale);
        arguments.Add(gradients.DBias);
        call.Device.Launch(CudaKernels.Get(call.Device, Stem, "similarity_end"), new Dim3(1), 32, ref arguments);
    }

    private static void Sum(in CudaSimilarityCall call, nint terms, nint lines, int linesPerTerm, int to, int magnitudeTo = -1)
    {
        KernelArguments arguments = default;
        arguments.AddAddress(terms);
        arguments.AddAddress(lines);
        arguments.Add(linesPerTerm);
        arguments.AddAddress(call.Numbers);
        arguments.Add(to);
        arguments.Add(magnitudeTo);
        Launch(call, Stem, "similarity_sum", new Dim3(1), ref arguments);
    }

    private static void AddLines(in CudaSimilarityCall call, ref KernelArguments arguments, nint lines, int width)
    {
        arguments.AddAddress(lines);
        arguments.Add(width);
        arguments.Add(call.E);
        arguments.Add(call.DType == DType.BFloat16);
        arguments.Add(call.Flags);
    }

    private static Dim3 Lines(in Tensor source) => new((uint)CudaKernels.Blocks(source.Shape[0], LinesPerBlock));

    private static Dim3 Threads(int count) => new((uint)CudaKernels.Blocks(count, ThreadsPerBlock));

    private static Dim3 BothSides(in CudaSimilarityCall call) =>
        new((uint)CudaKernels.Blocks(Math.Max(call.RowCount, call.ColumnRoom), ThreadsPerBlock), 2);

    private static void Launch(in CudaSimilarityCall call, string stem, string name, Dim3 grid, ref KernelArguments arguments) =>
        call.Device.Launch(CudaKernels.Get(call.Device, stem, name), grid, ThreadsPerBlock, ref arguments);
}
