using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// The fused loss on a CUDA device: <c>similarity_cross_entropy.cu</c> for the statistics of super-tiles, its second file for the
/// gradients of their logits, <see cref="CudaMatMul"/> for the two products that read them. Nothing waits for the device.
/// </summary>
internal static class CudaSimilarityCrossEntropy
{
    // As in tile_product.cuh and similarity_cross_entropy.cu.
    private const int TileThreads = 256;
    private const int KeptRowsPerBlock = 8;

    // A tile of sums, and seven words of partials a line: one block a multiprocessor, also where 99 KiB are the most.
    private const int SharedByteCount = (CudaSimilarityPlan.BlockTile + 7) * CudaSimilarityPlan.BlockTile * sizeof(float);
    private const string Stem = "similarity_cross_entropy";

    public static void Run(
        SimilarityCrossEntropyWorkspace workspace,
        in SimilarityCrossEntropyInputs inputs,
        in SimilarityCrossEntropyOutputs outputs,
        in SimilarityCrossEntropyGradients gradients,
        bool backward)
    {
        RefuseLiveRows(inputs.Captions);
        RefuseLiveRows(inputs.Images);
        SimilarityCrossEntropyOptions options = workspace.Options;
        CudaSimilarityCall call = new(workspace, inputs, backward);
        bool sigmoid = (call.Flags & CudaSimilarityCall.Sigmoid) != 0;

        // What the last call has left must not be taken for this one's.
        call.Device.ForgetContent(workspace.Memory);
        workspace.OperationCount = 0;
        CudaSimilarityLines.Begin(call, inputs, options.MaxScale);
        Zero(call.Device, outputs.RowLoss);
        Zero(call.Device, outputs.ColumnLoss);
        if (backward)
        {
            Zero(call.Device, gradients.DCaptions);
            Zero(call.Device, gradients.DImages);
            Zero(call.Device, gradients.DExtraNegatives);
        }

        bool hasExtras = call.ColumnCount > call.ImageCount;
        CudaSimilarityBlock images = new(inputs.Captions, inputs.Images, 0, gradients.DCaptions, gradients.DImages);
        CudaSimilarityBlock extras = new(inputs.Captions, inputs.ExtraNegatives, call.ImageCount, gradients.DCaptions, gradients.DExtraNegatives);
        for (int p = 0; p < workspace.Prefixes.Length; p++)
        {
            int width = workspace.Prefixes[p].Width;
            float weight = workspace.Prefixes[p].Weight;
            Measure(call, inputs, width, options.FalseNegativeMargin);
            CudaSimilarityLines.Reset(call);
            if (backward && p > 0)
            {
                KeepInner(call, images, width);
                if (hasExtras)
                {
                    KeepInner(call, extras, width);
                }
            }

            if (sigmoid)
            {
                CudaSimilarityLines.Divisors(call);
                CudaSimilarityLines.SigmoidRows(call, weight);
            }
            else
            {
                Stats(call, images, width, workspace);
                if (hasExtras)
                {
                    Stats(call, extras, width, workspace);
                }

                CudaSimilarityLines.Divisors(call);
                CudaSimilarityLines.SoftmaxLines(call, outputs, weight, options.LabelSmoothing);
            }

            if (backward || sigmoid)
            {
                Gradients(call, images, width, backward, workspace);
                if (hasExtras)
                {
                    Gradients(call, extras, width, backward, workspace);
                }
            }

            if (sigmoid)
            {
                CudaSimilarityLines.SigmoidLines(call, outputs);
            }

            if (backward)
            {
                bool isLast = p == workspace.Prefixes.Length - 1;
                Finish(call, images, width, isFurther: p > 0, isLast, ofRows: true);
                if (hasExtras)
                {
                    Finish(call, extras, width, isFurther: p > 0, isLast, ofRows: false);
                }
            }
        }

        CudaSimilarityLines.End(call, inputs, outputs, gradients, options.MaxScale);
        bool comparable = backward && gradients.DCaptions.IsPresent && gradients.DImages.IsPresent
            && (!hasExtras || gradients.DExtraNegatives.IsPresent);
        workspace.ReadDiscrepancyFromDevice(comparable);
    }

