using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// The fused loss on a CUDA device: <c>similarity_cross_entropy.cu</c> for the statistics of super-tiles, its second file for the
/// gradients of their logits, <see cref="CudaMatMul"/> for the two products that read them. Nothing waits for the device. Captions, images
/// and extra negatives may each be bound to a number of live rows: what is beyond it takes no part, and its gradient is zero.
/// </summary>
internal static class CudaSimilarityCrossEntropy
{
    // As in tile_product.cuh and similarity_cross_entropy.cu.
    private const int TileThreads = 256;
    private const int MergeThreads = 128;
    private const int KeptRowsPerBlock = 64;

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
        CheckLiveRows(inputs, outputs, gradients);
        SimilarityCrossEntropyOptions options = workspace.Options;
        CudaSimilarityCall call = new(workspace, inputs, backward);
        bool sigmoid = (call.Flags & CudaSimilarityCall.Sigmoid) != 0;

        // What the last call has left must not be taken for this one's.
        call.Device.ForgetContent(workspace.Memory);
        workspace.OperationCount = 0;
        CudaSimilarityLines.Counts(call);
        CudaSimilarityLines.Begin(call, inputs, options.MaxScale);
        Zero(call.Device, outputs.RowLoss);
        Zero(call.Device, outputs.ColumnLoss);
        if (backward)
        {
            Zero(call.Device, gradients.DCaptions);
            Zero(call.Device, gradients.DImages);
            Zero(call.Device, gradients.DExtraNegatives);
        }

