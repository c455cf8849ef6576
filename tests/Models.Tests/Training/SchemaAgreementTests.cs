using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Training;

/// <summary>The JSON Schema of configurations and the program's own check: what one refuses of a single key, the other refuses.</summary>
public sealed class SchemaAgreementTests
{
    private static readonly JsonObject s_schema = JsonNode.Parse(RunConfigJson.WriteSchema())!.AsObject();

    public static TheoryData<string> WrongSettings() =>
    [
        "recipe=\"albun\"", "setup=\"everything\"", "languages=[]", "languages=[\"en\",\"en\"]", "languages=null", "languages=[null]", "languages=\"en\"",
        "objective=\"image\"", "seed=\"one\"", "threads=-1", "device=\"gpu\"", "device=\"cuda:x\"", "precision=\"f16\"", "matmul=\"mkl\"", "steps=-1", "steps=1.5",
        "steps=null", "batchSize=1", "captionsPerPicture=0", "nameProbability=1.1", "nameProbability=-0.1", "keywordsAtMost=0", "styles=[]", "augmentation=2.5",
        "splitSalt=null", "scrambleCaptions=[\"en\",\"en\"]", "stylesByLanguage={\"en\":[]}", "stylesByLanguage={\"en\":null}", "stylesByLanguage={\"en\":[\"a\",\"a\"]}",
        "tokenizer.kind=\"new\"", "tokenizer.pieces=299", "tokenizer.pieces=1000001", "tokenizer.maxTokens=2", "tokenizer.path=3",
        "textTower.kind=\"gpt\"", "textTower.width=0", "textTower.layers=0", "textTower.heads=0", "textTower.feedForward=0", "textTower.dropout=1", "textTower.pooling=\"median\"",
        "textTower.freeze=\"lowest:0\"", "textTower.freeze=\"some\"", "textTower.prefix=null", "textTower=null",
        "imageTower.kind=\"resnet\"", "imageTower.imageSize=0", "imageTower.patchSize=0", "imageTower.pooling=\"eos\"", "imageTower.freeze=\"lowest\"",
        "projection.width=0", "projection.bias=1", "projection.textStart=\"zero\"",
        "loss.variant=\"clip\"", "loss.scaleInit=0", "loss.scaleMax=0", "loss.scaleLearned=\"yes\"", "loss.scaleParameter=\"exp\"", "loss.biasInit=null", "loss.smoothing=1", "loss.groups=\"all\"",
        "loss.falseNegativeMargin=-0.1", "loss.prefixWidths=[0]", "loss.prefixWidths=[8,8]", "loss.prefixWidths=null", "loss.prefixWidths=8", "loss.prefixWidths=[1.5]",
        "optimizer.kind=\"sgd\"", "optimizer.learningRate=0", "optimizer.beta1=1", "optimizer.beta2=-0.1", "optimizer.eps=0", "optimizer.weightDecay=-1", "optimizer.clip=0", "optimizer.textLearningRate=-1e-3", "optimizer=null",
        "schedule.warmup=1.5", "schedule.shape=\"step\"", "schedule.end=-1", "schedule.headsOnlyEpochs=-1", "schedule.textFrozenSteps=-1",
        "accumulate=\"sum\"", "microBatchSize=0", "recomputeActivations=0", "featureCacheMegabytes=-1", "evaluateEvery=-1", "checkpointEvery=-1", "keep=\"all\"", "keepLast=0",
    ];

    public static TheoryData<string> RightSettings() =>
    [
        "steps=0", "batchSize=2", "styles=null", "styles=[\"noto\"]", "nameProbability=0", "nameProbability=1", "device=\"cuda:1\"", "device=\"cuda-emulated:sm_90\"",
        "textTower.dropout=null", "textTower.pooling=\"eos\"", "textTower.pooling=\"max\"", "textTower.pooling=\"weightedmean\"", "textTower.freeze=\"none\"", "textTower.from=null", "loss.scaleMax=null", "loss.biasInit=-3", "loss.variant=\"sigmoid\"",
        "loss.falseNegativeMargin=0", "loss.falseNegativeMargin=null", "loss.prefixWidths=[]", "loss.prefixWidths=[8,16]",
        "optimizer.clip=null", "optimizer.textLearningRate=0", "stylesByLanguage={\"en\":[\"noto\"]}", "schedule.end=1", "projection.textStart=\"identity\"",
    ];

