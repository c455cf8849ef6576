using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>The ranges of a configuration's values, and what must fit together.</summary>
internal static class RunConfigRules
{
    /// <summary>Refuses a configuration that cannot be run.</summary>
    /// <exception cref="UserErrorException">A value is out of its range or contradicts another; the message names the key.</exception>
    public static void Check(RunConfig c)
    {
        CheckEach(c, string.Empty);
        Require(c.Objective == Objective.ImageText || c.Languages.Contains("en"), "objective", "is text-text without English captions", "add en to languages");
        Tower(c.TextTower.Width, c.TextTower.Heads, "textTower");
        Tower(c.ImageTower.Width, c.ImageTower.Heads, "imageTower");
        Require(c.ImageTower.From is not null || (c.ImageTower.ImageSize >= c.ImageTower.PatchSize && c.ImageTower.ImageSize % c.ImageTower.PatchSize == 0), "imageTower.patchSize", "does not divide imageSize", "choose a divisor: no pixel may be left out");
        Require(
            c.Projection.TextStart != HeadStart.Identity || c.Projection.Width >= c.TextTower.Width,
            "projection.width", "is below the text tower's width, which an identity at the start needs", "give at least textTower.width, or set projection.textStart=drawn");
        Require(
            c.Projection.ImageStart != HeadStart.Identity || c.Objective != Objective.ImageText || c.Projection.Width >= c.ImageTower.Width,
            "projection.width", "is below the image tower's width, which an identity at the start needs", "give at least imageTower.width, or set projection.imageStart=drawn");
        Require(c.Loss.ScaleMax is null || c.Loss.ScaleMax >= c.Loss.ScaleInit, "loss.scaleMax", "is below scaleInit", "raise it or give null");
        Require(c.Loss.Smoothing == 0 || !LossOptions.IsSigmoid(c.Loss.Variant), "loss.smoothing", "spreads a softmax's target, which a sigmoid loss has not", "give 0, or a softmax variant");
        Require(c.Loss.FalseNegativeMargin is null || !LossOptions.IsSigmoid(c.Loss.Variant), "loss.falseNegativeMargin", "thins out a softmax's denominator, which a sigmoid loss has not", "give null, or a softmax variant");
        Require(c.Loss.FalseNegativeMargin is null || c.Loss.Groups != GroupPolicy.Shared, "loss.falseNegativeMargin", "compares with one positive, and shared groups have several", "give null, or loss.groups masked");
        Require(c.Loss.PrefixWidths.All(w => w <= c.Projection.Width), "loss.prefixWidths", "has a width above projection.width", "give widths up to projection.width");
        Require(c.Accumulate == Accumulation.None || c.MicroBatchSize is not null, "microBatchSize", "is missing", "accumulate needs the pictures a micro-batch");
        Require(
            c.Schedule.TextFrozenSteps == 0 || c.Steps == 0 || c.Schedule.TextFrozenSteps < c.Steps || c.TextTower.Freeze == "all",
            "schedule.textFrozenSteps",
            string.Create(CultureInfo.InvariantCulture, $"is {c.Schedule.TextFrozenSteps}, which leaves none of {c.Steps} steps to tune the text tower"),
            string.Create(CultureInfo.InvariantCulture, $"give fewer than steps, as in --set schedule.textFrozenSteps={c.Steps / 8}, or leave the text tower as it is with --set textTower.freeze=all"));
        Require(c.Keep == KeepPolicy.Last || c.EvaluateEvery > 0, "keep", "is best without evaluations", "set evaluateEvery");
        foreach (string language in c.ScrambleCaptions.Concat(c.StylesByLanguage.Keys))
        {
            Require(c.Languages.Contains(language), language, "is scrambled or styled but not trained on", "add it to languages");
        }
    }

    // What a value must be by itself stands beside it, where the schema reads it too.
    private static void CheckEach(object record, string path)
    {
        foreach (PropertyInfo property in record.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetIndexParameters().Length > 0 || property.GetValue(record) is not object value)
            {
                continue;
            }

            string key = path + JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            foreach (ConstraintAttribute constraint in property.GetCustomAttributes<ConstraintAttribute>())
            {
                if (constraint.Refuse(value) is (string what, string remedy))
                {
                    throw new UserErrorException($"'{key}' {what}", remedy);
                }
            }

            if (value.GetType() is { IsClass: true } type && type.Namespace == typeof(RunConfig).Namespace)
            {
                CheckEach(value, key + ".");
            }
        }
    }

    private static void Tower(int width, int heads, string name)
    {
        Require(width % heads == 0, $"{name}.heads", "does not divide the width", "choose a divisor");
        Require(width / heads <= 128, $"{name}.heads", "gives heads of more than 128 channels", "take more heads");
    }

    private static void Require(bool condition, string key, string what, string remedy)
    {
        if (!condition)
        {
            throw new UserErrorException($"'{key}' {what}", remedy);
        }
    }
}
