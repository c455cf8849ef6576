namespace CrossAlign.Models.Training.Configuration;

/// <summary>Who meets whom: the paper's four set-ups, and none (untrained towers) as the floor.</summary>
public static class Setups
{
    /// <summary>The set-up of towers that are not trained: the floor of a comparison.</summary>
    public const string Untrained = "none";

    private static readonly string[] s_multilingual = ["en", "es", "ja", "hi"];

    private static readonly Dictionary<string, Func<RunConfig, RunConfig>> s_setups = new(StringComparer.Ordinal)
    {
        [Untrained] = c => c with { Languages = s_multilingual, Objective = Objective.ImageText, Steps = 0 },

        // With a single language further captions of the same picture would only say it again in other words.
        ["eng-only"] = c => c with { Languages = ["en"], Objective = Objective.ImageText, CaptionsPerPicture = 1 },
        ["eng-pivot"] = c => c with { Languages = s_multilingual, Objective = Objective.TextText },
        ["multilingual"] = c => c with { Languages = s_multilingual, Objective = Objective.ImageText },
        ["multilingual+quechua"] = c => c with { Languages = [.. s_multilingual, "qu"], Objective = Objective.ImageText },
    };

    /// <summary>The set-ups' names, in the order in which a comparison shows them.</summary>
    public static IReadOnlyCollection<string> Names => s_setups.Keys;

    /// <summary>Lays a set-up over a recipe.</summary>
    /// <param name="name">A name of <see cref="Names"/>.</param>
    /// <param name="recipe">The recipe's configuration.</param>
    /// <returns>The configuration with the set-up's languages and objective.</returns>
    /// <exception cref="UserErrorException">There is no such set-up.</exception>
    public static RunConfig Apply(string name, RunConfig recipe)
    {
        if (!s_setups.TryGetValue(name, out Func<RunConfig, RunConfig>? setup))
        {
            throw new UserErrorException(
                $"there is no set-up '{name}'", $"the nearest is '{NearestName.Find(name, Names)}'; there are {string.Join(", ", Names)}");
        }

        return setup(recipe) with { Setup = name };
    }
}
