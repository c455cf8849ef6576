using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Images;

namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>The model card: front matter for the public hub, how to use the towers from Python and from here, data, training, figures.</summary>
internal static class ModelCardText
{
    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Of(TwoTowerModel model, HubExportContent content)
    {
        ModelCard card = content.Card;
        StringBuilder text = new();
        FrontMatter(text, model, card);
        text.Append(CultureInfo.InvariantCulture, $"# {card.Name}\n\n{card.Summary}\n\n");
        Sizes(text, model);
        Usage(text, model, content);
        Section(text, "Data", card.Data);
        Section(text, "Training", card.Training);
        Figures(text, card.Figures);
        return text.ToString().TrimEnd('\n') + "\n";
    }

    private static void FrontMatter(StringBuilder text, TwoTowerModel model, ModelCard card)
    {
        text.Append("---\n");
        List(text, "language", card.Languages);
        if (card.License is not null)
        {
            text.Append(CultureInfo.InvariantCulture, $"license: {card.License}\n");
        }

        List(text, "base_model", card.BaseModels);
        text.Append("library_name: transformers\n");
        text.Append(CultureInfo.InvariantCulture, $"pipeline_tag: {(model.Image is null ? "sentence-similarity" : "zero-shot-image-classification")}\n");
        List(text, "tags", ["crossalign", "multilingual", "image-text"]);
        text.Append("---\n\n");
    }

    private static void Sizes(StringBuilder text, TwoTowerModel model)
    {
        text.Append("| part | architecture | width | blocks | heads | parameters | pooling |\n| --- | --- | --- | --- | --- | --- | --- |\n");
        if (model.Text is not null)
        {
            Row("text", model.Text.Config, ParameterGroup.TextTower, model.Options.TextPooling.Name);
        }

        if (model.Image is not null)
        {
            Row("image", model.Image.Config, ParameterGroup.ImageTower, PoolingModes.NameOf(model.Options.ImagePooling));
        }

        text.Append('\n');
        if (model.Options.ProjectionWidth > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"Both are projected to {model.Options.ProjectionWidth} dimensions by `{ModelFolder.ExportedHeadsName}`.\n\n");
        }

