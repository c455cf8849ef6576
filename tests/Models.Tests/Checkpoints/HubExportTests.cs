using System.Text.Json.Nodes;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Checkpoints.Export;
using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Tokenization;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Checkpoints;

public sealed class HubExportTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void AModelFromScratchIsExportedWithAllThatItsUsersNeed()
    {
        using TemporaryFolder folder = new();
        ITokenizer tokenizer = Tokenizer.Load(Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"));
        using TwoTowerModel model = new(
            _device,
            TextEncoderConfig.Create("roberta-prelayernorm", tokenizer.VocabularySize, 16, 24, 2, 4, 48),
            ImageEncoderConfig.Create("vit", 32, 8, 24, 1, 4, 48),
            new TwoTowerOptions { ProjectionWidth = 20 });
        model.Initialize(3);
        HubExport.Write(model, folder.Path, new HubExportContent
        {
            Tokenizer = tokenizer,
            Preprocessor = PictureAugmentation.PreprocessorOf(32, PictureNormalization.Scratch),
            Card = new ModelCard
            {
                Name = "album",
                Summary = "Captions and pictures in one space.",
                Languages = ["en", "qu"],
                Data = ["CLDR short names (Unicode-3.0)"],
                Figures = [["from", "R@1"], ["qu|en", "88.7"]],
            },
        });

        Assert.Equal(
            [
                "README.md", "crossalign_projection.safetensors",
                "image/config.json", "image/model.safetensors", "image/preprocessor_config.json",
                "text/1_Pooling/config.json", "text/config.json", "text/config_sentence_transformers.json", "text/model.safetensors", "text/modules.json", "text/sentence_bert_config.json",
                "text/special_tokens_map.json", $"text/{tokenizer.FileName}", "text/tokenizer_config.json",
            ],
            Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder.Path, f)).Order(StringComparer.Ordinal));
        using (SafetensorsFile heads = SafetensorsFile.Open(folder.File("crossalign_projection.safetensors")))
        {
            Assert.Equal(["image_head.weight", "logit_scale", "text_head.weight"], heads.Entries.Select(e => e.Name));
        }

        string card = File.ReadAllText(folder.File("README.md"));
        Assert.StartsWith("---\nlanguage:\n- en\n- qu\n", card, StringComparison.Ordinal);
        Assert.Contains("| qu\\|en | 88.7 |", card, StringComparison.Ordinal);
        JsonObject preprocessor = EncoderConfigReader.ReadFile(folder.File("image/preprocessor_config.json"));
        Assert.Equal(0.75, preprocessor["image_mean"]![2]!.GetValue<double>());

        // What was exported is used as it was: the same vectors to the bit, the same ids.
        using TwoTowerModel again = TwoTowerModel.Load(_device, folder.Path);
        Assert.Equal(model.Options, again.Options);
        Assert.Equal(Vector(model), Vector(again));
        SentenceTransformersSettings settings = SentenceTransformersSettings.Read(folder.File("text"));
        Assert.Equal((PoolingKind.Mean, true, 16), (settings.Pooling!.Only, settings.Normalize!.Value, settings.MaxTokens!.Value));
        List<int> before = [];
        List<int> after = [];
        tokenizer.Encode("inti uyawan", before);
        Tokenizer.Load(folder.File("text/" + tokenizer.FileName)).Encode("inti uyawan", after);
        Assert.Equal(before, after);
    }

    [Fact]
    public void ATunedTowerTakesItsTokenizerAlong()
    {
        using TemporaryFolder source = new();
        using TemporaryFolder target = new();
        foreach (string file in Directory.GetFiles(Fixtures.PathOf("text-tower-bert", "hf")))
        {
            File.Copy(file, source.File(Path.GetFileName(file)));
        }

        using TwoTowerModel model = TwoTowerModel.Load(_device, source.Path);
        HubExportContent content = new() { TextSource = source.Path, Card = new ModelCard { Name = "tuned", Summary = "Tuned." } };
        Assert.Contains("no tokenizer", Assert.Throws<UserErrorException>(() => HubExport.Write(model, target.Path, content)).Message, StringComparison.Ordinal);
        File.Copy(Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"), source.File("tokenizer.json"));
        HubExport.Write(model, target.Path, content);
        Assert.Equal(File.ReadAllBytes(source.File("tokenizer.json")), File.ReadAllBytes(target.File("text/tokenizer.json")));

        // It came alone: what the published framework needs beside it is written.
        JsonObject config = EncoderConfigReader.ReadFile(target.File("text/tokenizer_config.json"));
        Assert.Equal("PreTrainedTokenizerFast", config["tokenizer_class"]!.GetValue<string>());
        Assert.Equal(40, config["model_max_length"]!.GetValue<int>());
        Assert.Equal(("<s>", "</s>", "<pad>", "<unk>", "<mask>"), (Mark("cls"), Mark("sep"), Mark("pad"), Mark("unk"), Mark("mask")));
        Assert.Equal("</s>", EncoderConfigReader.ReadFile(target.File("text/special_tokens_map.json"))["eos_token"]!.GetValue<string>());
        File.WriteAllText(source.File("tokenizer_config.json"), "{\"tokenizer_class\": \"its own\"}");
        HubExport.Write(model, target.Path, content);
        Assert.Equal("its own", EncoderConfigReader.ReadFile(target.File("text/tokenizer_config.json"))["tokenizer_class"]!.GetValue<string>());

        string Mark(string name) => config[name + "_token"]!.GetValue<string>();
    }

    [Fact]
    public void ASentencePieceModelAloneIsNamedAsWhatItIs()
    {
        using TemporaryFolder source = new();
        using TemporaryFolder target = new();
        foreach (string file in Directory.GetFiles(Fixtures.PathOf("text-tower-bert", "hf")))
        {
            File.Copy(file, source.File(Path.GetFileName(file)));
        }

        File.Copy(Fixtures.PathOf("tokenizer", "unigram-nfkc", "sentencepiece.bpe.model"), source.File("sentencepiece.bpe.model"));
        using TwoTowerModel model = TwoTowerModel.Load(_device, source.Path);
        HubExport.Write(model, target.Path, new HubExportContent { TextSource = source.Path, Card = new ModelCard { Name = "tuned", Summary = "Tuned." } });
        JsonObject config = EncoderConfigReader.ReadFile(target.File("text/tokenizer_config.json"));
        Assert.Equal("XLMRobertaTokenizer", config["tokenizer_class"]!.GetValue<string>());
        Assert.Equal("<s>", config["cls_token"]!.GetValue<string>());
    }

    private static float[] Vector(TwoTowerModel model)
    {
        TokenBatch batch = new(model.Text!.Packing);
        batch.Add([0, 7, 9, 2]);
        float[] vector = new float[model.EmbeddingWidth()];
        model.EmbedText(batch, vector);
        return vector;
    }
}
