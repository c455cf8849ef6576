using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Models.Tests.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints;

/// <summary>Checkpoint folders whose files say something else than they should: always an error that names the file, or a model; never anything else, and never memory of a size that a file merely claims.</summary>
public sealed class HostileFolderTests : IDisposable
{
    private const long FairByteCount = 64 << 20;

    private static readonly string[] s_values =
    [
        "null", "true", "false", "0", "-1", "1", "3", "1.5", "1e300", "-1e-300", "2147483647", "2147483648", "4194304", "99999999999999999999", "\"\"", "\"x\"", "\"mean\"",
        "\"\\ud800\"", "\"../x\"", "\"a\\u0000b\"", "[]", "[1]", "[[1, 2], null]", "{}", "{\"a\": 1}", "{\"height\": 3, \"width\": 1e9}", "{\"a\": 1, \"a\": 2}",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("config.json", "num_hidden_layers", "4000", "num_hidden_layers is 4000, but the checkpoint has")]
    [InlineData("config.json", "num_hidden_layers", "4000000", "num_hidden_layers is 4000000; it must be a size of at most 4096")]
    [InlineData("config.json", "num_hidden_layers", "4", "do not fit")]
    [InlineData("config.json", "hidden_size", "4000000", "do not fit")]
    [InlineData("config.json", "intermediate_size", "4194304", "do not fit")]
    [InlineData("config.json", "vocab_size", "4194304", "do not fit")]
    [InlineData("config.json", "model_type", "\"\\ud800\"", "model_type is not valid Unicode")]
    [InlineData("config.json", "model_type", "[]", "model_type is []; it must be a text")]
    [InlineData("config.json", "model_type", "\"x\", \"model_type\": \"y\"", "model_type")]
    [InlineData("config.json", "\\ud800", "1", "not valid Unicode")]
    [InlineData("modules.json", null, "[1]", "module 0 is no object")]
    [InlineData("modules.json", null, "{}", "holds no JSON list")]
    [InlineData("modules.json", null, "[]", "no Pooling")]
    [InlineData("1_Pooling/config.json", "pooling_mode_mean_tokens", "1", "pooling_mode_mean_tokens is 1; it must be true or false")]
    [InlineData("1_Pooling/config.json", null, "7", "holds no JSON object")]
    [InlineData("sentence_bert_config.json", "max_seq_length", "0", "max_seq_length is 0")]
    [InlineData("sentence_bert_config.json", "max_seq_length", "\"long\"", "max_seq_length is \"long\"")]
    [InlineData("sentence_bert_config.json", "max_seq_length", "2", "the model takes 2 tokens")]
    [InlineData("sentence_bert_config.json", "do_lower_case", "\"yes\"", "do_lower_case is \"yes\"")]
    [InlineData("config_sentence_transformers.json", "prompts", "[]", "prompts is []; it must be an object")]
    [InlineData("config_sentence_transformers.json", "default_prompt_name", "3", "default_prompt_name is 3")]
    [InlineData("model.safetensors.index.json", "weight_map", "[]", "weight_map is []; it must be an object")]
    [InlineData("model.safetensors.index.json", "weight_map", "{\"a\": 3}", "weight_map: a is 3")]
    [InlineData("model.safetensors.index.json", "weight_map", "{\"a\": \"a.safetensors\", \"a\": \"b\"}", "'a'")]
    [InlineData("tokenizer.json", "model", "[]", "model is []")]
    [InlineData("tokenizer.json", "normalizer", "{\"type\": \"\\ud800\"}", "normalizer.type is not valid Unicode")]
    [InlineData("tokenizer.json", "added_tokens", "{}", "added_tokens is {}")]
    public void WhatATextTowersFileMustNotSayIsNamed(string file, string? key, string value, string message)
    {
        TextFolder();
        string path = _folder.File(file);
        string json = File.ReadAllText(path);
        string changed = key is null ? value : With(json, key, value);
        File.WriteAllText(path, changed);
        UserErrorException e = Assert.Throws<UserErrorException>(() => UseText(new PlanDevice()));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.True(e.What.Contains(Path.GetFileName(file), StringComparison.Ordinal) || e.Details.Count > 0 || file == "sentence_bert_config.json", e.What);
    }

