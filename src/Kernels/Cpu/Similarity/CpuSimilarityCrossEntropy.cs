using System.Runtime.InteropServices;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels.Cpu.Similarity;

/// <summary>
/// The fused loss on the CPU: the phases Stats, Merge and Gradients over blocks of the matrix of logits, block by block in super-tiles.
/// Row and column offsets are global, so that several devices could each go through blocks of their own between exchanges of statistics.
/// </summary>
internal static unsafe class CpuSimilarityCrossEntropy
{
    // 2^-100, in place of a scale of 0 under a false-negative mask, as in similarity_cross_entropy_lines.cu: logits keep the similarities' bits, and their exponentials are 1.
    private const float TinyScale = 7.8886090522101181e-31f;

    public static void Run(
        SimilarityCrossEntropyWorkspace workspace,
        in SimilarityCrossEntropyInputs inputs,
        in SimilarityCrossEntropyOutputs outputs,
        in SimilarityCrossEntropyGradients gradients,
        bool backward)
    {
        CpuDevice device = (CpuDevice)workspace.Device;
        WorkerPool workers = device.Workers;
        CpuSimilarityState state = Open(workspace, inputs);
        state.WantsGradients = backward;
        CpuSimilarityPreparation.CheckRows(state);

        CpuSimilarityBlock* blocks = stackalloc CpuSimilarityBlock[2];
        int blockCount = Cut(state, inputs, gradients, blocks);
        if (backward && workspace.Prefixes[0].Width < state.E)
        {
            Zero(gradients.DCaptions);
            Zero(gradients.DImages);
            Zero(gradients.DExtraNegatives);
        }

        float* rowLoss = Clear(outputs.RowLoss);
        float* columnLoss = Clear(outputs.ColumnLoss);
        CpuSimilarityPreparation.CountPositives(&state);
        double loss = 0;
        double dBias = 0;
        ScaleGradient dScale = default;
        for (int p = 0; p < workspace.Prefixes.Length; p++)
        {
            state.Width = workspace.Prefixes[p].Width;
            state.PrefixWeight = workspace.Prefixes[p].Weight;
            CpuSimilarityPreparation.Measure(&state, blocks, blockCount, workers);
            CpuSimilarityMerge.Reset(&state);
            if (backward && p > 0)
            {
                KeepInner(&state, blocks, blockCount, workers);
            }

            if (!state.Sigmoid)
            {
                for (int b = 0; b < blockCount; b++)
                {
                    Stats(&state, workspace.Plan, blocks[b], device);
                }

                loss += CpuSimilarityMerge.Softmax(&state, rowLoss, columnLoss);
            }

            if (backward || state.Sigmoid)
            {
                for (int b = 0; b < blockCount; b++)
                {
                    blocks[b].OverwritesDCaptions = p == 0 && b == 0 && state.Width == state.E;
                    blocks[b].OverwritesDImages = p == 0 && state.Width == state.E;
                    Gradients(&state, workspace.Plan, blocks[b], device);
                }
            }

            if (state.Sigmoid)
            {
                loss += CpuSimilarityMerge.Sigmoid(&state, rowLoss, out double more);
                dBias += more;
            }

            if (backward)
            {
                Finish(&state, blocks, blockCount, p == workspace.Prefixes.Length - 1, p > 0, workers, ref dScale);
            }
        }

        *outputs.Loss.Pointer<float>() = (float)loss;
        workspace.OperationCount = state.OperationCount;
        workspace.ScaleGradientDiscrepancy = backward ? dScale.Discrepancy : double.NaN;
        if (gradients.DScale.IsPresent)
        {
            *gradients.DScale.Pointer<float>() += (float)(dScale.Value * ScaleDerivative(workspace.Options, inputs.Scale));
        }

        if (gradients.DBias.IsPresent)
        {
            *gradients.DBias.Pointer<float>() += (float)dBias;
        }
    }

    /// <summary>Phase 1: adds a block to the running statistics of its rows and columns.</summary>
    public static void Stats(CpuSimilarityState* s, in CpuSimilarityPlan plan, in CpuSimilarityBlock block, CpuDevice device)
    {
        for (int j = 0; j < plan.Pieces(block.ColumnCount); j++)
        {
            for (int i = 0; i < plan.Pieces(block.RowCount); i++)
            {
                Locate(s, plan, block, i, j);
                if (s->TileRows > 0 && s->TileColumns > 0)
                {
                    CpuSimilarityPreparation.FindFactors(s, device.Workers);
                    CpuSimilarityProducts.Similarities(s, device);
                    CpuSimilarityStats.Run(s, device.Workers);
                }
            }
        }
    }

