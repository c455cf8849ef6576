using System.Text.Json.Nodes;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;
using CrossAlign.Models.Images.Preprocessing;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>
/// Writes a model for the ecosystem: <c>text/</c> and <c>image/</c> are checkpoint folders that the published framework loads
/// without a missing or unexpected tensor, <c>crossalign_projection.safetensors</c> holds the heads, <c>README.md</c> is the card.
/// </summary>
public static class HubExport
{
    /// <summary>Writes the folder. The same model and content give the same bytes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">Where; made where it is missing.</param>
    /// <param name="content">Tokenizer, preprocessing, card.</param>
    /// <exception cref="UserErrorException">A file cannot be read or written, or the text tower has no tokenizer.</exception>
    public static void Write(TwoTowerModel model, string folder, HubExportContent content)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(content);
        string text = Path.Combine(folder, ModelFolder.TextName);
        string image = Path.Combine(folder, ModelFolder.ImageName);
        if (model.Text is not null)
        {
            WriteTokenizer(model.Text, text, content);
            (content.Settings with { Pooling = model.Options.TextPooling, MaxTokens = content.Settings.MaxTokens ?? model.Text.Packing.MaxTokens }).Write(text, model.Text.Config.Width);
        }

        if (model.Image is not null)
        {
            WritePreprocessor(model.Image.Config, image, content);
        }

        // The weights come last: a folder that has them is complete.
        AtomicFile.WriteText(Path.Combine(folder, "README.md"), ModelCardText.Of(model, content));
        ModelFolder.Save(model, folder, ModelFolder.ExportedHeadsName);
    }

    private static void WriteTokenizer(TextTower tower, string folder, HubExportContent content)
    {
        if (content.TextSource is not null)
        {
            IReadOnlyList<string> copied = CheckpointFolder.CopyCompanions(content.TextSource, folder);
            if (!copied.Any(n => n is "tokenizer.json" or "sentencepiece.bpe.model" or "vocab.txt" or "vocab.json"))
            {
                throw new UserErrorException($"'{content.TextSource}' has no tokenizer to export", "fetch the whole checkpoint folder");
            }

            // A tokenizer that came alone: the published framework would go by the tower's architecture, which need not be the tokenizer's.
            if (copied.FirstOrDefault(n => n is "tokenizer.json" or "sentencepiece.bpe.model") is string alone && !copied.Contains("tokenizer_config.json"))
            {
                WriteTokenizerConfig(Tokenizer.Load(Path.Combine(folder, alone)), tower, folder, content);
            }

            return;
        }

        ITokenizer tokenizer = content.Tokenizer ?? throw new UserErrorException("the text tower has no tokenizer to export", "give the run folder that it was trained in");
        string file = Path.Combine(folder, tokenizer.FileName);
        tokenizer.Save(file);
        if (content.NormalizesCaptions && file.EndsWith(".json", StringComparison.Ordinal))
        {
            CaptionNormalizer.AddTo(file);
        }

        WriteTokenizerConfig(tokenizer, tower, folder, content);
    }

    private static void WriteTokenizerConfig(ITokenizer tokenizer, TextTower tower, string folder, HubExportContent content)
    {
        SpecialTokens special = tokenizer.SpecialTokens;
        JsonObject names = [];
        AddName("bos_token", special.Begin);
        AddName("cls_token", special.Begin);
        AddName("eos_token", special.End);
        AddName("sep_token", special.End);
        AddName("pad_token", special.Pad);
        AddName("unk_token", special.Unknown);
        AddName("mask_token", special.Mask);
        CheckpointFolder.WriteJson(Path.Combine(folder, "special_tokens_map.json"), names.DeepClone());
        names["clean_up_tokenization_spaces"] = false;
        names["model_max_length"] = Math.Min(tower.Packing.MaxTokens, content.Settings.MaxTokens ?? int.MaxValue);
        names["tokenizer_class"] = tokenizer.Kind == "sentencepiece" ? "XLMRobertaTokenizer" : "PreTrainedTokenizerFast";
        CheckpointFolder.WriteJson(Path.Combine(folder, "tokenizer_config.json"), names);

        void AddName(string key, int? id)
        {
            if (id is int known)
            {
                names[key] = tokenizer.Piece(known);
            }
        }
    }

    private static void WritePreprocessor(ImageEncoderConfig config, string folder, HubExportContent content)
    {
        if (content.ImageSource is not null)
        {
            IReadOnlyList<(string Name, byte[] Content)> files = [.. CheckpointFolder.ReadCompanions(content.ImageSource).Where(f => CheckpointFolder.IsImageFile(f.Name))];
            foreach ((string name, byte[] bytes) in PreprocessorFiles.AtSize(content.ImageSource, files, content.ImageSize ?? config.ImageSize))
            {
                AtomicFile.Write(Path.Combine(folder, name), stream => stream.Write(bytes));
            }

            if (ImagePreprocessor.FileIn(content.ImageSource) is not null)
            {
                return;
            }
        }

        ImagePreprocessor preprocessor = content.Preprocessor ?? ImagePreprocessor.Vit(content.ImageSize ?? config.ImageSize);
        CheckpointFolder.WriteJson(Path.Combine(folder, ImagePreprocessor.FileName), preprocessor.ToJson());
    }
}
