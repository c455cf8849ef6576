using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>What a configuration may ask for and this version does not do yet: said before a run starts, never passed over.</summary>
internal static class TrainerLimits
{
    /// <summary>Refuses a configuration that would be trained otherwise than it says.</summary>
    /// <param name="config">The configuration.</param>
    /// <exception cref="UserErrorException">It asks for something that is not there; the message names the key.</exception>
    public static void Check(RunConfig config)
    {
        Refuse(config.TextTower.From is not null, "textTower.from", "published towers cannot be tuned yet", "leave it null: a tower from scratch");
        Refuse(config.ImageTower.From is not null, "imageTower.from", "published towers cannot be tuned yet", "leave it null: a tower from scratch");
        Refuse(config.TextTower.Freeze != "none", "textTower.freeze", "a tower from scratch has nothing to keep", "give none");
        Refuse(config.ImageTower.Freeze != "none", "imageTower.freeze", "a tower from scratch has nothing to keep", "give none");
        Refuse(
            config.Loss.Variant is LossVariant.Sigmoid or LossVariant.SigmoidNormalized,
            "loss.variant",
            "the sigmoid's learned bias is not trained yet",
            "give one of the softmax forms");
    }

    private static void Refuse(bool asked, string key, string why, string remedy)
    {
        if (asked)
        {
            throw new UserErrorException($"'{key}': {why}", remedy);
        }
    }
}
