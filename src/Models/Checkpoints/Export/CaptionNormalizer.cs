using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CrossAlign.Models.Data;

namespace CrossAlign.Models.Checkpoints.Export;

/// <summary>
/// <see cref="CaptionText"/>'s rules as steps of a <c>tokenizer.json</c>, so that whoever loads the file reads raw texts as the model did in training:
/// apostrophes, NFKC, lower case, separators and white space to single spaces, none at the ends.
/// </summary>
/// <remarks>
/// One letter differs: U+0130 (capital I with a dot) stays in training and becomes <c>i</c> with U+0307 in the published library. Special
/// tokens written out in a text are cut out before these steps.
/// </remarks>
internal static class CaptionNormalizer
{
    // ] ^ - \ and & would mean something inside a class; none of them is a separator.
    private static readonly string s_gap = $"[{CaptionText.Separators}{WhiteSpace()}]+";

    /// <summary>Puts the steps before those that a file has.</summary>
    /// <param name="path">A <c>tokenizer.json</c>, written anew.</param>
    /// <exception cref="UserErrorException">The file cannot be read or written.</exception>
    public static void AddTo(string path)
    {
        JsonObject json = Encoders.EncoderConfigReader.ReadFile(path);
        List<JsonNode> steps =
        [
            Replace(new JsonObject { ["Regex"] = "[\u2019\u02BC]" }, "'"),
            new JsonObject { ["type"] = "NFKC" },
            new JsonObject { ["type"] = "Lowercase" },
            Replace(new JsonObject { ["Regex"] = s_gap }, " "),
            new JsonObject { ["type"] = "Strip", ["strip_left"] = true, ["strip_right"] = true },
        ];
        if (json["normalizer"] is JsonNode own)
        {
            steps.Add(own.DeepClone());
        }

        json["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray([.. steps]) };
        JsonSerializerOptions options = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        AtomicFile.WriteText(path, json.ToJsonString(options));
    }

    private static JsonObject Replace(JsonObject pattern, string content) => new() { ["type"] = "Replace", ["pattern"] = pattern, ["content"] = content };

    private static string WhiteSpace()
    {
        StringBuilder characters = new();
        for (char c = '\0'; c < char.MaxValue; c++)
        {
            if (char.IsWhiteSpace(c))
            {
                characters.Append(c);
            }
        }

        return characters.ToString();
    }
}