    /// <summary>Phase 3, after the statistics of all blocks are merged: adds a block's part to both sides' gradients.</summary>
    public static void Gradients(CpuSimilarityState* s, in CpuSimilarityPlan plan, in CpuSimilarityBlock block, CpuDevice device)
    {
        for (int j = 0; j < plan.Pieces(block.ColumnCount); j++)
        {
            for (int i = 0; i < plan.Pieces(block.RowCount); i++)
            {
                Locate(s, plan, block, i, j);
                if (s->TileRows == 0 || s->TileColumns == 0)
                {
                    continue;
                }

                CpuSimilarityPreparation.FindFactors(s, device.Workers);
                if (!s->TileHoldsLogits)
                {
                    CpuSimilarityProducts.Similarities(s, device);
                }

                CpuSimilarityTileGradients.Run(s, device.Workers);
                if (s->WantsGradients)
                {
                    CpuSimilarityProducts.AddGradients(s, device);
                }
            }
        }
    }

    /// <summary>The state with every pointer and scalar set, but for the prefix and the tile.</summary>
    public static CpuSimilarityState Open(SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs)
    {
        SimilarityCrossEntropyOptions options = workspace.Options;
        CpuSimilarityState state = default;
        workspace.Plan.Lay(ref state, workspace.Address);
        state.DType = inputs.Captions.DType;
        state.Round = workspace.Device.MatMulPrecision == MatMulPrecision.BFloat16;
        state.E = workspace.Width;
        state.ImageCount = inputs.Images.Shape[0];
        state.Rows.Count = inputs.Captions.Shape[0];
        state.Columns.Count = state.ImageCount + (inputs.ExtraNegatives.IsPresent ? inputs.ExtraNegatives.Shape[0] : 0);
        state.Targets = inputs.Targets.IsPresent ? inputs.Targets.Pointer<int>() : null;
        state.RowWeights = inputs.RowWeights.IsPresent ? inputs.RowWeights.Pointer<float>() : null;
        state.CaptionGroups = inputs.CaptionGroups.IsPresent ? inputs.CaptionGroups.Pointer<int>() : null;
        state.ImageGroups = inputs.ImageGroups.IsPresent ? inputs.ImageGroups.Pointer<int>() : null;
        state.Sigmoid = options.Objective == SimilarityCrossEntropyObjective.Sigmoid;
        state.Normalize = options.Normalize;
        state.DivideByRowCount = options.DivideByRowCount;
        state.Groups = options.Groups;
        state.Smoothing = options.LabelSmoothing;
        state.HasMargin = options.FalseNegativeMargin is not null;
        state.Margin = options.FalseNegativeMargin.GetValueOrDefault();
        float scale = *inputs.Scale.Pointer<float>();
        state.GradientScale = options.Scale == SimilarityCrossEntropyScale.Multiplier ? scale : (float)Math.Min(Math.Exp(scale), options.MaxScale);
        state.Scale = state.HasMargin && state.GradientScale == 0 ? TinyScale : state.GradientScale;
        state.ThresholdSign = state.Scale < 0 ? -1 : 1;
        state.Bias = inputs.Bias.IsPresent ? *inputs.Bias.Pointer<float>() : 0;
        return state;
    }

    /// <summary>The images are one block and the extra negatives another.</summary>
    private static int Cut(
        in CpuSimilarityState s, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyGradients gradients, CpuSimilarityBlock* blocks)
    {
        float* dCaptions = gradients.DCaptions.IsPresent ? gradients.DCaptions.Pointer<float>() : null;
        blocks[0] = new CpuSimilarityBlock
        {
            Captions = (void*)inputs.Captions.Address,
            RowCount = s.Rows.Count,
            DCaptions = dCaptions,
            Images = (void*)inputs.Images.Address,
            ColumnCount = s.ImageCount,
            DImages = gradients.DImages.IsPresent ? gradients.DImages.Pointer<float>() : null,
        };
        if (s.Columns.Count == s.ImageCount)
        {
            return 1;
        }

        blocks[1] = blocks[0] with
        {
            Images = (void*)inputs.ExtraNegatives.Address,
            ColumnCount = s.Columns.Count - s.ImageCount,
            ColumnOffset = s.ImageCount,
            DImages = gradients.DExtraNegatives.IsPresent ? gradients.DExtraNegatives.Pointer<float>() : null,
        };
        return 2;
    }

