namespace CrossAlign.Models.Training.Configuration;

/// <summary>How a run is done: sizes, optimiser, schedule, loss.</summary>
public static class Recipes
{
    private static readonly Dictionary<string, Func<RunConfig>> s_recipes = new(StringComparer.Ordinal)
    {
        ["album"] = Album,
        ["corrected"] = Corrected,
        ["paper"] = Paper,
        ["tune"] = Tune,
    };

    /// <summary>The recipes' names.</summary>
    public static IReadOnlyCollection<string> Names => s_recipes.Keys;

    /// <summary>A recipe by name.</summary>
    /// <param name="name">A name of <see cref="Names"/>.</param>
    /// <returns>A complete configuration with the set-up <c>multilingual</c> still to be applied.</returns>
    /// <exception cref="UserErrorException">There is no such recipe.</exception>
    public static RunConfig Get(string name) => s_recipes.TryGetValue(name, out Func<RunConfig>? recipe)
        ? recipe()
        : throw new UserErrorException(
            $"there is no recipe '{name}'", $"the nearest is '{NearestName.Find(name, Names)}'; there are {string.Join(", ", Names)}");

    // Small towers from scratch on the photo album or on shapes: minutes on two cores. The defaults of the records are this recipe.
    private static RunConfig Album() => new()
    {
        Recipe = "album",
        Setup = "multilingual",
        Data = "photo-album",
        Languages = ["en", "es", "ja", "hi"],
    };

    // What a user should run on published towers: unit rows, both directions, a learned and bounded scale, decoupled decay,
    // clipping, warm-up and cosine.
    private static RunConfig Corrected() => Album() with
    {
        Recipe = "corrected",
        Steps = 1800,
        BatchSize = 32,
        CaptionsPerPicture = 1,
        Augmentation = 0,
        Tokenizer = new TokenizerConfig { Kind = TokenizerSource.File, MaxTokens = 128 },
        ImageTower = new ImageTowerConfig { ImageSize = 224, PatchSize = 16, Width = 768, Layers = 12, Heads = 12, FeedForward = 3072 },
        Projection = new ProjectionConfig { Width = 512, Bias = true },
        Optimizer = new OptimizerConfig
        {
            LearningRate = 1e-5,
            Beta2 = 0.999,
            WeightDecay = 0.1,
            DecayEmbeddings = false,
            ScaleLearningRate = 1e-3,
        },
        Schedule = new ScheduleConfig { Warmup = 0.1, Shape = ScheduleShape.Cosine, End = 0.1 },
        EvaluateEvery = 300,
        CheckpointEvery = 300,
    };

    // A published text tower on the album, with the image tower of a finished demo run (imageTower.from), in a quarter of an hour on two cores. First
    // the text tower stands still, its vectors computed once, while new heads find each other; then all of it is tuned, the words faster than the
    // blocks. Its head begins as an identity: what the tower knows of things that the album does not show is there from the first step.
    private static RunConfig Tune() => Album() with
    {
        Recipe = "tune",
        Steps = 500,
        CaptionsPerPicture = 1,
        NameProbability = 0.7,
        KeywordsAtMost = 1,
        Tokenizer = new TokenizerConfig { Kind = TokenizerSource.File, MaxTokens = 32 },
        TextTower = new TextTowerConfig { Dropout = 0 },
        Projection = new ProjectionConfig { Bias = true, TextStart = HeadStart.Identity },
        Loss = new LossConfig { ScaleInit = 20 },
        Optimizer = new OptimizerConfig
        {
            LearningRate = 1e-3,
            TextLearningRate = 2e-4,
            WordLearningRate = 1e-3,
            ImageLearningRate = 1e-3,
            WeightDecay = 0.01,
            DecayEmbeddings = false,
        },
        Schedule = new ScheduleConfig { TextFrozenSteps = 160 },
        EvaluateEvery = 250,
        CheckpointEvery = 250,
        KeepLast = 1,
    };

    // The published code's settings (docs of the experiment: raw dot products, one direction, a raw multiplier from 1, Adam 1e-5,
    // falling at the ends of epochs, both towers frozen for the first half of the first epoch, best validation weights kept).
    private static RunConfig Paper() => Corrected() with
    {
        Recipe = "paper",
        Loss = new LossConfig
        {
            Variant = LossVariant.CaptionToImage,
            ScaleInit = 1,
            ScaleParameter = ScaleParameter.Raw,
            ScaleMax = null,
        },
        Optimizer = new OptimizerConfig
        {
            Kind = OptimizerKind.Adam,
            LearningRate = 1e-5,
            Beta2 = 0.999,
            WeightDecay = 0,
            DecayEmbeddings = false,
            ScaleLearningRate = null,
            Clip = null,
        },
        Schedule = new ScheduleConfig { Warmup = 0, Shape = ScheduleShape.EpochLinear, HeadsOnlyEpochs = 0.5, End = 0 },
        Keep = KeepPolicy.Best,
    };
}
