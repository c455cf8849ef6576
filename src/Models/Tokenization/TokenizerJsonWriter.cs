using System.Text.Encodings.Web;
using System.Text.Json;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization;

/// <summary>Writes trained vocabularies as a <c>tokenizer.json</c> that the published tokenizers library loads.</summary>
internal static class TokenizerJsonWriter
{
    /// <summary>The first id after the special tokens and the bytes.</summary>
    public const int FirstFreeId = 260;

    private const string Mask = "<mask>";
    private static readonly string[] s_specials = ["<s>", "<pad>", "</s>", "<unk>"];

    /// <summary>Whether a piece is spelled like one that every vocabulary has: a special token or a byte.</summary>
    /// <param name="piece">The piece.</param>
    /// <returns>Whether it is.</returns>
    public static bool IsReserved(string piece) => piece == Mask || Array.IndexOf(s_specials, piece) >= 0 || BytePiece.TryParse(piece, out _);

    /// <summary>A BPE tokenizer.</summary>
    /// <param name="pieces">The alphabet and the joined pieces.</param>
    /// <param name="merges">The joins in order.</param>
    /// <returns>The file.</returns>
    public static byte[] Bpe(IReadOnlyList<string> pieces, IReadOnlyList<(string Left, string Right)> merges) => Write(FirstFreeId + pieces.Count, json =>
    {
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteString("unk_token", "<unk>");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", true);
        json.WriteBoolean("byte_fallback", true);
        json.WriteBoolean("ignore_merges", false);
        json.WriteStartObject("vocab");
        int id = 0;
        foreach (string piece in Reserved().Concat(pieces))
        {
            json.WriteNumber(piece, id++);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach ((string left, string right) in merges)
        {
            json.WriteStartArray();
            json.WriteStringValue(left);
            json.WriteStringValue(right);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    });

    private static IEnumerable<string> Reserved() => s_specials.Concat(Enumerable.Range(0, 256).Select(b => BytePiece.Of((byte)b)));

    private static byte[] Write(int maskId, Action<Utf8JsonWriter> writeModel)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WriteNull("truncation");
            json.WriteNull("padding");
            json.WriteStartArray("added_tokens");
            for (int id = 0; id < s_specials.Length; id++)
            {
                WriteAddedToken(json, id, s_specials[id], stripLeft: false);
            }

            WriteAddedToken(json, maskId, Mask, stripLeft: true);
            json.WriteEndArray();
            json.WriteNull("normalizer");
            json.WriteStartObject("pre_tokenizer");
            WriteMetaspace(json);
            json.WriteEndObject();
            WriteTemplate(json);
            WriteDecoder(json);
            json.WriteStartObject("model");
            writeModel(json);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void WriteAddedToken(Utf8JsonWriter json, int id, string content, bool stripLeft)
    {
        json.WriteStartObject();
        json.WriteNumber("id", id);
        json.WriteString("content", content);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", stripLeft);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", true);
        json.WriteEndObject();
    }

    private static void WriteMetaspace(Utf8JsonWriter json)
    {
        json.WriteString("type", "Metaspace");
        json.WriteString("replacement", "▁");
        json.WriteString("prepend_scheme", "always");
        json.WriteBoolean("split", true);
    }

    private static void WriteTemplate(Utf8JsonWriter json)
    {
        json.WriteStartObject("post_processor");
        json.WriteString("type", "TemplateProcessing");
        json.WriteStartArray("single");
        WriteTemplatePart(json, "SpecialToken", "<s>");
        WriteTemplatePart(json, "Sequence", "A");
        WriteTemplatePart(json, "SpecialToken", "</s>");
        json.WriteEndArray();
        json.WriteStartArray("pair");
        WriteTemplatePart(json, "SpecialToken", "<s>");
        WriteTemplatePart(json, "Sequence", "A");
        WriteTemplatePart(json, "SpecialToken", "</s>");
        WriteTemplatePart(json, "SpecialToken", "</s>");
        WriteTemplatePart(json, "Sequence", "B");
        WriteTemplatePart(json, "SpecialToken", "</s>");
        json.WriteEndArray();
        json.WriteStartObject("special_tokens");
        WriteTemplateToken(json, "</s>", 2);
        WriteTemplateToken(json, "<s>", 0);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteTemplatePart(Utf8JsonWriter json, string kind, string id)
    {
        json.WriteStartObject();
        json.WriteStartObject(kind);
        json.WriteString("id", id);
        json.WriteNumber("type_id", 0);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteTemplateToken(Utf8JsonWriter json, string token, int id)
    {
        json.WriteStartObject(token);
        json.WriteString("id", token);
        json.WriteStartArray("ids");
        json.WriteNumberValue(id);
        json.WriteEndArray();
        json.WriteStartArray("tokens");
        json.WriteStringValue(token);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteDecoder(Utf8JsonWriter json)
    {
        json.WriteStartObject("decoder");
        json.WriteString("type", "Sequence");
        json.WriteStartArray("decoders");
        json.WriteStartObject();
        json.WriteString("type", "Replace");
        json.WriteStartObject("pattern");
        json.WriteString("String", "▁");
        json.WriteEndObject();
        json.WriteString("content", " ");
        json.WriteEndObject();
        json.WriteStartObject();
        json.WriteString("type", "ByteFallback");
        json.WriteEndObject();
        json.WriteStartObject();
        json.WriteString("type", "Fuse");
        json.WriteEndObject();
        json.WriteStartObject();
        json.WriteString("type", "Strip");
        json.WriteString("content", " ");
        json.WriteNumber("start", 1);
        json.WriteNumber("stop", 0);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
