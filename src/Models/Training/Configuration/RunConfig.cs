using System.ComponentModel;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>
/// Everything that decides a run, as <c>config.json</c> holds it: a recipe says how, a set-up says who meets whom, data says what.
/// Two runs with equal configuration on the same device, driver and SIMD tier give the same bytes.
/// </summary>
public sealed record RunConfig
{
    /// <summary>The recipe that the other values started from.</summary>
    [Description("How: sizes, optimiser, schedule, loss. album, corrected, paper or tune.")]
    [Choices("album", "corrected", "paper", "tune")]
    public required string Recipe { get; init; }

    /// <summary>The set-up that the other values started from.</summary>
    [Description("Who meets whom: none, eng-only, eng-pivot, multilingual or multilingual+quechua.")]
    [Choices("none", "eng-only", "eng-pivot", "multilingual", "multilingual+quechua")]
    public required string Setup { get; init; }

    /// <summary>The data set's name, or a folder with a <c>captions.jsonl</c>.</summary>
    [Description("photo-album, shapes, or a folder with a captions.jsonl.")]
    public required string Data { get; init; }

    /// <summary>Languages whose captions are trained on, as BCP 47 codes.</summary>
    [Description("Languages whose captions are trained on.")]
    [Items(Remedy = "name at least one, as in --languages en,es")]
    public required IReadOnlyList<string> Languages { get; init; }

    /// <summary>What a caption is compared with.</summary>
    [Description("image-text: captions meet pictures; text-text: captions meet the English caption, no pictures.")]
    public Objective Objective { get; init; } = Objective.ImageText;

    /// <summary>Key of all random numbers of the run.</summary>
    [Description("Key of all random numbers of the run.")]
    public long Seed { get; init; } = 1;

    /// <summary>Threads that compute; 0 takes one for each processor. Results do not depend on it.</summary>
    [Description("Threads that compute; 0 takes one for each processor. Results do not depend on it.")]
    [Bounds(0, Remedy = "give 0 for one a processor")]
    public int Threads { get; init; }

    /// <summary>Where to compute.</summary>
    [Description("auto (a GPU where there is one), cpu, cuda, cuda:N or cuda-emulated[:sm_80|:sm_86|:sm_90].")]
    [Pattern("auto|cpu|cuda(:[0-9]{1,4})?|cuda-emulated(:sm_(80|86|90))?", Remedy = "give auto, cpu, cuda, cuda:N or cuda-emulated[:sm_80|:sm_86|:sm_90]")]
    public string Device { get; init; } = "auto";

    /// <summary>Precision of matrix products, and on a CUDA device of activations.</summary>
    [Description("Precision of matrix products: f32, tf32 (GPU) or bf16; on a CUDA device bf16 also stores the towers' activations so.")]
    public Precision Precision { get; init; } = Precision.F32;

    /// <summary>What multiplies matrices on a CUDA device.</summary>
    [Description("What multiplies matrices on a CUDA device: auto (cuBLAS where it is found), own (the program's kernels, which add each row alike however many there are) or cublas.")]
    public ProductEngine Matmul { get; init; }

    /// <summary>Optimiser steps.</summary>
    [Description("Optimiser steps.")]
    [Bounds(0)]
    public int Steps { get; init; } = 2400;

    /// <summary>Pictures a step.</summary>
    [Description("Pictures a step.")]
    [Bounds(2, Remedy = "a contrastive loss needs at least one negative: give 2 or more")]
    public int BatchSize { get; init; } = 128;

    /// <summary>Captions drawn for each picture, each a loss of its own against the same pictures, averaged.</summary>
    [Description("Captions drawn for each picture, each a loss of its own against the same pictures, averaged.")]
    [Bounds(1)]
    public int CaptionsPerPicture { get; init; } = 4;

    /// <summary>Chance that a caption is the short name rather than keywords.</summary>
    [Description("Chance that a caption is the short name rather than keywords.")]
    [Bounds(0, 1)]
    public double NameProbability { get; init; } = 0.5;

    /// <summary>The most keywords in a caption made of keywords.</summary>
    [Description("The most keywords in a caption made of keywords.")]
    [Bounds(1)]
    public int KeywordsAtMost { get; init; } = 4;