    /// <summary>See <see cref="SimilarityCrossEntropyWorkspace.ScaleGradientDiscrepancy"/>; waits for the device.</summary>
    /// <param name="numbers">The call's doubles, as bytes.</param>
    public static double Discrepancy(in Tensor numbers)
    {
        byte[] bytes = numbers.ToArray<byte>();
        double byRows = BitConverter.ToDouble(bytes, CudaSimilarityLines.ScaleByRows * sizeof(double));
        double byColumns = BitConverter.ToDouble(bytes, CudaSimilarityLines.ScaleByColumns * sizeof(double));
        double magnitude = BitConverter.ToDouble(bytes, CudaSimilarityLines.ScaleMagnitude * sizeof(double));
        return Math.Abs(byRows - byColumns) / Math.Max(magnitude, double.Epsilon);
    }

    private static void Measure(in CudaSimilarityCall call, in SimilarityCrossEntropyInputs inputs, int width, float? margin)
    {
        if ((call.Flags & CudaSimilarityCall.Normalize) != 0)
        {
            CudaSimilarityLines.Norms(call, inputs.Captions, call.RowRstd, width);
            CudaSimilarityLines.Norms(call, inputs.Images, call.ColumnRstd, width);
            if (call.ColumnCount > call.ImageCount)
            {
                CudaSimilarityLines.Norms(call, inputs.ExtraNegatives, call.ColumnRstd + (nint)((long)call.ImageCount * sizeof(float)), width);
            }
        }

        if (margin is float value)
        {
            CudaSimilarityLines.Thresholds(call, inputs, width, value);
        }
    }

    /// <summary>Phase 1: adds a block to the running statistics of its rows and columns.</summary>
    private static void Stats(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaSimilarityPlan plan = call.Plan;
        for (int j = 0; j < plan.Pieces(block.ColumnCount); j++)
        {
            CudaSimilarityPiece columns = new(plan, block.ColumnCount, j);
            if (columns.Count == 0)
            {
                continue;
            }

            CudaSimilarityOperand images = call.Operand(block.Images, columns.First, columns.Count, width, isImages: true);
            for (int i = 0; i < plan.Pieces(call.RowCount); i++)
            {
                CudaSimilarityPiece rows = new(plan, call.RowCount, i);
                if (rows.Count == 0)
                {
                    continue;
                }

                CudaSimilarityOperand captions = call.Operand(block.Captions, rows.First, rows.Count, width, isImages: false);
                KernelArguments arguments = default;
                call.AddProblem(ref arguments);
                AddTile(ref arguments, captions, images, width, rows, columns, block.FirstColumn);
                arguments.AddAddress(call.RowPartials);
                arguments.AddAddress(call.ColumnPartials);
                arguments.Add(plan.TileCapacity);
                arguments.AddAddress(call.Kept(rows.First, block.FirstColumn + columns.First));
                arguments.Add(call.ColumnCount);
                call.Device.Launch(call.TileKernel(gradients: false), Tiles(rows, columns), TileThreads, ref arguments, SharedByteCount);
                workspace.OperationCount += 2L * rows.Count * columns.Count * width;
                Merge(call, rows, columns, block.FirstColumn);
            }
        }
    }

