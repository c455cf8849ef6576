using System.Text.Json;
using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tokenization;

/// <summary>Reads the <c>model</c> of a <c>tokenizer.json</c>.</summary>
/// <param name="name">The file's name, for messages.</param>
internal sealed class PieceModelReader(string name) : JsonFileReader(name)
{
    /// <summary>Reads the model.</summary>
    /// <param name="model">The member <c>model</c> of the file.</param>
    /// <returns>The model.</returns>
    /// <exception cref="UserErrorException">It is damaged, or of a kind that is not supported.</exception>
    public PieceModel Read(JsonElement model)
    {
        Require(model, JsonValueKind.Object, "model");
        string type = Optional(model, "type") is JsonElement t ? Text(t, "model.type")
            : Optional(model, "merges") is not null ? "BPE"
            : Optional(model, "unk_id") is not null ? "Unigram" : "";
        return type switch
        {
            "BPE" => ReadBpe(model),
            "Unigram" => ReadUnigram(model),
            "WordPiece" => ReadWordPiece(model),
            _ => throw Unsupported("model", type),
        };
    }

    private BpeModel ReadBpe(JsonElement model)
    {
        Dictionary<string, int> ids = ReadVocabulary(model);
        string continuing = OptionalText(model, "continuing_subword_prefix");
        List<(int Left, int Right, int Joined)> merges = [];
        foreach (JsonElement merge in Items(Child(model, "merges", "model"), "model.merges"))
        {
            (string left, string right) = ReadMerge(merge, merges.Count);
            string joined = continuing.Length > 0 && right.StartsWith(continuing, StringComparison.Ordinal) ? left + right[continuing.Length..] : left + right;
            merges.Add((Lookup(ids, left), Lookup(ids, right), Lookup(ids, joined)));
        }

        string unknown = OptionalText(model, "unk_token");
        return new BpeModel(ids, merges, new BpeOptions
        {
            UnknownId = unknown.Length == 0 ? null : Lookup(ids, unknown),
            ByteFallback = Flag(model, "byte_fallback", false),
            FuseUnknown = Flag(model, "fuse_unk", false),
            IgnoreMerges = Flag(model, "ignore_merges", false),
            ContinuingPrefix = continuing,
            EndOfWordSuffix = OptionalText(model, "end_of_word_suffix"),
        });

        int Lookup(Dictionary<string, int> from, string piece) => from.TryGetValue(piece, out int id)
            ? id
            : throw Bad($"model.merges or model.unk_token names '{piece}', which is not in model.vocab");
    }

    private Dictionary<string, int> ReadVocabulary(JsonElement model)
    {
        JsonElement vocabulary = Child(model, "vocab", "model");
        Require(vocabulary, JsonValueKind.Object, "model.vocab");
        Dictionary<string, int> ids = [];
        foreach (JsonProperty entry in vocabulary.EnumerateObject())
        {
            ids[entry.Name] = Id(entry.Value, "model.vocab");
        }

        return ids.Values.Any(id => id > (ids.Count * 2) + 1024) ? throw Bad("model.vocab has ids far beyond the number of its entries") : ids;
    }

    private WordPieceModel ReadWordPiece(JsonElement model)
    {
        Dictionary<string, int> ids = ReadVocabulary(model);
        string unknown = Text(Child(model, "unk_token", "model"), "model.unk_token");
        if (!ids.TryGetValue(unknown, out int unknownId))
        {
            throw Bad($"model.unk_token is '{unknown}', which is not in model.vocab");
        }

        int longest = Optional(model, "max_input_chars_per_word") is JsonElement most ? Id(most, "model.max_input_chars_per_word") : 100;
        string prefix = Optional(model, "continuing_subword_prefix") is JsonElement given ? Text(given, "model.continuing_subword_prefix") : "##";
        return new WordPieceModel(ids, unknownId, prefix, longest);
    }

    private UnigramModel ReadUnigram(JsonElement model)
    {
        JsonElement vocabulary = Child(model, "vocab", "model");
        Require(vocabulary, JsonValueKind.Array, "model.vocab");
        int count = vocabulary.GetArrayLength();
        string[] pieces = new string[count];
        double[] scores = new double[count];
        int id = 0;
        foreach (JsonElement entry in vocabulary.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || entry[1].ValueKind != JsonValueKind.Number
                || !entry[1].TryGetDouble(out scores[id]) || !double.IsFinite(scores[id]))
            {
                throw Bad(FormattableString.Invariant($"model.vocab[{id}] is {Excerpt(entry)}, not a piece and its score"));
            }

            pieces[id++] = Text(entry[0], "model.vocab");
        }

        int? unknown = Optional(model, "unk_id") is JsonElement given ? Id(given, "model.unk_id") : null;
        if (unknown >= count)
        {
            throw Bad(FormattableString.Invariant($"model.unk_id is {unknown}, but model.vocab has {count} pieces"));
        }

        try
        {
            return new UnigramModel(pieces, scores, unknown, Flag(model, "byte_fallback", false));
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException($"'{Name}': model.vocab has too many pieces", Supported, e);
        }
    }

    private (string Left, string Right) ReadMerge(JsonElement merge, int index)
    {
        if (merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2)
        {
            return (Text(merge[0], "model.merges"), Text(merge[1], "model.merges"));
        }

        // Files written before 2024 have "left right".
        string[] parts = merge.ValueKind == JsonValueKind.String ? Text(merge, "model.merges").Split(' ') : [];
        return parts.Length == 2 ? (parts[0], parts[1]) : throw Bad(FormattableString.Invariant($"model.merges[{index}] is not a pair"));
    }
}