    [Theory]
    [InlineData("config.json", "image_size", "4194304", "image_size is 4194304")]
    [InlineData("config.json", "image_size", "16384", "do not fit")]
    [InlineData("config.json", "image_size", "[32, 48]", "only squares are supported")]
    [InlineData("config.json", "patch_size", "[8, 4]", "only squares are supported")]
    [InlineData("config.json", "projection_dim", "4194304", "visual_projection.weight is [40, 48], must be [4194304, 48]")]
    [InlineData("preprocessor_config.json", "size", "{\"height\": \"x\", \"width\": 3}", "'size.height'")]
    [InlineData("preprocessor_config.json", "image_mean", "[1, 2]", "'image_mean'")]
    [InlineData("preprocessor_config.json", "resample", "[]", "'resample'")]
    [InlineData("preprocessor_config.json", "do_resize", "\"\\udfff\"", "do_resize is not valid Unicode")]
    public void WhatAnImageTowersFileMustNotSayIsNamed(string file, string key, string value, string message)
    {
        ImageFolder("image-tower-clip");
        string path = _folder.File(file);
        File.WriteAllText(path, With(File.ReadAllText(path), key, value));
        UserErrorException e = Assert.Throws<UserErrorException>(() => UseImage(new PlanDevice()));
        Assert.Contains(message, string.Join('\n', [e.Message, .. e.Details]), StringComparison.Ordinal);
    }

