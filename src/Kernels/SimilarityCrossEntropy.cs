using CrossAlign.Kernels.Cpu.Similarity;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// The fused contrastive loss: <c>logits = scale * captions images^T</c>, cross-entropy over rows, columns or both (or SigLIP's sigmoid
/// loss), and all gradients, without ever holding the matrix of logits: memory grows with B, not with B^2. Exact; deterministic
/// to the bit, on the CPU for any number of threads.
/// </summary>
/// <remarks>
/// <para>Work goes by super-tiles: a first pass merges a running (maximum, sum) a row and a column, a second one forms the
/// gradient of a super-tile's logits once and adds its products to both towers' gradients: 4 matrix products of 2 B K E (3 with one tower
/// locked, with the similarities kept, or for the sigmoid). The scale's gradient is the inner product of a tower with its gradient.</para>
/// <para>At <see cref="MatMulPrecision.BFloat16"/> float32 embeddings are taken as rounded to bfloat16 wherever they are read, and the gradients of the
/// logits as they enter their products; statistics, sums and results stay float32. A processor without AVX512_BF16 forms these products in float32.</para>
/// <para>Edge cases: a column without a positive, and an ignored row, have no loss and remain negatives of the others; where the others have no
/// loss they contribute nothing whatever they hold. Where nothing counts the loss is 0 and so are the gradients. NaN in an embedding that the loss depends on gives a NaN loss, infinity NaN or infinity.</para>
/// <para>Sources: A. Radford et al. 2021 (CLIP), figure 3; X. Zhai et al. 2023 (SigLIP), algorithm 1; M. Milakov, N. Gimelshein 2018 (online
/// softmax), algorithm 3; Z. Cheng et al. 2024 (Inf-CL), which takes 10 products.</para>
/// </remarks>
public static class SimilarityCrossEntropy
{
    /// <summary>The target of a row that has no loss, as PyTorch's <c>ignore_index</c>.</summary>
    public const int IgnoreIndex = -100;

    private const string ForwardName = "SimilarityCrossEntropy.Forward";
    private const string BackwardName = "SimilarityCrossEntropy.ForwardBackward";

    /// <summary>The loss alone.</summary>
    /// <param name="workspace">The variant, and memory for at least this batch.</param>
    /// <param name="inputs">See <see cref="SimilarityCrossEntropyInputs"/>.</param>
    /// <param name="outputs">See <see cref="SimilarityCrossEntropyOutputs"/>.</param>
    /// <exception cref="ArgumentNullException"><paramref name="workspace"/> is null.</exception>
    /// <exception cref="ArgumentException">A tensor has another shape or type, lies on another device, is missing or not wanted by the
    /// options, or does not fit the workspace; a target is out of range or a weight negative or not finite (CPU; on a CUDA device the loss is NaN then).</exception>
    public static void Forward(SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs)
    {
        CheckInputs(workspace, inputs, outputs);
        if (workspace.Device.Kind == DeviceKind.Plan)
        {
            return;
        }

        using OperationTimer timer = OperationTimer.Start(workspace.Device, ForwardName);
        Run(workspace, inputs, outputs, default, backward: false);
        workspace.Device.Operations?.AddArithmetic(ForwardName, workspace.OperationCount);
    }

    /// <summary>The loss and its gradients.</summary>
    /// <param name="workspace">The variant, and memory for at least this batch.</param>
    /// <param name="inputs">See <see cref="SimilarityCrossEntropyInputs"/>.</param>
    /// <param name="outputs">See <see cref="SimilarityCrossEntropyOutputs"/>.</param>
    /// <param name="gradients">See <see cref="SimilarityCrossEntropyGradients"/>; the gradient of the captions or of the images at least.</param>
    /// <exception cref="ArgumentNullException"><paramref name="workspace"/> is null.</exception>
    /// <exception cref="ArgumentException">As for <see cref="Forward"/>; or both towers' gradients are absent.</exception>
    public static void ForwardBackward(
        SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs, in SimilarityCrossEntropyGradients gradients)
    {
        CheckInputs(workspace, inputs, outputs);
        CheckGradients(workspace, inputs, gradients);
        if (workspace.Device.Kind == DeviceKind.Plan)
        {
            return;
        }

        using OperationTimer timer = OperationTimer.Start(workspace.Device, BackwardName);
        Run(workspace, inputs, outputs, gradients, backward: true);
        workspace.Device.Operations?.AddArithmetic(BackwardName, workspace.OperationCount);
    }

    private static void Run(
        SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs, in SimilarityCrossEntropyGradients gradients, bool backward)
    {
        switch (workspace.Device.Kind)
        {
            case DeviceKind.Cpu:
                CpuSimilarityCrossEntropy.Run(workspace, inputs, outputs, gradients, backward);
                break;
            case DeviceKind.Cuda:
                CudaSimilarityCrossEntropy.Run(workspace, inputs, outputs, gradients, backward);
                break;
            default:
                throw Check.NoBackend(workspace.Device);
        }
    }