    private static void Locate(CpuSimilarityState* s, in CpuSimilarityPlan plan, in CpuSimilarityBlock block, int i, int j)
    {
        int row = plan.PieceStart(block.RowCount, i);
        int column = plan.PieceStart(block.ColumnCount, j);
        long elementBytes = s->DType.ByteSize();
        s->TileRows = plan.PieceStart(block.RowCount, i + 1) - row;
        s->TileColumns = plan.PieceStart(block.ColumnCount, j + 1) - column;
        s->FirstRow = block.RowOffset + row;
        s->FirstColumn = block.ColumnOffset + column;
        s->Captions = (byte*)block.Captions + (elementBytes * row * s->E);
        s->Images = (byte*)block.Images + (elementBytes * column * s->E);
        s->DCaptions = block.DCaptions == null ? null : block.DCaptions + ((long)row * s->E);
        s->DImages = block.DImages == null ? null : block.DImages + ((long)column * s->E);
        s->OverwritesDCaptions = block.OverwritesDCaptions && j == 0;
        s->OverwritesDImages = block.OverwritesDImages && i == 0;
        s->TileHoldsLogits = s->Kept != null && !s->Sigmoid;
        if (s->Kept != null)
        {
            s->Tile = s->Kept + ((long)s->FirstRow * s->Columns.Count) + ((long)s->TileRows * s->FirstColumn);
        }
    }

    private static void KeepInner(CpuSimilarityState* s, CpuSimilarityBlock* blocks, int blockCount, WorkerPool workers)
    {
        for (int b = 0; b < blockCount; b++)
        {
            ref CpuSimilarityBlock block = ref blocks[b];
            if (b == 0 && block.DCaptions != null)
            {
                CpuSimilarityLines.Keep(s, block.Captions, block.DCaptions, block.RowCount, s->Rows.Inner + block.RowOffset, workers);
            }

            if (block.DImages != null)
            {
                CpuSimilarityLines.Keep(s, block.Images, block.DImages, block.ColumnCount, s->Columns.Inner + block.ColumnOffset, workers);
            }
        }
    }

    private static void Finish(
        CpuSimilarityState* s, CpuSimilarityBlock* blocks, int blockCount, bool isLast, bool isFurther, WorkerPool workers, ref ScaleGradient dScale)
    {
        dScale.HasColumns = true;
        for (int b = 0; b < blockCount; b++)
        {
            ref CpuSimilarityBlock block = ref blocks[b];
            if (b == 0 && block.DCaptions != null)
            {
                float* rstd = s->Normalize ? s->Rows.Rstd + block.RowOffset : null;
                double* inner = isFurther ? s->Rows.Inner + block.RowOffset : null;
                dScale.HasRows = true;
                dScale.ByRows += CpuSimilarityLines.Finish(s, block.Captions, block.DCaptions, block.RowCount, s->Rows.HasLong, rstd, inner, isLast, workers, out double magnitude);
                dScale.Magnitude += magnitude;
            }

            if (block.DImages != null)
            {
                float* rstd = s->Normalize ? s->Columns.Rstd + block.ColumnOffset : null;
                double* inner = isFurther ? s->Columns.Inner + block.ColumnOffset : null;
                dScale.ByColumns += CpuSimilarityLines.Finish(s, block.Images, block.DImages, block.ColumnCount, s->Columns.HasLong, rstd, inner, isLast, workers, out _);
            }
            else
            {
                dScale.HasColumns = false;
            }
        }
    }

    /// <summary>d scale / d what the tensor holds.</summary>
    private static double ScaleDerivative(SimilarityCrossEntropyOptions options, in Tensor scale)
    {
        if (options.Scale == SimilarityCrossEntropyScale.Multiplier)
        {
            return 1;
        }

        // Rounding of the logarithm must not stop a scale that stands at its bound: CLIP clamps the parameter itself to ln 100.
        float value = *scale.Pointer<float>();
        return value > MathF.Log(options.MaxScale) ? 0 : Math.Min(Math.Exp(value), options.MaxScale);
    }

    private static void Zero(in Tensor tensor)
    {
        if (tensor.IsPresent)
        {
            NativeMemory.Clear((void*)tensor.Address, (nuint)tensor.ByteCount);
        }
    }

    private static float* Clear(in Tensor tensor)
    {
        Zero(tensor);
        return tensor.IsPresent ? tensor.Pointer<float>() : null;
    }

    private struct ScaleGradient
    {
        public bool HasRows;
        public bool HasColumns;
        public double ByRows;
        public double ByColumns;

        /// <summary>The sum of the magnitudes of the rows' terms, which may cancel in <see cref="ByRows"/>.</summary>
        public double Magnitude;

        public readonly double Value => HasRows ? ByRows : ByColumns;

        public readonly double Discrepancy => HasRows && HasColumns
            ? Math.Abs(ByRows - ByColumns) / Math.Max(Magnitude, double.Epsilon)
            : double.NaN;
    }
}