    [Fact]
    public void MissingTensorsAreListedHoweverManyLayersAreClaimed()
    {
        TextFolder();
        File.WriteAllText(_folder.File("config.json"), With(File.ReadAllText(_folder.File("config.json")), "num_hidden_layers", "4"));
        UserErrorException e = Assert.Throws<UserErrorException>(() => CheckpointFolder.ReadTextConfig(_folder.Path));
        Assert.Equal(16, e.Details.Count);
        Assert.All(e.Details, d => Assert.StartsWith("missing: encoder.layer.3.", d, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("text", 1)]
    [InlineData("text", 2)]
    [InlineData("vocab.txt", 6)]
    [InlineData("vocab.json", 7)]
    [InlineData("image-tower-vit", 3)]
    [InlineData("image-tower-clip", 4)]
    [InlineData("clip-model", 5)]
    public void AnyChangeOfAnyFileGivesAModelOrAnErrorForTheUser(string kind, int seed)
    {
        bool isText = kind is "text" or "vocab.txt" or "vocab.json";
        if (isText)
        {
            TextFolder();
        }
        else
        {
            ImageFolder(kind);
        }

        if (isText && kind != "text")
        {
            NestWithVocabulary(kind);
        }

        string[] files = [.. Directory.GetFiles(_folder.Path, "*.*", SearchOption.AllDirectories).Where(f => Path.GetExtension(f) is ".json" or ".txt").Order(StringComparer.Ordinal)];
        Dictionary<string, byte[]> originals = files.ToDictionary(f => f, File.ReadAllBytes);
        int errors = 0;
        const int Rounds = 400;
        for (int round = 0; round < Rounds; round++)
        {
            Random random = new((seed * 100_003) + round);
            string file = files[random.Next(files.Length)];
            byte[] changed = Change(originals[file], random);
            File.WriteAllBytes(file, changed);
            long before = GC.GetAllocatedBytesForCurrentThread();
            using PlanDevice device = new();
            try
            {
                if (isText)
                {
                    UseText(device);
                }
                else
                {
                    UseImage(device);
                }
            }
            catch (UserErrorException e)
            {
                errors++;
                Assert.False(string.IsNullOrWhiteSpace(e.What));
            }
            catch (Exception e) when (e is not UserErrorException)
            {
                Assert.Fail(string.Create(
                    CultureInfo.InvariantCulture, $"seed {seed}, round {round}, {Path.GetRelativePath(_folder.Path, file)}: {e}\n{Excerpt(changed)}"));
            }

            long taken = GC.GetAllocatedBytesForCurrentThread() - before + device.PeakByteCount;
            Assert.True(taken <= FairByteCount, string.Create(CultureInfo.InvariantCulture, $"seed {seed}, round {round}, {Path.GetRelativePath(_folder.Path, file)}: {taken} bytes\n{Excerpt(changed)}"));
            File.WriteAllBytes(file, originals[file]);
        }

        // A change that does no harm is no error, and most do harm.
        Assert.InRange(errors, Rounds / 4, Rounds - 1);
    }

    private static string Excerpt(byte[] json) => Encoding.UTF8.GetString(json.AsSpan(0, Math.Min(json.Length, 3000)));

    // Sets a key of the outermost object to a value that may be no sound JSON.
    private static string With(string json, string key, string value)
    {
        JsonObject parsed = JsonNode.Parse(json)!.AsObject();
        parsed.Remove(key);
        string rest = parsed.ToJsonString()[..^1];
        return $"{rest}{(parsed.Count > 0 ? "," : "")}\"{key}\": {value}}}";
    }

    private static byte[] Change(byte[] original, Random random)
    {
        // Lines of text are cut and flipped, JSON is also changed as a tree.
        switch (random.Next(original[0] is (byte)'{' or (byte)'[' && original[1] != (byte)'U' ? 8 : 2))
        {
            case 0:
                return original[..random.Next(original.Length)];
            case 1:
                byte[] flipped = [.. original];
                flipped[random.Next(flipped.Length)] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 2:
                return Encoding.UTF8.GetBytes(s_values[random.Next(s_values.Length)]);
        }

        // A value somewhere in the tree; of its levels each is as likely, so that the 270 pieces of a vocabulary do not take all.
        JsonNode root = JsonNode.Parse(original)!;
        List<JsonNode> containers = [];
        Collect(root, containers);
        JsonNode container = containers[random.Next(containers.Count)];
        string mark = "\"@@" + Guid.Empty + "\"";
        if (container is JsonObject keys && keys.Count > 0)
        {
            string key = keys.ElementAt(random.Next(keys.Count)).Key;
            if (random.Next(6) == 0)
            {
                keys.Remove(key);
                return Encoding.UTF8.GetBytes(root.ToJsonString());
            }

            keys[key] = JsonValue.Create(mark.Trim('"'));
        }
        else if (container is JsonArray items && items.Count > 0)
        {
            items[random.Next(items.Count)] = JsonValue.Create(mark.Trim('"'));
        }

        return Encoding.UTF8.GetBytes(root.ToJsonString().Replace(mark, s_values[random.Next(s_values.Length)], StringComparison.Ordinal));
    }

    private static void Collect(JsonNode? node, List<JsonNode> containers)
    {
        if (node is JsonObject or JsonArray && containers.Count < 400)
        {
            containers.Add(node);
            IEnumerable<JsonNode?> children = node is JsonObject keys ? keys.Select(p => p.Value) : ((JsonArray)node).Take(3);
            foreach (JsonNode? child in children)
            {
                Collect(child, containers);
            }
        }
    }

    private void TextFolder()
    {
        foreach (string file in Directory.GetFiles(Fixtures.PathOf("text-tower-xlm-roberta", "hf-sharded")))
        {
            File.Copy(file, _folder.File(Path.GetFileName(file)));
        }

        ShortRuns.Tokens(270).Save(_folder.File("tokenizer.json"));
        new SentenceTransformersSettings
        {
            Normalize = true,
            MaxTokens = 20,
            Prompts = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["query"] = "query: " },
            DefaultPromptName = "query",
        }.Write(_folder.Path, 64);
    }

    // The tower in the folder of its module, with a tokenizer of the older form and a mean that leaves the prompt out.
    private void NestWithVocabulary(string name)
    {
        const string Transformer = "0_Transformer";
        Directory.CreateDirectory(_folder.File(Transformer));
        foreach (string file in Directory.GetFiles(_folder.Path).Where(f => Path.GetFileName(f) is not "modules.json" and not "config_sentence_transformers.json"))
        {
            File.Move(file, Path.Combine(_folder.File(Transformer), Path.GetFileName(file)));
        }

        File.Delete(_folder.File(Transformer + "/tokenizer.json"));
        string modules = File.ReadAllText(_folder.File("modules.json"));
        File.WriteAllText(_folder.File("modules.json"), modules.Replace("\"path\": \"\"", $"\"path\": \"{Transformer}\"", StringComparison.Ordinal));
        string pooling = File.ReadAllText(_folder.File("1_Pooling/config.json"));
        File.WriteAllText(_folder.File("1_Pooling/config.json"), With(pooling, "include_prompt", "false"));
        string[] pieces = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", .. "abcdefghijklmnopqrstuvwxyz:".Select(c => c.ToString()), .. "abcdefghijklmnopqrstuvwxyz".Select(c => "##" + c), "##ed"];
        if (name == "vocab.txt")
        {
            File.WriteAllLines(_folder.File($"{Transformer}/{name}"), pieces);
        }
        else
        {
            File.WriteAllText(_folder.File($"{Transformer}/{name}"), new JsonObject(pieces.Append("re").Select((p, i) => KeyValuePair.Create(p, (JsonNode?)i))).ToJsonString());
            File.WriteAllText(_folder.File(Transformer + "/merges.txt"), "#version: 0.2\nr e\n");
        }

        File.WriteAllText(_folder.File(Transformer + "/special_tokens_map.json"), """{"cls_token": "[CLS]", "sep_token": {"content": "[SEP]", "lstrip": false}, "unk_token": "[UNK]"}""");
        File.WriteAllText(_folder.File(Transformer + "/added_tokens.json"), """{"<more>": 90}""");
        File.WriteAllText(
            _folder.File(Transformer + "/tokenizer_config.json"),
            $$$"""{"tokenizer_class": "{{{(name == "vocab.txt" ? "BertTokenizer" : "RobertaTokenizer")}}}", "do_lower_case": true, "strip_accents": null, "model_max_length": 30, "added_tokens_decoder": {"4": {"content": "[MASK]", "special": true} } }""");
    }

    private void ImageFolder(string fixture)
    {
        foreach (string file in Directory.GetFiles(Fixtures.PathOf(fixture, "hf")))
        {
            File.Copy(file, _folder.File(Path.GetFileName(file)));
        }

        File.WriteAllText(_folder.File("preprocessor_config.json"), JsonSerializer.Serialize(new
        {
            image_processor_type = "CLIPImageProcessor",
            do_resize = true,
            size = new { shortest_edge = 32 },
            resample = 3,
            do_center_crop = true,
            crop_size = new { height = 32, width = 32 },
            do_normalize = true,
            image_mean = new[] { 0.5, 0.5, 0.5 },
            image_std = new[] { 0.5, 0.5, 0.5 },
        }));
    }

    private void UseText(PlanDevice device)
    {
        using TwoTowerModel model = TwoTowerModel.Load(_folder.Path, device);
        _ = model.EmbedText(["a red circle", "", "kʼan"], TestContext.Current.CancellationToken);
        _ = RunConfigReader.From("album", "multilingual", "shapes").Set("textTower.from=" + _folder.Path).Resolve();
    }

    private void UseImage(PlanDevice device)
    {
        using TwoTowerModel model = TwoTowerModel.Load(_folder.Path, device);
        _ = model.EmbedImage([new RgbImage(40, 33, new byte[3 * 40 * 33])], TestContext.Current.CancellationToken);
        _ = RunConfigReader.From("album", "multilingual", "shapes").Set("imageTower.from=" + _folder.Path).Resolve();
    }
}