    [Theory]
    [MemberData(nameof(WrongSettings))]
    public void WhatTheCheckRefusesTheSchemaRefuses(string setting)
    {
        Assert.NotNull(SchemaRefusal(setting));
        UserErrorException e = Assert.Throws<UserErrorException>(() => Album().Set(setting).Build());
        Assert.Contains(setting[..setting.IndexOf('=', StringComparison.Ordinal)].Split('.')[0], e.What, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(RightSettings))]
    public void WhatTheCheckTakesTheSchemaTakes(string setting)
    {
        Assert.Null(SchemaRefusal(setting));
        Album().Set(setting).Build();
    }

    [Fact]
    public void WhatTheSchemaRefusesTheCheckRefusesAndItsBoundsAreAllowed()
    {
        int refused = 0;
        int allowed = 0;
        foreach ((string path, JsonObject schema) in Leaves(s_schema, string.Empty))
        {
            foreach (JsonNode? wrong in Wrong(schema))
            {
                string setting = $"{path}={wrong?.ToJsonString() ?? "null"}";
                Assert.True(SchemaRefusal(setting) is not null, setting);
                Assert.True(Refusal(setting) is not null, $"the schema refuses {setting}, the check does not");
                refused++;
            }

            foreach (JsonNode right in Right(schema))
            {
                string setting = $"{path}={right.ToJsonString()}";
                Assert.True(SchemaRefusal(setting) is null, $"{setting}: {SchemaRefusal(setting)}");

                // Another key may have to change with it; the message then is not of this key's range.
                Assert.DoesNotContain($"'{path}' is ", Refusal(setting) ?? string.Empty, StringComparison.Ordinal);
                allowed++;
            }
        }

        Assert.True(refused > 120, $"{refused} wrong values");
        Assert.True(allowed > 80, $"{allowed} right values");
    }

    [Fact]
    public void TheNamesInTheSchemaAreTheProgramsOwn()
    {
        Assert.Equal(Recipes.Names, Names("recipe"));
        Assert.Equal(Setups.Names, Names("setup"));

        static IEnumerable<string> Names(string key) => s_schema["properties"]![key]!["enum"]!.AsArray().Select(n => n!.GetValue<string>());
    }

    [Fact]
    public void EveryRecipeWithEverySetupFitsTheSchema()
    {
        foreach (string recipe in Recipes.Names)
        {
            foreach (string setup in Setups.Names)
            {
                JsonNode config = JsonNode.Parse(RunConfigJson.Write(RunConfigReader.From(recipe, setup, "shapes").Build()))!;
                Assert.Null(Refusal(config, s_schema, string.Empty));
            }
        }
    }

    private static RunConfigReader Album() => RunConfigReader.From("album", "multilingual", "shapes");

    private static string? Refusal(string setting)
    {
        try
        {
            Album().Set(setting).Build();
            return null;
        }
        catch (UserErrorException e)
        {
            return e.What;
        }
    }

    private static string? SchemaRefusal(string setting)
    {
        int equals = setting.IndexOf('=', StringComparison.Ordinal);
        JsonNode? value = JsonNode.Parse(setting[(equals + 1)..]);
        foreach (string key in setting[..equals].Split('.').Reverse())
        {
            value = new JsonObject { [key] = value };
        }

        return Refusal(value, s_schema, string.Empty);
    }

    private static IEnumerable<(string Path, JsonObject Schema)> Leaves(JsonObject schema, string path)
    {
        foreach ((string name, JsonNode? node) in schema["properties"]!.AsObject())
        {
            JsonObject property = node!.AsObject();
            string full = path.Length == 0 ? name : $"{path}.{name}";
            foreach ((string Path, JsonObject Schema) leaf in property.ContainsKey("properties") ? Leaves(property, full) : [(full, property)])
            {
                yield return leaf;
            }
        }
    }

