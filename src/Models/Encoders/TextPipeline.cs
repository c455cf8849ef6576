using System.Text;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Experiments;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Models.Encoders;

/// <summary>A text on its way to a tower, as the model's folder declares it: prompt, preparation, case, tokenizer, longest text.</summary>
public sealed class TextPipeline
{
    private readonly ITokenizer _tokenizer;
    private readonly Func<string, string> _prepare;
    private readonly bool _lowerCase;

    /// <summary>Prepares.</summary>
    /// <param name="tower">The tower.</param>
    /// <param name="tokenizer">The tokenizer that belongs to it.</param>
    /// <param name="settings">What the model's folder declares.</param>
    /// <param name="options">What deviates from that.</param>
    /// <param name="prepare">What becomes of a text with its prompt; null: nothing.</param>
    /// <exception cref="UserErrorException">The tokenizer does not fit the tower, or there is no prompt of that name.</exception>
    public TextPipeline(TextTower tower, ITokenizer tokenizer, SentenceTransformersSettings settings, TextEmbedderOptions options, Func<string, string>? prepare = null)
    {
        ArgumentNullException.ThrowIfNull(tower);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(options);
        if (tokenizer.VocabularySize > tower.Config.VocabularySize)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the tokenizer has {tokenizer.VocabularySize} pieces, the tower rows for {tower.Config.VocabularySize}"),
                "take the tokenizer that belongs to the checkpoint");
        }

        _tokenizer = tokenizer;
        _prepare = prepare ?? (static text => text);
        _lowerCase = settings.LowerCase;
        MaxTokens = Math.Min(tower.Packing.MaxTokens, settings.MaxTokens ?? int.MaxValue);
        if (MaxTokens <= tokenizer.AddedTokenCount)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the model takes {MaxTokens} tokens, and its tokenizer puts {tokenizer.AddedTokenCount} around a text"), "check max_seq_length and config.json");
        }

        Prefix = options.Prefix ?? PromptOf(settings, options.PromptName);
        DefaultPromptName = options.Prefix is null && options.PromptName is null && Prefix.Length > 0 ? settings.DefaultPromptName : null;
        PoolingModes pooling = options.Pooling ?? settings.Pooling ?? PoolingKind.Mean;
        if (Prefix.Length > 0 && !settings.IncludesPrompt && pooling.Kinds.Any(BehindPrompt.Matters))
        {
            UnpooledTokens = CountPrompt();
        }
    }

    /// <summary>What is put before every text.</summary>
    public string Prefix { get; }

    /// <summary>The name of the prompt that is used because the model's folder declares it as its default; null where none is, or a caller chose.</summary>
    public string? DefaultPromptName { get; }

    /// <summary>How many of a text's first tokens means and maxima leave out: those of the prompt with what the tokenizer puts before it, where the folder declares <c>include_prompt</c> false.</summary>
    public int UnpooledTokens { get; }

    /// <summary>The most tokens of a text; a longer one is cut.</summary>
    public int MaxTokens { get; }

    /// <summary>The pipeline of a model that knows its folder.</summary>
    /// <param name="tower">The model's text tower.</param>
    /// <param name="source">Where it was loaded from.</param>
    /// <param name="settings">What its folder declares.</param>
    /// <param name="options">What deviates from that.</param>
    /// <returns>The pipeline.</returns>
    /// <exception cref="UserErrorException">The folder has no tokenizer, or as the constructor.</exception>
    public static TextPipeline Of(TextTower tower, ModelSource source, SentenceTransformersSettings settings, TextEmbedderOptions options)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new TextPipeline(tower, source.LoadTokenizer(), settings, options, source.Prepare);
    }

    /// <summary>The tokens of a text.</summary>
    /// <param name="text">The text.</param>
    /// <returns>Its tokens.</returns>
    /// <exception cref="UserErrorException">The text is not well-formed, or no token is left of it.</exception>
    public TokenRow Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = [];
        bool cut = Encode(Prefix + text, ids);
        return ids.Count > UnpooledTokens ? new TokenRow([.. ids], [], cut)
            : ids.Count == 0 ? throw new UserErrorException("no token is left of the text, and this tokenizer puts none around", "leave the text out")
            : throw new UserErrorException("no token is left of the text behind its prompt, which the model's folder leaves out of the pooling", "leave the text out, or embed without a prompt (--prefix \"\")");
    }

    /// <summary>Lower case as the published library makes it (Python's <c>str.lower</c>): U+0130 becomes two characters, and a sigma at the end of a word its final form.</summary>
    internal static string ToLower(string text)
    {
        StringBuilder lower = new(text.ToLowerInvariant());
        for (int i = text.Length - 1; i >= 0; i--)
        {
            if (text[i] == '\u0130')
            {
                lower.Remove(i, 1).Insert(i, "i\u0307");
            }
            else if (text[i] == '\u03A3' && IsCased(text, i, -1) && !IsCased(text, i, 1))
            {
                lower[i] = '\u03C2';
            }
        }

        return lower.ToString();
    }

    // Unicode's Final_Sigma: whether the next letter on one side, past marks and apostrophes, is one with case.
    private static bool IsCased(string text, int at, int step)
    {
        for (int i = at + step; i >= 0 && i < text.Length; i += step)
        {
            // In a pair of surrogates the low one comes first when going back.
            int index = char.IsLowSurrogate(text[i]) && i > 0 ? i - 1 : i;
            Rune rune = Rune.TryGetRuneAt(text, index, out Rune found) ? found : Rune.ReplacementChar;
            switch (Rune.GetUnicodeCategory(rune))
            {
                case System.Globalization.UnicodeCategory.UppercaseLetter or System.Globalization.UnicodeCategory.LowercaseLetter or System.Globalization.UnicodeCategory.TitlecaseLetter:
                    return true;
                case System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.EnclosingMark or System.Globalization.UnicodeCategory.Format
                    or System.Globalization.UnicodeCategory.ModifierLetter or System.Globalization.UnicodeCategory.ModifierSymbol:
                    continue;
                default:
                    if ("'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A".Contains(text[i], StringComparison.Ordinal))
                    {
                        continue;
                    }

                    return false;
            }
        }

        return false;
    }

    private bool Encode(string text, List<int> ids)
    {
        string prepared = _prepare(text);
        return _tokenizer.Encode(_lowerCase ? ToLower(prepared) : prepared, ids, MaxTokens);
    }

    // As the published library counts them: the prompt alone, without the space behind it and without the token that ends a text.
    private int CountPrompt()
    {
        List<int> ids = [];
        Encode(Prefix.Trim(), ids);
        return ids.Count > 0 && ids[^1] == _tokenizer.SpecialTokens.End ? ids.Count - 1 : ids.Count;
    }

    private static string PromptOf(SentenceTransformersSettings settings, string? name) => name is null ? settings.DefaultPrompt
        : settings.Prompts.TryGetValue(name, out string? text) ? text
        : throw new UserErrorException(
            $"the model declares no prompt '{name}'", settings.Prompts.Count == 0 ? "give the text itself (--prefix)" : $"known ones: {string.Join(", ", settings.Prompts.Keys)}");
}
