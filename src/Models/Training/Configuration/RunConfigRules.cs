using System.Globalization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The ranges of a configuration's values, and what must fit together.</summary>
internal static class RunConfigRules
{
    /// <summary>Refuses a configuration that cannot be run.</summary>
    /// <exception cref="UserErrorException">A value is out of its range or contradicts another; the message names the key.</exception>
    public static void Check(RunConfig c)
    {
        Require(c.Languages.Count > 0, "languages", "is empty", "name at least one, as in --languages en,es");
        Require(c.Languages.Distinct(StringComparer.Ordinal).Count() == c.Languages.Count, "languages", "names a language twice", "name each once");
        Require(c.Styles is not { Count: 0 }, "styles", "is empty", "name at least one, or give null for all");
        Require(c.StylesByLanguage.Values.All(s => s is { Count: > 0 }), "stylesByLanguage", "has a language without styles", "name at least one, or leave the language out");
        Require(c.Objective == Objective.ImageText || c.Languages.Contains("en"), "objective", "is text-text without English captions", "add en to languages");
        Require(c.Steps >= 0, "steps", "is negative", "give 0 or more");
        Require(c.Threads >= 0, "threads", "is negative", "give 0 for one a processor");
        Require(c.BatchSize >= 2, "batchSize", "is below 2", "a contrastive loss needs at least one negative");
        Require(c.CaptionsPerPicture >= 1, "captionsPerPicture", "is below 1", "give 1 or more");
        Within(c.NameProbability, 0, 1, "nameProbability");
        Require(c.KeywordsAtMost >= 1, "keywordsAtMost", "is below 1", "give 1 or more");
        Within(c.Augmentation, 0, 2, "augmentation");
        Require(c.Tokenizer.Pieces is >= 300 and <= 1_000_000, "tokenizer.pieces", "is out of range", "give 300 to 1000000; 256 pieces are bytes");
        Require(c.Tokenizer.MaxTokens is >= 3 and <= 8192, "tokenizer.maxTokens", "is out of range", "give 3 to 8192");
        Tower(c.TextTower.Width, c.TextTower.Layers, c.TextTower.Heads, c.TextTower.FeedForward, c.TextTower.Freeze, "textTower");
        Tower(c.ImageTower.Width, c.ImageTower.Layers, c.ImageTower.Heads, c.ImageTower.FeedForward, c.ImageTower.Freeze, "imageTower");
        Require(c.ImageTower.From is not null || (c.ImageTower.PatchSize >= 1 && c.ImageTower.ImageSize >= c.ImageTower.PatchSize && c.ImageTower.ImageSize % c.ImageTower.PatchSize == 0), "imageTower.patchSize", "does not divide imageSize", "choose a divisor: no pixel may be left out");
        Require(c.Projection.Width >= 1, "projection.width", "is below 1", "give 1 or more");
        Require(
            c.Projection.TextStart == HeadStart.Drawn || c.Projection.Width >= c.TextTower.Width,
            "projection.width", "is below the text tower's width, which an identity at the start needs", "give at least textTower.width, or set projection.textStart=drawn");
        Require(c.Loss.ScaleInit > 0, "loss.scaleInit", "is not positive", "give a positive multiplier");
        Require(c.Loss.ScaleMax is null || c.Loss.ScaleMax >= c.Loss.ScaleInit, "loss.scaleMax", "is below scaleInit", "raise it or give null");
        Within(c.Loss.Smoothing, 0, 0.999, "loss.smoothing");
        Require(c.Loss.Smoothing == 0 || !LossOptions.IsSigmoid(c.Loss.Variant), "loss.smoothing", "spreads a softmax's target, which a sigmoid loss has not", "give 0, or a softmax variant");
        Require(double.IsFinite(c.Loss.BiasInit), "loss.biasInit", "is not a number", "give -10, say");
        Require(c.Optimizer.LearningRate > 0, "optimizer.learningRate", "is not positive", "give a positive rate");
        Within(c.Optimizer.Beta1, 0, 0.9999999, "optimizer.beta1");
        Within(c.Optimizer.Beta2, 0, 0.9999999, "optimizer.beta2");
        Require(c.Optimizer.Eps > 0, "optimizer.eps", "is not positive", "give a positive number");
        Require(c.Optimizer.WeightDecay >= 0, "optimizer.weightDecay", "is negative", "give 0 or more");
        Require(c.Optimizer.Clip is null or > 0, "optimizer.clip", "is not positive", "give a positive norm, or null for none");
        Within(c.Schedule.Warmup, 0, 1, "schedule.warmup");
        Within(c.Schedule.End, 0, 1, "schedule.end");
        Require(c.MicroBatchSize is null or >= 1, "microBatchSize", "is below 1", "give 1 or more");
        Require(c.Accumulate == Accumulation.None || c.MicroBatchSize is not null, "microBatchSize", "is missing", "accumulate needs the pictures a micro-batch");
        Require(c.Schedule.HeadsOnlyEpochs >= 0, "schedule.headsOnlyEpochs", "is negative", "give 0 for none");
        Require(c.Schedule.TextFrozenSteps >= 0, "schedule.textFrozenSteps", "is negative", "give 0 for none");
        Require(c.Schedule.TextFrozenSteps == 0 || c.Steps == 0 || c.Schedule.TextFrozenSteps < c.Steps, "schedule.textFrozenSteps", "leaves no step to tune the text tower", "give fewer than steps, or textTower.freeze all");
        Require(c.FeatureCacheMegabytes >= 0, "featureCacheMegabytes", "is negative", "give 0 for none");
        Within(c.TextTower.Dropout ?? 0, 0, 0.999, "textTower.dropout");
        Within(c.ImageTower.Dropout ?? 0, 0, 0.999, "imageTower.dropout");
        Require(c.EvaluateEvery >= 0, "evaluateEvery", "is negative", "give 0 for none");
        Require(c.CheckpointEvery >= 0, "checkpointEvery", "is negative", "give 0 for one at the end");
        Require(c.KeepLast >= 1, "keepLast", "is below 1", "give 1 or more");
        Require(c.Keep == KeepPolicy.Last || c.EvaluateEvery > 0, "keep", "is best without evaluations", "set evaluateEvery");
        foreach (string language in c.ScrambleCaptions.Concat(c.StylesByLanguage.Keys))
        {
            Require(c.Languages.Contains(language), language, "is scrambled or styled but not trained on", "add it to languages");
        }
    }

