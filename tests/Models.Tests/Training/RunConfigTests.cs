using System.Text.Json.Nodes;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Tests.Training;

public sealed class RunConfigTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public void SettingsGoBeforeTheFileTheFileBeforeTheSetupAndTheSetupBeforeTheRecipe()
    {
        string file = Write("""{ "batchSize": 64, "steps": 10, "optimizer": { "learningRate": 0.5 }, "languages": ["en", "sw"] }""");
        RunConfig config = RunConfigReader.From("album", "multilingual+quechua", "shapes")
            .OverlayFile(file)
            .Set("optimizer.learningRate=0.25")
            .Build();
        Assert.Equal(64, config.BatchSize);
        Assert.Equal(["en", "sw"], config.Languages);
        Assert.Equal(0.25, config.Optimizer.LearningRate);
        Assert.Equal(0.98, config.Optimizer.Beta2);
        Assert.Equal("multilingual+quechua", config.Setup);
    }

    [Theory]
    [InlineData("batchsize=3", "'batchsize' in --set is not a known key", "batchSize")]
    [InlineData("optimizer.learninrate=3", "'optimizer.learninrate' in --set is not a known key", "optimizer.learningRate")]
    [InlineData("textTower.widht=3", "'textTower.widht' in --set is not a known key", "textTower.width")]
    public void AnUnknownKeyIsRefusedWithTheNearestKnownOne(string setting, string what, string nearest)
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => Album().Set(setting));
        Assert.Equal(what, e.What);
        Assert.Contains($"'{nearest}'", e.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("batchSize=many", "batchSize")]
    [InlineData("batchSize=1", "batchSize")]
    [InlineData("textTower.heads=5", "textTower.heads")]
    [InlineData("loss.variant=clip", "loss.variant")]
    [InlineData("precision=tf64", "precision")]
    [InlineData("languages=[]", "languages")]
    [InlineData("imageTower.freeze=lowest", "imageTower.freeze")]
    [InlineData("imageTower.patchSize=7", "imageTower.patchSize")]
    [InlineData("optimizer=null", "optimizer")]
    [InlineData("languages=null", "languages")]
    [InlineData("splitSalt=null", "splitSalt")]
    [InlineData("styles=[]", "styles")]
    [InlineData("stylesByLanguage={\"en\":null}", "stylesByLanguage")]
    [InlineData("stylesByLanguage={\"en\":[]}", "stylesByLanguage")]
    public void AValueThatCannotBeIsNamed(string setting, string key)
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => Album().Set(setting).Build());
        Assert.Contains($"'{key}'", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void AKeyThatIsGivenTwiceIsRefused()
    {
        string path = Path.Combine(_folder, "twice.json");
        File.WriteAllText(path, "{\"steps\":3,\"steps\":4}");
        UserErrorException e = Assert.Throws<UserErrorException>(() => RunConfigReader.From("album", "multilingual", "shapes").OverlayFile(path));
        Assert.Contains("steps", e.What, StringComparison.Ordinal);
    }

    [Fact]
    public void ACompleteFileReadsBackAsItWas()
    {
        RunConfig config = Album().Set("stylesByLanguage={\"ja\":[\"noto\"]}").Set("seed=9").Build();
        string file = Write(RunConfigJson.Write(config));
        Assert.Equal(RunConfigJson.Write(config), RunConfigJson.Write(RunConfigReader.ReadComplete(file)));
    }

    [Fact]
    public void TheSchemaNamesEveryKeyAndRefusesOthers()
    {
        JsonObject schema = JsonNode.Parse(RunConfigJson.WriteSchema())!.AsObject();
        JsonObject config = JsonNode.Parse(RunConfigJson.Write(Album().Build()))!.AsObject();
        JsonObject properties = schema["properties"]!.AsObject();
        Assert.Equal(config.Select(p => p.Key), properties.Select(p => p.Key));
        Assert.False(schema["additionalProperties"]!.GetValue<bool>());
        Assert.Equal("Pictures a step.", properties["batchSize"]!["description"]!.GetValue<string>());
        Assert.Contains("symmetricNormalized", properties["loss"]!["properties"]!["variant"]!["enum"]!.AsArray().Select(n => n!.GetValue<string>()));
    }

    [Fact]
    public void EveryRecipeWithEverySetupIsValid()
    {
        foreach (string recipe in Recipes.Names)
        {
            foreach (string setup in Setups.Names)
            {
                Assert.Equal(setup, RunConfigReader.From(recipe, setup, "shapes").Build().Setup);
            }
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static RunConfigReader Album() => RunConfigReader.From("album", "multilingual", "shapes");

    private string Write(string text)
    {
        string path = Path.Combine(_folder, "config.json");
        File.WriteAllText(path, text);
        return path;
    }
}
