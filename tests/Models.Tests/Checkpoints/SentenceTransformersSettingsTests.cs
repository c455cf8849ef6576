using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;

namespace CrossAlign.Models.Tests.Checkpoints;

public sealed class SentenceTransformersSettingsTests
{
    private const string Modules = """
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
         {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}REST]
        """;

    [Theory]
    [InlineData("\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false", PoolingKind.Cls)]
    [InlineData("\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true", PoolingKind.Mean)]
    [InlineData("\"pooling_mode_mean_tokens\": false, \"pooling_mode_lasttoken\": true", PoolingKind.Eos)]
    [InlineData("\"pooling_mode\": \"cls\"", PoolingKind.Cls)]
    [InlineData("\"pooling_mode\": [\"cls\"], \"pooling_mode_mean_tokens\": true", PoolingKind.Cls)]
    [InlineData("\"pooling_mode\": [\"mean\"], \"include_prompt\": true", PoolingKind.Mean)]
    [InlineData("\"include_prompt\": true", PoolingKind.Mean)]
    [InlineData("\"pooling_mode_cls_token\": true", PoolingKind.Cls)]
    [InlineData("\"pooling_mode_max_tokens\": true, \"pooling_mode_mean_tokens\": false", PoolingKind.Max)]
    [InlineData("\"pooling_mode_mean_sqrt_len_tokens\": true", PoolingKind.MeanSqrtLength)]
    [InlineData("\"pooling_mode_weightedmean_tokens\": true", PoolingKind.WeightedMean)]
    [InlineData("\"pooling_mode\": \"max\"", PoolingKind.Max)]
    [InlineData("\"pooling_mode\": [\"mean_sqrt_len_tokens\"]", PoolingKind.MeanSqrtLength)]
    [InlineData("\"pooling_mode\": \"weightedmean\"", PoolingKind.WeightedMean)]
    [InlineData("\"pooling_mode\": \"lasttoken\"", PoolingKind.Eos)]
    public void ReadsThePoolingThatAFolderDeclares(string flags, PoolingKind expected)
    {
        using TemporaryFolder folder = Folder(Modules.Replace("REST", "", StringComparison.Ordinal), "{\"word_embedding_dimension\": 8, " + flags + "}");
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder.Path);
        Assert.Equal(expected, settings.Pooling);
        Assert.False(settings.Normalize);
    }

    // Flags in the order of the library's concatenation, names in the order in which they stand.
    [Theory]
    [InlineData("\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true", "cls+mean")]
    [InlineData("\"pooling_mode_lasttoken\": true, \"pooling_mode_mean_tokens\": true, \"pooling_mode_max_tokens\": true", "max+mean+eos")]
    [InlineData("\"pooling_mode_weightedmean_tokens\": true, \"pooling_mode_mean_sqrt_len_tokens\": true, \"pooling_mode_mean_tokens\": false", "mean_sqrt_len_tokens+weightedmean")]
    [InlineData("\"pooling_mode\": [\"mean\", \"cls\"]", "mean+cls")]
    [InlineData("\"pooling_mode\": [\"max\", \"max\"]", "max+max")]
    public void SeveralPoolingsKeepTheirOrderAndAreWrittenBack(string flags, string expected)
    {
        using TemporaryFolder folder = Folder(Modules.Replace("REST", "", StringComparison.Ordinal), "{\"word_embedding_dimension\": 8, " + flags + "}");
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder.Path);
        Assert.Equal(expected, settings.Pooling!.Name);
        Assert.Equal(PoolingModes.Parse(expected), settings.Pooling);
        Assert.NotEqual(PoolingKind.Mean, settings.Pooling);
        using TemporaryFolder copy = new();
        settings.Write(copy.Path, 8);
        Assert.Equal(settings.Pooling, SentenceTransformersSettings.Read(copy.Path).Pooling);
    }

    [Fact]
    public void EachPoolingIsWrittenAsTheLibraryWritesIt()
    {
        foreach (PoolingKind kind in Enum.GetValues<PoolingKind>())
        {
            using TemporaryFolder folder = new();
            new SentenceTransformersSettings { Pooling = kind }.Write(folder.Path, 8);
            JsonObject json = JsonNode.Parse(File.ReadAllText(folder.File("1_Pooling/config.json")))!.AsObject();
            Assert.Equal(
                [
                    "include_prompt", "pooling_mode_cls_token", "pooling_mode_lasttoken", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_mean_tokens",
                    "pooling_mode_weightedmean_tokens", "word_embedding_dimension",
                ],
                json.Select(p => p.Key).Order(StringComparer.Ordinal));
            string on = Assert.Single(json, p => p.Key.StartsWith("pooling_mode", StringComparison.Ordinal) && p.Value!.GetValue<bool>()).Key;
            Assert.Equal(
                kind switch
                {
                    PoolingKind.Cls => "pooling_mode_cls_token",
                    PoolingKind.Eos => "pooling_mode_lasttoken",
                    PoolingKind.Max => "pooling_mode_max_tokens",
                    PoolingKind.MeanSqrtLength => "pooling_mode_mean_sqrt_len_tokens",
                    PoolingKind.WeightedMean => "pooling_mode_weightedmean_tokens",
                    _ => "pooling_mode_mean_tokens",
                },
                on);
            Assert.Equal(kind, SentenceTransformersSettings.Read(folder.Path).Pooling);
        }
    }

    [Fact]
    public void ReadsPromptsAndLimits()
    {
        using TemporaryFolder folder = Folder(
            Modules.Replace("REST", ", {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}", StringComparison.Ordinal),
            "{\"pooling_mode_mean_tokens\": true}");
        File.WriteAllText(folder.File("config_sentence_transformers.json"), "{\"prompts\": {\"query\": \"query: \", \"passage\": \"passage: \"}, \"default_prompt_name\": \"query\"}");
        File.WriteAllText(folder.File("sentence_bert_config.json"), "{\"max_seq_length\": 128, \"do_lower_case\": false}");
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder.Path);
        Assert.True(settings.Normalize);
        Assert.Equal(128, settings.MaxTokens);
        Assert.Equal("query: ", settings.DefaultPrompt);
        Assert.Equal("passage: ", settings.Prompts["passage"]);

        using TemporaryFolder copy = new();
        settings.Write(copy.Path, 8);
        SentenceTransformersSettings again = SentenceTransformersSettings.Read(copy.Path);
        Assert.Equal(settings with { Prompts = again.Prompts, PooledWidth = 8 }, again);
        Assert.Equal(settings.Prompts, again.Prompts);
    }

    [Fact]
    public void AFolderThatDeclaresNothingHasNoSettings()
    {
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(Fixtures.PathOf("text-tower-bert", "hf"));
        Assert.Equal((null, null, ""), (settings.Pooling, settings.Normalize, settings.DefaultPrompt));
    }

    [Theory]
    [InlineData(", {\"path\": \"2_Dense\", \"type\": \"sentence_transformers.models.LSTM\"}", "{\"pooling_mode_mean_tokens\": true}", "'LSTM' in '2_Dense'")]
    [InlineData(", {\"path\": \"../x\", \"type\": \"sentence_transformers.models.Normalize\"}", "{\"pooling_mode_mean_tokens\": true}", "outside of the folder")]
    [InlineData("", "{\"pooling_mode\": \"median\"}", "pools by median")]
    [InlineData("", "{\"pooling_mode\": [\"cls\", \"eos\"]}", "pools by eos")]
    [InlineData("", "{\"pooling_mode\": [\"cls\", 1]}", "pooling_mode is [")]
    [InlineData("", "{\"pooling_mode\": []}", "every pooling_mode off")]
    [InlineData("", "{\"pooling_mode_mean_tokens\": false}", "every pooling_mode off")]
    [InlineData("", "{\"pooling_mode_mean_tokens\": false, \"pooling_mode_median_tokens\": true}", "'pooling_mode_median_tokens'")]
    [InlineData(", {\"path\": \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}, {\"path\": \"3_Dense\", \"type\": \"sentence_transformers.models.Dense\"}", "{}", "'Dense' in '3_Dense'")]
    [InlineData(", {\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}", "{}", "'Pooling' in '1_Pooling'")]
    public void WhatIsNotComputedHereIsAnErrorThatNamesIt(string rest, string pooling, string message)
    {
        using TemporaryFolder folder = Folder(Modules.Replace("REST", rest, StringComparison.Ordinal), pooling);
        Assert.Contains(message, Assert.Throws<UserErrorException>(() => SentenceTransformersSettings.Read(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sentence_bert_config.json")]
    [InlineData("sentence_roberta_config.json")]
    [InlineData("sentence_xlm-roberta_config.json")]
    public void TheOlderNamesOfTheLimitsFileAreKnown(string name)
    {
        using TemporaryFolder folder = Folder(Modules.Replace("REST", "", StringComparison.Ordinal), "{\"include_prompt\": false}");
        File.WriteAllText(folder.File(name), "{\"max_seq_length\": 64, \"do_lower_case\": true}");
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder.Path);
        Assert.Equal((64, true, false), (settings.MaxTokens, settings.LowerCase, settings.IncludesPrompt));
    }

    [Theory]
    [InlineData("24", null, 24)]
    [InlineData("24", "64", 64)]
    [InlineData("1000000000000000019884624838656", null, null)]
    [InlineData("null", null, null)]
    public void TheTokenizersLimitHoldsWhereTheModuleHasNone(string tokenizer, string? module, int? expected)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder.File("tokenizer_config.json"), $"{{\"model_max_length\": {tokenizer}}}");
        if (module is not null)
        {
            File.WriteAllText(folder.File("sentence_bert_config.json"), $"{{\"max_seq_length\": {module}}}");
        }

        Assert.Equal(expected, SentenceTransformersSettings.Read(folder.Path).MaxTokens);
    }

    [Fact]
    public void LimitsAreThoseOfTheTransformersOwnFolder()
    {
        using TemporaryFolder folder = Folder(
            Modules.Replace("REST", "", StringComparison.Ordinal).Replace("\"path\": \"\"", "\"path\": \"0_Transformer\"", StringComparison.Ordinal), "{}");
        Directory.CreateDirectory(folder.File("0_Transformer"));
        File.WriteAllText(folder.File("0_Transformer/sentence_bert_config.json"), "{\"max_seq_length\": 17}");
        File.WriteAllText(folder.File("sentence_bert_config.json"), "{\"max_seq_length\": 33}");
        Assert.Equal(17, SentenceTransformersSettings.Read(folder.Path).MaxTokens);
    }

    private static TemporaryFolder Folder(string modules, string pooling)
    {
        TemporaryFolder folder = new();
        File.WriteAllText(folder.File("modules.json"), modules);
        Directory.CreateDirectory(folder.File("1_Pooling"));
        File.WriteAllText(folder.File("1_Pooling/config.json"), pooling);
        return folder;
    }
}