    private static void Tower(int width, int layers, int heads, int feedForward, string freeze, string name)
    {
        Require(width >= 1, $"{name}.width", "is below 1", "give 1 or more");
        Require(layers >= 1, $"{name}.layers", "is below 1", "give 1 or more");
        Require(heads >= 1 && width % heads == 0, $"{name}.heads", "does not divide the width", "choose a divisor");
        Require(width / heads <= 128, $"{name}.heads", "gives heads of more than 128 channels", "take more heads");
        Require(feedForward >= 1, $"{name}.feedForward", "is below 1", "give 1 or more");
        bool known = freeze is "none" or "all"
            || (freeze.StartsWith("lowest:", StringComparison.Ordinal)
                && int.TryParse(freeze.AsSpan(7), NumberStyles.None, CultureInfo.InvariantCulture, out int blocks)
                && blocks >= 1);
        Require(known, $"{name}.freeze", $"is '{freeze}'", "give none, all or lowest:N with N at least 1");
    }

    private static void Within(double value, double low, double high, string key) =>
        Require(value >= low && value <= high, key, string.Create(CultureInfo.InvariantCulture, $"is {value}"), string.Create(CultureInfo.InvariantCulture, $"give {low} to {high}"));

    private static void Require(bool condition, string key, string what, string remedy)
    {
        if (!condition)
        {
            throw new UserErrorException($"'{key}' {what}", remedy);
        }
    }
}