    /// <summary>Phase 3, after the statistics of all blocks are merged: adds a block's part to both sides' gradients.</summary>
    private static void Gradients(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, bool backward, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaSimilarityPlan plan = call.Plan;
        for (int j = 0; j < plan.Pieces(block.ColumnCount); j++)
        {
            CudaSimilarityPiece columns = new(plan, block.ColumnCount, j);
            if (columns.Count == 0)
            {
                continue;
            }

            CudaSimilarityOperand images = call.Operand(block.Images, columns.First, columns.Count, width, isImages: true);
            for (int i = 0; i < plan.Pieces(call.RowCount); i++)
            {
                CudaSimilarityPiece rows = new(plan, call.RowCount, i);
                if (rows.Count == 0)
                {
                    continue;
                }

                CudaSimilarityOperand captions = call.Operand(block.Captions, rows.First, rows.Count, width, isImages: false);
                int stride = CudaSimilarityPlan.PackedStride(columns.Count);
                TileGradients(call, block, captions, images, width, rows, columns, stride, workspace);
                if (backward)
                {
                    AddGradients(call, block, captions, images, width, rows, columns, stride, workspace);
                }
            }
        }
    }

    private static void TileGradients(
        in CudaSimilarityCall call, in CudaSimilarityBlock block, CudaSimilarityOperand captions, CudaSimilarityOperand images, int width, in CudaSimilarityPiece rows, in CudaSimilarityPiece columns, int stride, SimilarityCrossEntropyWorkspace workspace)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        nint kept = call.Kept(rows.First, block.FirstColumn + columns.First);
        if (kept != 0)
        {
            arguments.AddAddress(kept);
            arguments.Add(call.ColumnCount);
            arguments.Add(rows.Count);
            arguments.Add(columns.Count);
            arguments.Add(rows.First);
            arguments.Add(block.FirstColumn + columns.First);
            AddTarget(call, ref arguments, stride);
            Dim3 grid = new((uint)CudaKernels.Blocks(columns.Count, CudaSimilarityPlan.BlockTile), (uint)CudaKernels.Blocks(rows.Count, KeptRowsPerBlock));
            call.Device.Launch(
                CudaKernels.Get(call.Device, "similarity_cross_entropy_gradients", "similarity_gradients_kept"), grid, TileThreads, ref arguments);
            return;
        }