        bool hasExtras = call.ExtraCount > 0;
        CudaSimilarityBlock images = new(inputs.Captions, inputs.Images, isExtra: false, 0, gradients.DCaptions, gradients.DImages);
        CudaSimilarityBlock extras = new(
            inputs.Captions, inputs.ExtraNegatives, isExtra: true, call.Plan.FirstExtra, gradients.DCaptions, gradients.DExtraNegatives);
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
                CudaSimilarityLines.Divisors(call, weight);
                CudaSimilarityLines.SigmoidRows(call, weight);
            }
            else
            {
                Stats(call, images, width, outputs, workspace);
                if (hasExtras)
                {
                    Stats(call, extras, width, outputs, workspace);
                }

                CudaSimilarityLines.Divisors(call, weight);
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
            CudaSimilarityLines.Norms(call, inputs.Captions, call.Rows, call.RowRstd, width);
            CudaSimilarityLines.Norms(call, inputs.Images, call.Columns(extra: false), call.ColumnRstd, width);
            if (call.ExtraCount > 0)
            {
                nint rstd = call.ColumnRstd + (nint)((long)call.Plan.FirstExtra * sizeof(float));
                CudaSimilarityLines.Norms(call, inputs.ExtraNegatives, call.Columns(extra: true), rstd, width);
            }
        }

        if (margin is float value)
        {
            CudaSimilarityLines.Thresholds(call, inputs, width, value);
        }
    }

    /// <summary>Phase 1: adds a block to the running statistics of its rows and columns.</summary>
    private static void Stats(
        in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, in SimilarityCrossEntropyOutputs outputs, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaSimilarityTiles tile = new(call, block, width, forGradients: false);
        while (tile.Next())
        {
            KernelArguments arguments = default;
            call.AddProblem(ref arguments);
            AddTile(ref arguments, tile);
            arguments.AddAddress(call.RowPartials);
            arguments.AddAddress(call.ColumnPartials);
            arguments.Add(call.Plan.TileCapacity);
            arguments.AddAddress(call.Kept(tile.Rows.First, tile.FirstColumn));
            arguments.Add(call.ColumnRoom);
            call.Device.Launch(call.TileKernel(gradients: false), Blocks(tile), TileThreads, ref arguments, SharedByteCount);
            workspace.OperationCount += tile.OperationCount;
            Merge(call, tile);
            if (tile.IsLastOfColumns && !block.IsExtra && (call.Flags & CudaSimilarityCall.ColumnsActive) != 0)
            {
                CudaSimilarityLines.Columns(call, tile.Columns, outputs, workspace.Options.LabelSmoothing);
            }
        }
    }

    /// <summary>Phase 3, after the statistics of all blocks are merged: adds a block's part to both sides' gradients.</summary>
    private static void Gradients(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, bool backward, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaSimilarityTiles tile = new(call, block, width, forGradients: backward);
        while (tile.Next())
        {
            int stride = CudaSimilarityPlan.PackedStride(tile.Columns.Count);
            TileGradients(call, tile, stride, workspace);
            if (backward)
            {
                AddGradients(call, block, tile, stride, workspace);
            }
        }
    }

    private static void TileGradients(in CudaSimilarityCall call, in CudaSimilarityTiles tile, int stride, SimilarityCrossEntropyWorkspace workspace)
    {
        if (call.IsLive && call.Device.MatMulEngine == MatMulEngine.Cublas)
        {
            // cuBLAS reads the gradients of all rows and columns that there is room for.
            int byteCount = checked(tile.Rows.Count * stride * call.ElementType.ByteSize());
            call.Device.Zero(new Tensor(workspace.Memory, call.Plan.Tile, DType.UInt8, new Shape(byteCount)));
        }

        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        nint kept = call.Kept(tile.Rows.First, tile.FirstColumn);
        if (kept != 0)
        {
            arguments.AddAddress(kept);
            arguments.Add(call.ColumnRoom);
            AddExtents(ref arguments, tile);
            AddTarget(call, ref arguments, stride);
            arguments.Add(call.Device.MatMulPrecision != MatMulPrecision.Float32);
            Dim3 grid = new((uint)CudaKernels.Blocks(tile.Columns.Count, CudaSimilarityPlan.BlockTile), (uint)CudaKernels.Blocks(tile.Rows.Count, KeptRowsPerBlock));
            call.Device.Launch(
                CudaKernels.Get(call.Device, "similarity_cross_entropy_gradients", "similarity_gradients_kept"), grid, TileThreads, ref arguments);
            return;
        }

        AddTile(ref arguments, tile);
        arguments.AddAddress(call.RowPartials);
        arguments.Add(call.Plan.TileCapacity);
        AddTarget(call, ref arguments, stride);
        call.Device.Launch(call.TileKernel(gradients: true), Blocks(tile), TileThreads, ref arguments, SharedByteCount);
        workspace.OperationCount += tile.OperationCount;
        if ((call.Flags & CudaSimilarityCall.Sigmoid) != 0)
        {
            Merge(call, tile);
        }
    }

    // dCaptions += tile images, dImages += tile^T captions, where they are wanted: sums that go on from super-tile to super-tile in order.
    private static void AddGradients(
        in CudaSimilarityCall call, in CudaSimilarityBlock block, in CudaSimilarityTiles tile, int stride, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaSimilarityPiece rows = tile.Rows;
        CudaSimilarityPiece columns = tile.Columns;
        CudaProduct product = new()
        {
            Layout = MatMulLayout.NN,
            A = call.Tile,
            AType = call.ElementType,
            AStride = stride,
            B = tile.Images.Address,
            BType = call.ElementType,
            BStride = tile.Images.Stride,
            OutputType = DType.Float32,
            OutputStride = call.E,
            M = rows.Count,
            N = tile.Width,
            K = columns.Count,
            Alpha = 1,
            Continues = true,
            LiveM = call.IsLive ? rows.CountAddress : 0,
            LiveK = call.IsLive ? columns.CountAddress : 0,
        };
        if (block.DCaptions.IsPresent)
        {
            product.Output = block.DCaptions.Address + (nint)((long)rows.First * call.E * sizeof(float));
            Multiply(call, product, workspace);
        }

        if (block.DImages.IsPresent)
        {
            product.Layout = MatMulLayout.TN;
            product.B = tile.Captions.Address;
            product.BStride = tile.Captions.Stride;
            product.Output = block.DImages.Address + (nint)((long)columns.First * call.E * sizeof(float));
            product.M = columns.Count;
            product.K = rows.Count;
            (product.LiveM, product.LiveK) = (product.LiveK, product.LiveM);
            Multiply(call, product, workspace);
        }
    }

    private static void Multiply(in CudaSimilarityCall call, in CudaProduct product, SimilarityCrossEntropyWorkspace workspace)
    {
        CudaMatMul.Run(call.Device, product, call.Device.Scratch(CudaMatMul.ScratchByteCount(call.Device, product)));
        workspace.OperationCount += 2L * product.M * product.N * product.K;
    }

    private static void Merge(in CudaSimilarityCall call, in CudaSimilarityTiles tile)
    {
        KernelArguments arguments = default;
        call.AddProblem(ref arguments);
        AddExtents(ref arguments, tile);
        arguments.AddAddress(call.RowPartials);
        arguments.AddAddress(call.ColumnPartials);
        arguments.Add(call.Plan.TileCapacity);
        arguments.AddAddress(call.AtHand);
        Dim3 grid = new((uint)CudaKernels.Blocks(Math.Max(tile.Rows.Count, tile.Columns.Count), MergeThreads), 2);
        call.Device.Launch(CudaKernels.Get(call.Device, Stem, "similarity_merge"), grid, MergeThreads, ref arguments);
    }

    private static void AddTile(ref KernelArguments arguments, in CudaSimilarityTiles tile)
    {
        arguments.AddAddress(tile.Captions.Address);
        arguments.AddAddress(tile.Images.Address);
        arguments.Add(tile.Width);
        arguments.Add(tile.Captions.Stride);
        arguments.Add(tile.Images.Stride);
        AddExtents(ref arguments, tile);
    }

    private static void AddExtents(ref KernelArguments arguments, in CudaSimilarityTiles tile)
    {
        arguments.AddAddress(tile.Rows.CountAddress);
        arguments.AddAddress(tile.Columns.CountAddress);
        arguments.Add(tile.Rows.First);
        arguments.Add(tile.FirstColumn);
    }

    private static void AddTarget(in CudaSimilarityCall call, ref KernelArguments arguments, int stride)
    {
        arguments.AddAddress(call.Tile);
        arguments.Add(stride);
        arguments.Add(call.ElementType == DType.BFloat16);
    }

    private static Dim3 Blocks(in CudaSimilarityTiles tile) =>
        new((uint)(CudaKernels.Blocks(tile.Rows.Count, CudaSimilarityPlan.BlockTile) * CudaKernels.Blocks(tile.Columns.Count, CudaSimilarityPlan.BlockTile)));

    private static void KeepInner(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width)
    {
        if (!block.IsExtra && block.DCaptions.IsPresent)
        {
            CudaSimilarityLines.Keep(call, block.Captions, call.Rows, block.DCaptions, call.RowInner, width);
        }

        if (block.DImages.IsPresent)
        {
            CudaSimilarityLines.Keep(call, block.Images, call.Columns(block.IsExtra), block.DImages, call.ColumnInner + (nint)((long)block.FirstColumn * sizeof(double)), width);
        }
    }

    private static void Finish(in CudaSimilarityCall call, in CudaSimilarityBlock block, int width, bool isFurther, bool isLast, bool ofRows)
    {
        if (ofRows && block.DCaptions.IsPresent)
        {
            CudaSimilarityLines.Finish(
                call, block.Captions, call.Rows, block.DCaptions, isFurther ? call.RowInner : 0, call.RowInnerTerms, call.RowRstd, width, isLast, CudaSimilarityLines.ScaleByRows, CudaSimilarityLines.ScaleMagnitude);
        }

        if (block.DImages.IsPresent)
        {
            nint first = block.FirstColumn;
            CudaSimilarityLines.Finish(
                call,
                block.Images,
                call.Columns(block.IsExtra),
                block.DImages,
                isFurther ? call.ColumnInner + (first * sizeof(double)) : 0,
                call.ColumnInnerTerms + (first * sizeof(double)),
                call.ColumnRstd + (first * sizeof(float)),
                width,
                isLast,
                CudaSimilarityLines.ScaleByColumns,
                -1);
        }
    }

    // What belongs to the captions has their number of rows, what belongs to a kind of columns theirs.
    private static void CheckLiveRows(
        in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs, in SimilarityCrossEntropyGradients gradients)
    {
        LiveRows? captions = inputs.Captions.LiveRows;
        LiveRows? images = inputs.Images.LiveRows;
        AreBoundTo(captions, inputs.Targets, inputs.RowWeights, inputs.CaptionGroups, outputs.RowLoss, gradients.DCaptions);
        AreBoundTo(images, inputs.ImageGroups, outputs.ColumnLoss, gradients.DImages, default, default);
        AreBoundTo(inputs.ExtraNegatives.LiveRows, gradients.DExtraNegatives, default, default, default, default);
    }

    private static void AreBoundTo(LiveRows? rows, in Tensor a, in Tensor b, in Tensor c, in Tensor d, in Tensor e)
    {
        if (!IsBoundTo(rows, a) || !IsBoundTo(rows, b) || !IsBoundTo(rows, c) || !IsBoundTo(rows, d) || !IsBoundTo(rows, e))
        {
            throw new ArgumentException(
                "One of the loss's tensors is bound to a number of live rows that the embeddings of its rows are not bound to, or the other way round.", nameof(rows));
        }
    }

    private static bool IsBoundTo(LiveRows? rows, in Tensor tensor) => !tensor.IsPresent || ReferenceEquals(rows, tensor.LiveRows);

    private static void Zero(CudaDevice device, in Tensor tensor)
    {
        if (tensor.IsPresent)
        {
            device.Zero(tensor);
        }
    }
}
