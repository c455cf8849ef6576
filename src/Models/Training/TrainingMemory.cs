using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Profiling;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Models.Training;

/// <summary>
/// The memory that training takes, known before any of it is taken: the first steps are gone through on a <see cref="PlanDevice"/>, or on the plan of
/// a CUDA device (<see cref="CudaDevice.NewPlan"/>), with the captions that they will have. What is predicted is never below what is measured to be
/// held, and at most a tenth and <see cref="WorkingByteCount"/> above it, on a CUDA device a fiftieth; the data set itself, which is there already,
/// the program, and what a GPU's driver takes for itself are not in it.
/// </summary>
public sealed record TrainingMemory
{
    /// <summary>What operations keep to work in on the CPU, at most: packed operands of products above all. See <c>CpuSimilarityProducts.ScratchByteCount</c>.</summary>
    public const long WorkingByteCount = 16L << 20;

    // The number of tokens differs from step to step; the arena grows by a quarter more than a step needs, which these settle.
    private const int PlannedSteps = 3;

    // Each number of tokens rounded up has room of its own on a CUDA device, and more of them will come.
    private const int MoreCapacities = 4;

    // At least as many as go through the towers at once.
    private const int EvaluatedPictures = 128;
    private const int EvaluatedTexts = 512;

    /// <summary>Bytes of parameters.</summary>
    public required long Parameters { get; init; }

    /// <summary>Bytes of gradients.</summary>
    public required long Gradients { get; init; }

    /// <summary>Bytes of the optimiser's moments.</summary>
    public required long Moments { get; init; }

    /// <summary>Bytes of the loss's workspaces, of the embeddings and their gradients, of the arena's first MiB, and of the pictures where a CUDA device reads them.</summary>
    public required long Loss { get; init; }

    /// <summary>
    /// Bytes of activations, beyond the first MiB: what the towers keep for the way back, and what they work in. On a CUDA device also the captions
    /// where it reads them, and the place where what a step reads arrives.
    /// </summary>
    public required long Activations { get; init; }

    /// <summary>Bytes that operations keep to work in: <see cref="WorkingByteCount"/> on the CPU, what they take on a CUDA device.</summary>
    public long Working { get; init; } = WorkingByteCount;

    /// <summary>Bytes of the two batches that take turns, on the host, and of the two pieces of page-locked memory that a CUDA device copies from.</summary>
    public required long Batches { get; init; }

    /// <summary>Bytes that the device holds: everything but <see cref="Batches"/>.</summary>
    public long Tensors => Parameters + Gradients + Moments + Loss + Activations + Working;

    /// <summary>Everything together.</summary>
    public long Total => Tensors + Batches;

    /// <summary>Goes through the first steps of a run.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="data">What is trained on.</param>
    /// <param name="tokenizer">The run's tokenizer.</param>
    /// <returns>What it takes.</returns>
    /// <param name="checkpoint">The checkpoint that the run goes on with, where published towers may be gone by now; null for a new run.</param>
    /// <param name="cuda">The CUDA device that it is trained on, which multiplies as it does in the run; null for the processor.</param>
    /// <exception cref="UserErrorException">The configuration does not go with the data, as when it is trained.</exception>
    public static TrainingMemory Predict(RunConfig config, CaptionedPictures data, ITokenizer tokenizer, string? checkpoint = null, CudaDevice? cuda = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(tokenizer);
        int microBatch = MicroBatchOf(config);
        long picture = config.Objective == Objective.ImageText ? 3L * data.Pictures.Size * data.Pictures.Size : 0;
        if (microBatch * picture > Array.MaxLength)
        {
            throw new UserErrorException(
                string.Create(CultureInfo.InvariantCulture, $"{microBatch} pictures of {data.Pictures.Size} x {data.Pictures.Size} are too many to go through the tower at once"),
                string.Create(CultureInfo.InvariantCulture, $"set accumulate=exact with a microBatchSize of {Array.MaxLength / picture} at most"));
        }

        CudaDevice? plan = cuda?.NewPlan();
        using Device device = plan ?? (Device)new PlanDevice();
        using TwoTowerModel model = checkpoint is null
            ? TowerFactory.Create(config, tokenizer, device, static _ => { })
            : TowerFactory.Load(config, tokenizer, device, checkpoint);
        TowerInputs inputs = TowerInputs.Of(config, TowerCompanions.ImageFolderOf(config, checkpoint), model.Image?.Config);
        PairedCaptionSource source = new(config, data, tokenizer, model, inputs, microBatch);
        if (StoresBFloat16(config, device))
        {
            model.StoreBFloat16();
        }

        long parameters = device.AllocatedByteCount;
        source.AllocateGradients(model);
        long gradients = device.AllocatedByteCount - parameters;
        TowerPause pause = new(model, config, source.StepsPerEpoch);
        using ContrastiveStep step = new(model, config, microBatch);
        long loss = device.AllocatedByteCount - parameters - gradients;
        using Optimizer optimizer = new(model, config, step.LossCount, pause.TextSteps, pause.ImageSteps);
        long moments = device.AllocatedByteCount - parameters - gradients - loss;
        using StepRunner runner = new(model, config, step, optimizer);
        long before = device.AllocatedByteCount;
        TrainingBatch batch = source.NewBatch(withPictures: false);
        for (int i = 1; i <= PlannedSteps; i++)
        {
            source.Fill(batch, i);

            // While towers stand still, and when they go on.
            foreach (int phase in ((int[])[1, pause.ImageSteps + 1, pause.TextSteps + 1]).Distinct())
            {
                pause.Apply(phase);
                runner.Run(batch, new StepNumbers(phase, 0, 0));
            }
        }

        if (config.EvaluateEvery > 0)
        {
            Evaluate(config, data, tokenizer, model, inputs);
        }

        long working = plan?.WorkingByteCount ?? WorkingByteCount;
        long pinned = plan is null ? 0 : microBatch * picture * 9 / 8;
        return new TrainingMemory
        {
            Parameters = parameters,
            Gradients = gradients,
            Moments = moments,
            Loss = before - parameters - gradients - moments,
            Activations = device.PeakByteCount - before - (plan is null ? 0 : working) + (MoreCapacities * runner.CapacityByteCount),
            Working = working,
            Batches = 2 * sizeof(float) * ((config.BatchSize * picture) + (4L * batch.TokenCount) + pinned),
        };
    }