        AddTile(ref arguments, captions, images, width, rows, columns, block.FirstColumn);
        arguments.AddAddress(call.RowPartials);
        arguments.Add(call.Plan.TileCapacity);
        AddTarget(call, ref arguments, stride);
        call.Device.Launch(call.TileKernel(gradients: true), Tiles(rows, columns), TileThreads, ref arguments, SharedByteCount);
        workspace.OperationCount += 2L * rows.Count * columns.Count * width;
        if ((call.Flags & CudaSimilarityCall.Sigmoid) != 0)
        {
            Merge(call, rows, columns, block.FirstColumn);
        }
    }

    // dCaptions += tile images, dImages += tile^T captions, where they are wanted.
    private static void AddGradients(
        in CudaSimilarityCall call, in CudaSimilarityBlock block, CudaSimilarityOperand captions, CudaSimilarityOperand images, int width, in CudaSimilarityPiece rows, in CudaSimilarityPiece columns, int stride, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaProduct product = new()
        {
            Layout = MatMulLayout.NN,
            A = call.Tile,
            AType = call.ElementType,
            AStride = stride,
            B = images.Address,
            BType = call.ElementType,
            BStride = images.Stride,
            OutputType = DType.Float32,
            OutputStride = call.E,
            M = rows.Count,
            N = width,
            K = columns.Count,
            Alpha = 1,
            Accumulate = true,
        };
        if (block.DCaptions.IsPresent)
        {
            product.Output = block.DCaptions.Address + (nint)((long)rows.First * call.E * sizeof(float));
            Multiply(call, product, workspace);
        }

        if (block.DImages.IsPresent)
        {
            product.Layout = MatMulLayout.TN;
            product.B = captions.Address;
            product.BStride = captions.Stride;
            product.Output = block.DImages.Address + (nint)((long)columns.First * call.E * sizeof(float));
            product.M = columns.Count;
            product.K = rows.Count;
            Multiply(call, product, workspace);
        }
    }

    private static void Multiply(in CudaSimilarityCall call, in CudaProduct product, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaMatMul.Run(call.Device, product, call.Device.Scratch(CudaMatMul.ScratchByteCount(call.Device, product)));
        workspace.OperationCount += 2L * product.M * product.N * product.K;
    }

    private static void Merge(in CudaSimilarityCall call, in CudaSimilarityPiece rows, in CudaSimilarityPiece columns, int firstColumn)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        arguments.Add(rows.Count);
        arguments.Add(columns.Count);
        arguments.Add(rows.First);
        arguments.Add(firstColumn + columns.First);
        arguments.AddAddress(call.RowPartials);
        arguments.AddAddress(call.ColumnPartials);
        arguments.Add(call.Plan.TileCapacity);
        Dim3 grid = new((uint)CudaKernels.Blocks(Math.Max(rows.Count, columns.Count), TileThreads), 2);
        call.Device.Launch(CudaKernels.Get(call.Device, Stem, "similarity_merge"), grid, TileThreads, ref arguments);
    }

    private static void AddTile(
        ref KernelArguments arguments, CudaSimilarityOperand captions, CudaSimilarityOperand images, int width, in CudaSimilarityPiece rows, in CudaSimilarityPiece columns, int firstColumn)
    {
        arguments.AddAddress(captions.Address);
        arguments.AddAddress(images.Address);
        arguments.Add(width);
        arguments.Add(captions.Stride);
        arguments.Add(images.Stride);
        arguments.Add(rows.Count);
        arguments.Add(columns.Count);
        arguments.Add(rows.First);
        arguments.Add(firstColumn + columns.First);
    }

    private static void AddTarget(in CudaSimilarityCall call, ref KernelArguments arguments, int stride)
    {
        arguments.AddAddress(call.Tile);
        arguments.Add(stride);
        arguments.Add(call.ElementType == DType.BFloat16);
    }

    private static Dim3 Tiles(in CudaSimilarityPiece rows, in CudaSimilarityPiece columns) =>
        new((uint)(CudaKernels.Blocks(rows.Count, CudaSimilarityPlan.BlockTile) * CudaKernels.Blocks(columns.Count, CudaSimilarityPlan.BlockTile)));

    private static void KeepInner(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width)
    {
        if (block.FirstColumn == 0 && block.DCaptions.IsPresent)
        {
            CudaSimilarityLines.Keep(call, block.Captions, block.DCaptions, call.RowInner, width);
        }

        if (block.DImages.IsPresent)
        {
            CudaSimilarityLines.Keep(call, block.Images, block.DImages, call.ColumnInner + (nint)((long)block.FirstColumn * sizeof(double)), width);
        }
    }

    private static void Finish(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, bool isFurther, bool isLast, bool ofRows)
    {
        if (ofRows && block.DCaptions.IsPresent)
        {
            CudaSimilarityLines.Finish(
                call, block.Captions, block.DCaptions, isFurther ? call.RowInner : 0, call.RowTerms, call.RowRstd, width, isLast, CudaSimilarityLines.ScaleByRows, CudaSimilarityLines.ScaleMagnitude);
        }

        if (block.DImages.IsPresent)
        {
            nint first = block.FirstColumn;
            CudaSimilarityLines.Finish(
                call,
                block.Images,
                block.DImages,
                isFurther ? call.ColumnInner + (first * sizeof(double)) : 0,
                call.ColumnTerms + (first * sizeof(double)),
                call.ColumnRstd + (first * sizeof(float)),
                width,
                isLast,
                CudaSimilarityLines.ScaleByColumns,
                -1);
        }
    }

    private static void RefuseLiveRows(in Tensor tensor)
    {
        if (tensor.LiveRows is not null)
        {
            throw new ArgumentException("The loss takes tensors as large as the batch: no number of live rows.", nameof(tensor));
        }
    }

    private static void Zero(CudaDevice device, in Tensor tensor)
    {
        if (tensor.IsPresent)
        {
            device.Zero(tensor);
        }
    }
}
