using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>What a configuration may ask for and this version does not do: said before a run starts, never passed over.</summary>
internal static class TrainerLimits
{
    /// <summary>Refuses a configuration that would be trained otherwise than it says.</summary>
    /// <param name="config">The configuration.</param>
    /// <exception cref="UserErrorException">It asks for something that is not there; the message names the key.</exception>
    public static void Check(RunConfig config)
    {
        Refuse(config.TextTower is { From: null, Freeze: not "none" }, "textTower.freeze", "a tower from scratch has nothing to keep", "give none, or name a published tower with textTower.from");
        Refuse(config.ImageTower is { From: null, Freeze: not "none" }, "imageTower.freeze", "a tower from scratch has nothing to keep", "give none, or name a published tower with imageTower.from");
        Refuse(config.TextTower.From is null && config.Projection.TextStart == HeadStart.Folder, "projection.textStart", "a tower from scratch has no folder that declares a dense layer", "give drawn, or name a sentence-transformers folder with textTower.from");
        Refuse(config.TextTower.From is null && config.Schedule.TextFrozenSteps > 0, "schedule.textFrozenSteps", "a tower from scratch has nothing to keep", "give 0, or name a published tower with textTower.from");
        Refuse(
            config.TextTower.From is not null && config.Tokenizer.Kind == TokenizerSource.Train,
            "tokenizer.kind",
            "a published text tower reads the ids of its own tokenizer",
            "give file");
    }

    private static void Refuse(bool asked, string key, string why, string remedy)
    {
        if (asked)
        {
            throw new UserErrorException($"'{key}': {why}", remedy);
        }
    }
}
