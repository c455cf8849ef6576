using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>
/// Puts a configuration together: recipe, set-up, a file, single settings, in this order of precedence. Every key of a file or a
/// setting must exist; an unknown one is refused with the nearest known key.
/// </summary>
public sealed class RunConfigReader
{
    private const double SigmoidScaleInit = 10;

    private readonly JsonObject _values;
    private readonly HashSet<string> _given = new(StringComparer.Ordinal);

    private RunConfigReader(JsonObject values)
    {
        _values = values;
    }

    /// <summary>Starts from a recipe and a set-up.</summary>
    /// <param name="recipe">A name of <see cref="Recipes"/>.</param>
    /// <param name="setup">A name of <see cref="Setups"/>.</param>
    /// <param name="data">A data set's name or a folder.</param>
    /// <returns>A reader to lay files and settings over.</returns>
    /// <exception cref="UserErrorException">There is no such recipe or set-up.</exception>
    public static RunConfigReader From(string recipe, string setup, string data)
    {
        RunConfig config = Setups.Apply(setup, Recipes.Get(recipe)) with { Data = data };
        return new RunConfigReader(JsonSerializer.SerializeToNode(config, RunConfigJson.Default.RunConfig)!.AsObject());
    }

    /// <summary>Reads a complete configuration, as a run folder holds it.</summary>
    /// <param name="path">A <c>config.json</c>.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or a key or value in it is wrong.</exception>
    public static RunConfig ReadComplete(string path) => OfRun(path).Build();

    /// <summary>Starts from a complete configuration, as a run folder holds it.</summary>
    /// <param name="path">A <c>config.json</c>.</param>
    /// <returns>A reader to lay settings over.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or a key in it is wrong.</exception>
    public static RunConfigReader OfRun(string path)
    {
        JsonObject file = ReadObject(path);
        return From(TextOf(file, "recipe", "album"), TextOf(file, "setup", "multilingual"), "photo-album").Overlay(file, path);
    }

    /// <summary>Lays a JSON file over what is there.</summary>
    /// <param name="path">The file.</param>
    /// <returns>This reader.</returns>
    /// <exception cref="UserErrorException">The file cannot be read or names an unknown key.</exception>
    public RunConfigReader OverlayFile(string path) => Overlay(ReadObject(path), path);

    /// <summary>Lays one setting over what is there.</summary>
    /// <param name="assignment"><c>key=value</c> with a dotted path as key; the value is JSON, or text where it is not.</param>
    /// <returns>This reader.</returns>
    /// <exception cref="UserErrorException">The setting has no <c>=</c> or names an unknown key.</exception>
    public RunConfigReader Set(string assignment)
    {
        ArgumentNullException.ThrowIfNull(assignment);
        int equals = assignment.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
        {
            throw new UserErrorException($"'{assignment}' is not a setting", "write --set key=value, for example --set optimizer.learningRate=1e-3");
        }

        string path = assignment[..equals].Trim();
        string text = assignment[(equals + 1)..].Trim();
        string[] keys = path.Split('.');
        JsonNode? value = ParseValue(text);
        for (int i = keys.Length - 1; i >= 0; i--)
        {
            value = new JsonObject { [keys[i]] = value };
        }

        return Overlay(value!.AsObject(), "--set");
    }

    /// <summary>Sets one top-level value.</summary>
    /// <param name="key">A known key.</param>
    /// <param name="value">Its value.</param>
    /// <returns>This reader.</returns>
    /// <exception cref="UserErrorException">The key is unknown.</exception>
    public RunConfigReader Set(string key, JsonNode value) => Overlay(new JsonObject { [key] = value }, key);

    /// <summary>
    /// The configuration, checked, with what the folders of published towers decide: kinds, sizes, the picture's side where no other
    /// is given, the tokenizer's place. A size that is given and is another is refused.
    /// </summary>
    /// <param name="cache">The value of <c>--cache</c>, or null: where towers named as on the public hub are looked up.</param>
    /// <returns>A complete, valid configuration.</returns>
    /// <exception cref="UserErrorException">As <see cref="Build"/>; or a tower's folder cannot be read or contradicts what is given.</exception>
    public RunConfig Resolve(string? cache = null)
    {
        RunConfig config = PublishedTowers.Resolve(Build(), _given, cache);
        RunConfigRules.Check(config);
        return config;
    }

    /// <summary>The configuration, checked.</summary>
    /// <returns>A complete, valid configuration.</returns>
    /// <exception cref="UserErrorException">A value has the wrong type or is out of its range.</exception>
    public RunConfig Build()
    {
        RunConfig config;
        try
        {
            config = _values.Deserialize(RunConfigJson.Default.RunConfig)
                ?? throw new UserErrorException("the configuration is empty", "give a recipe");
        }
        catch (JsonException e)
        {
            throw new UserErrorException(
                $"'{e.Path?.TrimStart('$', '.')}' has a value of the wrong kind", "see train --schema for what each key takes", e);
        }

        // SigLIP's own start (X. Zhai et al., 2023): t' = log 10 and b = -10, so that the many negatives weigh little at first.
        if (LossOptions.IsSigmoid(config.Loss.Variant) && !_given.Contains("loss.scaleInit"))
        {
            config = config with { Loss = config.Loss with { ScaleInit = SigmoidScaleInit } };
        }

        RunConfigRules.Check(config);
        return config;
    }

    private static JsonObject ReadObject(string path)
    {
        try
        {
            JsonDocumentOptions options = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false };
            return JsonNode.Parse(File.ReadAllText(path), null, options) as JsonObject
                ?? throw new UserErrorException($"'{path}' is not a JSON object", "see train --schema");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"'{path}' is not valid JSON: {e.Message}", "mend it at that place", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"'{path}' cannot be read: {e.Message}", "check the path", e);
        }
    }

    private static string TextOf(JsonObject values, string key, string otherwise) => values[key] switch
    {
        null => otherwise,
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => throw new UserErrorException($"'{key}' has a value of the wrong kind", "see train --schema for what each key takes"),
    };

    private static JsonNode? ParseValue(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            // A comma list is a convenience for languages and styles; anything else that is not JSON is text.
            return text.Contains(',', StringComparison.Ordinal)
                ? new JsonArray([.. text.Split(',', StringSplitOptions.TrimEntries).Select(s => (JsonNode)JsonValue.Create(s))])
                : JsonValue.Create(text);
        }
    }

    private RunConfigReader Overlay(JsonObject over, string source)
    {
        Merge(_values, over, string.Empty, source);
        return this;
    }

    private void Merge(JsonObject target, JsonObject over, string path, string source)
    {
        foreach ((string key, JsonNode? value) in over)
        {
            string full = path.Length == 0 ? key : $"{path}.{key}";
            if (full == "$schema")
            {
                continue;
            }

            if (!target.ContainsKey(key))
            {
                string near = NearestName.Find(key, target.Select(p => p.Key));
                throw new UserErrorException(
                    string.Create(CultureInfo.InvariantCulture, $"'{full}' in {source} is not a known key"),
                    $"the nearest is '{(path.Length == 0 ? near : $"{path}.{near}")}'; train --schema lists all");
            }

            // stylesByLanguage has languages as keys, so it is replaced as a whole.
            if (value is JsonObject child && target[key] is JsonObject inner && full != "stylesByLanguage")
            {
                Merge(inner, child, full, source);
            }
            else
            {
                _given.Add(full);
                target[key] = value?.DeepClone();
            }
        }
    }
}