    /// <summary>
    /// Whether activations are bfloat16, and weights have bfloat16 copies beside them: on CUDA devices, where memory traffic decides and the rounding at
    /// each product would be a pass of its own. The CPU's products round as they pack, and its activations stay float32.
    /// </summary>
    /// <param name="config">The configuration.</param>
    /// <param name="device">Where it is trained.</param>
    internal static bool StoresBFloat16(RunConfig config, Device device) => StoresBFloat16(config.Precision, device);

    /// <summary>The same of a precision.</summary>
    /// <param name="precision">Of matrix products.</param>
    /// <param name="device">Where it is computed.</param>
    internal static bool StoresBFloat16(Precision precision, Device device) => precision == Precision.BF16 && device.Kind == DeviceKind.Cuda;

    /// <summary>Pictures that go through the towers at once.</summary>
    /// <param name="config">The configuration.</param>
    /// <returns>The batch size where there are no micro-batches.</returns>
    internal static int MicroBatchOf(RunConfig config) =>
        config.Accumulate == Accumulation.None ? config.BatchSize : Math.Min(config.MicroBatchSize!.Value, config.BatchSize);

    /// <summary>Refuses to go on where it does not fit.</summary>
    /// <param name="available">Bytes of the machine that can be taken.</param>
    /// <exception cref="UserErrorException">It takes more; the message has the numbers.</exception>
    public void Require(long available) => Require(Total, available, "memory");

    /// <summary>The same where tensors have a memory of their own.</summary>
    /// <param name="available">Bytes of the machine that can be taken.</param>
    /// <param name="ofGpu">Bytes of the GPU that can be taken.</param>
    /// <exception cref="UserErrorException">It takes more of one of them; the message has the numbers.</exception>
    public void Require(long available, long ofGpu)
    {
        Require(Tensors, ofGpu, "the GPU's memory");
        Require(Batches, available, "memory");
    }

    private void Require(long needed, long available, string memory)
    {
        if (needed <= available)
        {
            return;
        }

        throw new UserErrorException(
            $"this training takes {MemoryText.Of(needed)} of {memory}, and {MemoryText.Of(available)} are available",
            "lower batchSize or the towers' sizes, or set accumulate=exact with a small microBatchSize")
        {
            Details =
            [
                $"parameters: {MemoryText.Of(Parameters)}",
                $"gradients: {MemoryText.Of(Gradients)}",
                $"optimiser: {MemoryText.Of(Moments)}",
                $"loss and embeddings: {MemoryText.Of(Loss)}",
                $"activations: {MemoryText.Of(Activations)}",
                $"working memory: {MemoryText.Of(Working)}",
                $"batches: {MemoryText.Of(Batches)}",
            ],
        };
    }

    /// <summary>One line for people.</summary>
    /// <returns>The total and its parts.</returns>
    public string Describe() => string.Create(
        CultureInfo.InvariantCulture,
        $"memory: {MemoryText.Of(Total)} predicted (parameters {MemoryText.Of(Parameters)}, gradients {MemoryText.Of(Gradients)}, optimiser {MemoryText.Of(Moments)}, loss {MemoryText.Of(Loss)}, activations {MemoryText.Of(Activations)}, working memory {MemoryText.Of(Working)}, batches {MemoryText.Of(Batches)})");

    // The sizes of the validation's passes, which have an arena of their own.
    private static void Evaluate(RunConfig config, CaptionedPictures data, ITokenizer tokenizer, TwoTowerModel model, TowerInputs inputs)
    {
        ConceptEmbedder embedder = new(model, tokenizer, inputs);
        int[] concepts = data.ConceptsOf(DataSplit.Validation);
        string[] texts = [.. concepts.Take(EvaluatedTexts).Select(c => data.Concepts[c].CaptionsIn(0)?.Name).OfType<string>().Where(n => n.Length > 0)];
        if (texts.Length > 0)
        {
            embedder.EmbedTexts(texts);
        }

        if (config.Objective == Objective.ImageText && concepts.Length > 0)
        {
            embedder.EmbedPictures(data.Pictures, [.. Enumerable.Range(0, Math.Min(EvaluatedPictures, Math.Min(concepts.Length, data.Pictures.Count)))]);
        }
    }
}