        void Row(string part, EncoderConfig config, ParameterGroup group, string pooling) => text.Append(
            CultureInfo.InvariantCulture,
            $"| {part} | `{config.ModelType}` | {config.Width} | {config.Layers} | {config.Heads} | {model.Parameters.CountOf(group)} | {pooling} |\n");
    }

    private static void Usage(StringBuilder text, TwoTowerModel model, HubExportContent content)
    {
        text.Append("## Use\n\n    crossalign embed --model . --texts texts.txt --out vectors.safetensors\n\n");
        if (model.Text is not null)
        {
            TextUsage(text, model, content);
        }

        if (model.Image is not null)
        {
            ImageUsage(text, model, model.Image, content);
        }
    }

    private static void TextUsage(StringBuilder text, TwoTowerModel model, HubExportContent content)
    {
        // Written out, because the pooling and the heads are what a reader gets wrong.
        text.Append("```python\nimport torch\nfrom safetensors.torch import load_file\nfrom transformers import AutoModel, AutoTokenizer\n\n");
        text.Append("tokenizer = AutoTokenizer.from_pretrained(\"text\")\ntower = AutoModel.from_pretrained(\"text\").eval()\n");
        text.Append(CultureInfo.InvariantCulture, $"heads = load_file(\"{ModelFolder.ExportedHeadsName}\")\n\n");
        string prompt = content.Settings.DefaultPrompt.Length == 0 ? string.Empty : $"prompt = {JsonSerializer.Serialize(content.Settings.DefaultPrompt, s_plain)}\n";
        text.Append(CultureInfo.InvariantCulture, $"{prompt}batch = tokenizer([{(prompt.Length == 0 ? "\"a dog\", \"allqu\"" : "prompt + \"a dog\", prompt + \"allqu\"")}], padding=True, return_tensors=\"pt\")\n");
        text.Append("with torch.no_grad():\n    hidden = tower(input_ids=batch[\"input_ids\"], attention_mask=batch[\"attention_mask\"]).last_hidden_state\n");
        text.Append("    mask = batch[\"attention_mask\"].unsqueeze(-1)\n");
        string[] parts = [.. model.Options.TextPooling.Kinds.Select(Pooled)];
        text.Append(CultureInfo.InvariantCulture, $"    vectors = {(parts.Length == 1 ? parts[0] : $"torch.cat([{string.Join(", ", parts)}], -1)")}\n");
        if (model.TextHead is not null)
        {
            text.Append("    vectors = torch.nn.functional.linear(vectors, heads[\"text_head.weight\"], heads.get(\"text_head.bias\"))\n");
        }

        if (content.Settings.Normalize == true)
        {
            text.Append("    vectors = torch.nn.functional.normalize(vectors, dim=-1)\n");
        }

        text.Append("```\n\n");
    }

    private static void ImageUsage(StringBuilder text, TwoTowerModel model, ImageTower tower, HubExportContent content)
    {
        text.Append(CultureInfo.InvariantCulture, $"The image tower is used {(model.Text is null ? "thus" : "alike")} (`AutoModel.from_pretrained(\"image\")`, ");
        text.Append(tower.Config.IsClip && model.Options.ImagePooling == Kernels.PoolingKind.Cls ? "its `pooler_output`"
            : model.Options.ImagePooling == Kernels.PoolingKind.Mean ? "mean over all tokens, class token included" : "the class token's row");
        text.Append(", then `image_head`).");
        if (content.ImageSize is int size && size != tower.Config.ImageSize)
        {
            text.Append(CultureInfo.InvariantCulture, $" It was trained on pictures of {size} x {size}, and has position embeddings for {tower.Config.ImageSize} x {tower.Config.ImageSize}: call it with `interpolate_pos_encoding=True`.");
        }

        text.Append("\n\n");
        if (content.Preprocessor is { Sizing: ImageSizing.Pad, CropHeight: 0 } padding)
        {
            PaddingUsage(text, padding);
        }
    }

    // What ImagePadding does, in Pillow's words; the decoder before it turns pictures as EXIF says and lays them over white.
    private static void PaddingUsage(StringBuilder text, ImagePreprocessor padding)
    {
        text.Append("The tower was trained on pictures shown whole in the middle of a white square. The published processor does not know this (`crossalign_fit` in ");
        text.Append(CultureInfo.InvariantCulture, $"`image/{ImagePreprocessor.FileName}`): it would stretch a picture that is not square, and the vector would be another. Pad pictures before it:\n\n");
        text.Append("```python\nfrom PIL import Image, ImageOps\nfrom transformers import AutoImageProcessor\n\n");
        text.Append(CultureInfo.InvariantCulture, $"def pad(picture, size={padding.Height}):\n");
        text.Append("    picture = ImageOps.exif_transpose(picture).convert(\"RGBA\")\n");
        text.Append("    picture = Image.alpha_composite(Image.new(\"RGBA\", picture.size, \"white\"), picture).convert(\"RGB\")\n");
        text.Append("    width, height = (max(1, round(side * size / max(picture.size))) for side in picture.size)\n");
        text.Append("    square = Image.new(\"RGB\", (size, size), \"white\")\n");
        text.Append(CultureInfo.InvariantCulture, $"    resized = picture.resize((width, height), Image.Resampling.{padding.Filter.ToString().ToUpperInvariant()})\n");
        text.Append("    square.paste(resized, ((size - width) // 2, (size - height) // 2))\n    return square\n\n");
        text.Append("processor = AutoImageProcessor.from_pretrained(\"image\")\n");
        text.Append("pixel_values = processor(pad(Image.open(\"photo.jpg\")), return_tensors=\"pt\")[\"pixel_values\"]\n```\n\n");
    }

    // As Python, of hidden (S, T, C) and mask (S, T, 1), pads on the right.
    private static string Pooled(Kernels.PoolingKind kind) => kind switch
    {
        Kernels.PoolingKind.Cls => "hidden[:, 0]",
        Kernels.PoolingKind.Max => "hidden.masked_fill(mask == 0, float(\"-inf\")).max(1).values",
        Kernels.PoolingKind.MeanSqrtLength => "(hidden * mask).sum(1) / mask.sum(1).sqrt()",
        Kernels.PoolingKind.WeightedMean => "(hidden * mask.cumsum(1) * mask).sum(1) / (mask.cumsum(1) * mask).sum(1)",
        Kernels.PoolingKind.Eos => "hidden[torch.arange(len(hidden)), mask.sum(1)[:, 0] - 1]",
        _ => "(hidden * mask).sum(1) / mask.sum(1)",
    };

    private static void Section(StringBuilder text, string title, IReadOnlyList<string> lines)
    {
        if (lines.Count == 0)
        {
            return;
        }

        text.Append(CultureInfo.InvariantCulture, $"## {title}\n\n");
        foreach (string line in lines)
        {
            text.Append(CultureInfo.InvariantCulture, $"- {line}\n");
        }

        text.Append('\n');
    }

    private static void Figures(StringBuilder text, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        if (rows.Count < 2)
        {
            return;
        }

        text.Append("## Figures\n\n");
        for (int i = 0; i < rows.Count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", rows[i].Select(c => c.Replace("|", "\\|", StringComparison.Ordinal)))} |\n");
            if (i == 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"|{string.Concat(Enumerable.Repeat(" --- |", rows[0].Count))}\n");
            }
        }

        text.Append('\n');
    }

    private static void List(StringBuilder text, string key, IReadOnlyList<string> values)
    {
        if (values.Count == 0)
        {
            return;
        }

        text.Append(CultureInfo.InvariantCulture, $"{key}:\n");
        foreach (string value in values)
        {
            text.Append(CultureInfo.InvariantCulture, $"- {value}\n");
        }
    }
}