    /// <summary>Drawing styles that are trained on; null for all but the data set's unseen one.</summary>
    [Description("Drawing styles that are trained on; null for all but the data set's unseen one.")]
    [Items(Remedy = "name at least one, or give null for all")]
    public IReadOnlyList<string>? Styles { get; init; }

    /// <summary>Strength of the pictures' augmentation; 0 for none.</summary>
    [Description("Strength of the pictures' augmentation; 0 for none.")]
    [Bounds(0, 2)]
    public double Augmentation { get; init; } = 0.3;

    /// <summary>Prefix of the hash that splits concepts; another prefix is another split.</summary>
    [Description("Prefix of the hash that splits concepts; another prefix is another split.")]
    public string SplitSalt { get; init; } = "crossalign:";

    /// <summary>Languages whose captions are permuted among the concepts: a control that must not align.</summary>
    [Description("Languages whose captions are permuted among the concepts: a control that must not align.")]
    [Items(MayBeEmpty = true)]
    public IReadOnlyList<string> ScrambleCaptions { get; init; } = [];

    /// <summary>Styles that a language's captions are trained with, where not all: languages that never share a picture.</summary>
    [Description("Styles that a language's captions are trained with, where not all.")]
    [Items]
    public IReadOnlyDictionary<string, IReadOnlyList<string>> StylesByLanguage { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>Where the tokenizer comes from.</summary>
    public TokenizerConfig Tokenizer { get; init; } = new();

    /// <summary>The tower that reads captions.</summary>
    public TextTowerConfig TextTower { get; init; } = new();

    /// <summary>The tower that sees pictures.</summary>
    public ImageTowerConfig ImageTower { get; init; } = new();

    /// <summary>The linear heads into the shared space.</summary>
    public ProjectionConfig Projection { get; init; } = new();

    /// <summary>The contrastive loss.</summary>
    public LossConfig Loss { get; init; } = new();

    /// <summary>The optimiser.</summary>
    public OptimizerConfig Optimizer { get; init; } = new();

    /// <summary>The learning rate over time.</summary>
    public ScheduleConfig Schedule { get; init; } = new();

    /// <summary>How a batch larger than memory is taken.</summary>
    [Description("none; plain: gradients of micro-batches are added (not the same loss: each micro-batch has its own negatives); exact: one loss over the whole batch, micro-batches run twice.")]
    public Accumulation Accumulate { get; init; } = Accumulation.None;

    /// <summary>Pictures a micro-batch, where <see cref="Accumulate"/> is not none.</summary>
    [Description("Pictures a micro-batch, where accumulate is not none.")]
    [Bounds(1)]
    public int? MicroBatchSize { get; init; }

    /// <summary>Whether the backward pass computes activations again instead of keeping them: the same bits, less memory, about a third more work.</summary>
    [Description("Whether the backward pass computes activations again instead of keeping them: the same bits, less memory, about a third more work.")]
    public bool RecomputeActivations { get; init; }

    /// <summary>The most memory, in MiB, for vectors of towers that are frozen whole, so that an input is computed once; 0 for none. Results do not depend on it.</summary>
    [Description("The most memory in MiB for vectors of towers that are frozen whole, so that an input that repeats is computed once; 0 for none. Results do not depend on it.")]
    [Bounds(0, Remedy = "give 0 for none")]
    public int FeatureCacheMegabytes { get; init; } = 1024;

    /// <summary>Steps between evaluations on the validation split; 0 for none.</summary>
    [Description("Steps between evaluations on the validation split; 0 for none.")]
    [Bounds(0, Remedy = "give 0 for none")]
    public int EvaluateEvery { get; init; } = 200;

    /// <summary>Steps between checkpoints; 0 for one at the end.</summary>
    [Description("Steps between checkpoints; 0 for one at the end.")]
    [Bounds(0, Remedy = "give 0 for one at the end")]
    public int CheckpointEvery { get; init; } = 200;

    /// <summary>Which weights the run gives.</summary>
    [Description("last, or best by the mean R@1 of both directions over the languages on the validation concepts.")]
    public KeepPolicy Keep { get; init; } = KeepPolicy.Last;

    /// <summary>How many of the latest checkpoints stay on disk.</summary>
    [Description("How many of the latest checkpoints stay on disk.")]
    [Bounds(1)]
    public int KeepLast { get; init; } = 2;
}