    private static void CheckInputs(SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyOutputs outputs)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        SimilarityCrossEntropyOptions options = workspace.Options;
        Device device = workspace.Device;
        Check.IsFloating(inputs.Captions, 2);
        Check.IsFloating(inputs.Images, 2);
        DType dtype = inputs.Captions.DType;
        int rows = inputs.Captions.Shape[0];
        int columns = inputs.Images.Shape[0];
        Check.Is(inputs.Captions, new Shape(rows, workspace.Width), dtype, device);
        Check.Is(inputs.Images, new Shape(columns, workspace.Width), dtype, device);
        int extras = inputs.ExtraNegatives.IsPresent && inputs.ExtraNegatives.Shape.Rank == 2 ? inputs.ExtraNegatives.Shape[0] : 0;
        Check.IsOrAbsent(inputs.ExtraNegatives, new Shape(extras, workspace.Width), dtype, device);
        if (rows < 1 || rows > workspace.Rows || columns < 1 || columns > workspace.Columns || extras > workspace.ExtraNegatives)
        {
            throw new ArgumentException(
                $"The workspace is planned for 1 to {workspace.Rows} captions, 1 to {workspace.Columns} images and {workspace.ExtraNegatives} extra negatives, not for {rows}, {columns} and {extras}.",
                nameof(workspace));
        }

        CheckScalar(inputs.Scale, device, "inputs.Scale");
        if (inputs.Bias.IsPresent)
        {
            CheckScalar(inputs.Bias, device, "inputs.Bias");
            if (options.Objective != SimilarityCrossEntropyObjective.Sigmoid)
            {
                throw new ArgumentException("A bias changes nothing in a softmax; it belongs to the sigmoid objective.", nameof(inputs));
            }
        }

        Check.IsOrAbsent(inputs.Targets, new Shape(rows), DType.Int32, device);
        Check.IsOrAbsent(inputs.RowWeights, new Shape(rows), DType.Float32, device);
        if (options.Groups == SimilarityCrossEntropyGroups.None)
        {
            if (inputs.CaptionGroups.IsPresent || inputs.ImageGroups.IsPresent)
            {
                throw new ArgumentException("Groups are given, but the workspace's options say Groups.None.", nameof(inputs));
            }
        }
        else
        {
            Check.Is(inputs.CaptionGroups, new Shape(rows), DType.Int32, device);
            Check.Is(inputs.ImageGroups, new Shape(columns), DType.Int32, device);
        }

        if (!inputs.Targets.IsPresent && options.Groups != SimilarityCrossEntropyGroups.Shared && columns < rows)
        {
            throw new ArgumentException($"{rows} captions have no image each among {columns}: give targets, or shared groups.", nameof(inputs));
        }

        CheckScalar(outputs.Loss, device, "outputs.Loss");
        Check.IsOrAbsent(outputs.RowLoss, new Shape(rows), DType.Float32, device);
        Check.IsOrAbsent(outputs.ColumnLoss, new Shape(columns), DType.Float32, device);
    }

    private static void CheckGradients(SimilarityCrossEntropyWorkspace workspace, in SimilarityCrossEntropyInputs inputs, in SimilarityCrossEntropyGradients gradients)
    {
        Device device = workspace.Device;
        if (!gradients.DCaptions.IsPresent && !gradients.DImages.IsPresent)
        {
            throw new ArgumentException(
                "Both towers are locked, so there is nothing to learn but the scale: give DCaptions or DImages, or call Forward.", nameof(gradients));
        }

        Check.IsOrAbsent(gradients.DCaptions, inputs.Captions.Shape, DType.Float32, device);
        Check.IsOrAbsent(gradients.DImages, inputs.Images.Shape, DType.Float32, device);
        if (gradients.DExtraNegatives.IsPresent)
        {
            if (!inputs.ExtraNegatives.IsPresent)
            {
                throw new ArgumentException("DExtraNegatives is given without extra negatives.", nameof(gradients));
            }

            Check.Is(gradients.DExtraNegatives, inputs.ExtraNegatives.Shape, DType.Float32, device);
        }

        if (inputs.ExtraNegatives.IsPresent && !gradients.DCaptions.IsPresent && !gradients.DExtraNegatives.IsPresent && gradients.DScale.IsPresent)
        {
            throw new ArgumentException(
                "The scale's gradient comes from the captions' gradient, or from those of all columns: give DCaptions or DExtraNegatives.", nameof(gradients));
        }

        if (gradients.DScale.IsPresent)
        {
            CheckScalar(gradients.DScale, device, "gradients.DScale");
        }

        if (gradients.DBias.IsPresent)
        {
            CheckScalar(gradients.DBias, device, "gradients.DBias");
        }
    }

    private static void CheckScalar(in Tensor tensor, Device device, string name)
    {
        if (!tensor.IsPresent || tensor.Count != 1 || tensor.DType != DType.Float32 || !ReferenceEquals(tensor.Device, device))
        {
            throw new ArgumentException($"{name} is {tensor}; it must be one Float32 on {device.Name}.", name);
        }
    }
}