    private static IEnumerable<JsonNode?> Wrong(JsonObject schema)
    {
        string[] types = Types(schema);
        if (types.Length > 0 && !types.Contains("null"))
        {
            yield return null;
        }

        if (types.Intersect(["integer", "number"]).Any())
        {
            yield return "text";
        }

        if (Number(schema, "minimum") is double minimum)
        {
            yield return minimum - 1;
        }

        if (Number(schema, "exclusiveMinimum") is double above)
        {
            yield return above;
        }

        if (Number(schema, "maximum") is double maximum)
        {
            yield return maximum + 1;
        }

        if (schema.ContainsKey("enum") || schema.ContainsKey("pattern"))
        {
            yield return "nonsense";
        }

        if (schema.ContainsKey("minItems"))
        {
            yield return new JsonArray();
        }
    }

    private static IEnumerable<JsonNode> Right(JsonObject schema)
    {
        foreach (string bound in (string[])["minimum", "maximum"])
        {
            if (schema[bound] is JsonNode value)
            {
                yield return value;
            }
        }

        foreach (JsonNode? name in schema["enum"]?.AsArray() ?? [])
        {
            if (name is not null)
            {
                yield return name;
            }
        }
    }

    // As much of JSON Schema as the file uses; another word in it fails.
    private static string? Refusal(JsonNode? value, JsonObject schema, string path)
    {
        string? refusal = null;
        foreach ((string word, JsonNode? rule) in schema)
        {
            refusal ??= word switch
            {
                "$schema" or "title" or "description" or "items" or "properties" or "additionalProperties" => null,
                "type" => Types(schema).Any(t => IsOf(value, t)) ? null : "has another type",
                "enum" => rule!.AsArray().Any(n => JsonNode.DeepEquals(n, value)) ? null : "is none of the names",
                "pattern" => value is JsonValue text && text.GetValueKind() == JsonValueKind.String && !Regex.IsMatch(text.GetValue<string>(), rule!.GetValue<string>()) ? "has another form" : null,
                "minimum" => AsNumber(value) < rule!.GetValue<double>() ? "is too small" : null,
                "exclusiveMinimum" => AsNumber(value) <= rule!.GetValue<double>() ? "is too small" : null,
                "maximum" => AsNumber(value) > rule!.GetValue<double>() ? "is too large" : null,
                "minItems" => value is JsonArray { Count: 0 } ? "is empty" : null,
                "uniqueItems" => value is JsonArray list && list.Select(n => n?.ToJsonString()).Distinct().Count() < list.Count ? "repeats itself" : null,
                _ => throw new InvalidOperationException($"the schema says '{word}', which this test does not know"),
            };
        }

        if (refusal is not null)
        {
            return $"{path} {refusal}";
        }

        if (value is JsonArray items && schema["items"] is JsonObject item)
        {
            refusal = items.Select(n => Refusal(n, item, path)).FirstOrDefault(r => r is not null);
        }

        foreach ((string key, JsonNode? child) in value as JsonObject ?? [])
        {
            refusal ??= schema["properties"]?[key] is JsonObject property ? Refusal(child, property, $"{path}.{key}")
                : schema["additionalProperties"] is JsonObject other ? Refusal(child, other, $"{path}.{key}")
                : $"{path}.{key} is unknown";
        }

        return refusal;
    }

    private static string[] Types(JsonObject schema) => schema["type"] switch
    {
        JsonArray several => [.. several.Select(t => t!.GetValue<string>())],
        JsonNode one => [one.GetValue<string>()],
        _ => [],
    };

    private static bool IsOf(JsonNode? value, string type) => (type, value?.GetValueKind() ?? JsonValueKind.Null) switch
    {
        ("null", JsonValueKind.Null) or ("string", JsonValueKind.String) or ("object", JsonValueKind.Object) or ("array", JsonValueKind.Array)
            or ("boolean", JsonValueKind.True or JsonValueKind.False) or ("number", JsonValueKind.Number) => true,
        ("integer", JsonValueKind.Number) => AsNumber(value) is double number && number == Math.Floor(number),
        _ => false,
    };

    private static double? AsNumber(JsonNode? value) =>
        value?.GetValueKind() == JsonValueKind.Number ? double.Parse(value.ToJsonString(), CultureInfo.InvariantCulture) : null;

    private static double? Number(JsonObject schema, string word) => schema[word] is JsonNode value ? AsNumber(value) : null;
}
