using System.Text;
using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Models.Tokenization;

/// <summary>Loads tokenizers, and gives every <see cref="ITokenizer"/> a few more ways to be called.</summary>
public static class Tokenizer
{
    private const long LargestFileBytes = 256L << 20;
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Loads a tokenizer from a file, chosen by its name: <c>*.json</c>, <c>*.model</c>, or <c>vocab.txt</c> and <c>vocab.json</c> with what lies beside them.</summary>
    /// <param name="path">The file, or a model folder (there <c>tokenizer.json</c> is taken first, then <c>sentencepiece.bpe.model</c>, then <c>vocab.txt</c>, then <c>vocab.json</c>).</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="UserErrorException">There is no such file, it cannot be read, is damaged, or is of a kind that is not supported.</exception>
    public static ITokenizer Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string file = Directory.Exists(path) ? InFolder(SentenceTransformersReader.TowerIn(path)) : path;
        if (VocabularyFiles.IsName(file))
        {
            return TokenizerJsonReader.Read(VocabularyFiles.ToTokenizerJson(Path.GetDirectoryName(Path.GetFullPath(file))!, ReadFile), file);
        }

        byte[] bytes = ReadFile(file);
        return Path.GetExtension(file).Equals(".model", StringComparison.OrdinalIgnoreCase)
            ? new SentencePieceTokenizer(bytes, SentencePieceModelReader.Read(bytes, file))
            : TokenizerJsonReader.Read(bytes, file);
    }

    /// <summary>The ids of a text, with the tokens put around it.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="text">The text.</param>
    /// <param name="maxTokens">The most ids, those put around the text included.</param>
    /// <returns>The ids.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is less than the tokens put around a text.</exception>
    /// <exception cref="UserErrorException">The text is not well-formed UTF-16.</exception>
    public static int[] Encode(this ITokenizer tokenizer, string text, int maxTokens = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = [];
        tokenizer.Encode(text, ids, maxTokens);
        return [.. ids];
    }

    /// <summary>Like <see cref="ITokenizer.Encode"/>, for a text in UTF-8.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="utf8">The text.</param>
    /// <param name="ids">Appended to.</param>
    /// <param name="maxTokens">The most ids to append, those put around the text included.</param>
    /// <returns>Whether the text was cut.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is less than the tokens put around a text.</exception>
    /// <exception cref="UserErrorException">The bytes are not UTF-8; the message says where.</exception>
    public static bool EncodeUtf8(this ITokenizer tokenizer, ReadOnlySpan<byte> utf8, List<int> ids, int maxTokens = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return tokenizer.Encode(DecodeUtf8(utf8, "the text"), ids, maxTokens);
    }

    /// <summary>Bytes as text, or an error that says where they are not UTF-8.</summary>
    /// <param name="utf8">The bytes.</param>
    /// <param name="name">What they are, for the message.</param>
    /// <returns>The text.</returns>
    /// <exception cref="UserErrorException">The bytes are not UTF-8.</exception>
    public static string DecodeUtf8(ReadOnlySpan<byte> utf8, string name)
    {
        try
        {
            return s_strict.GetString(utf8);
        }
        catch (DecoderFallbackException e)
        {
            int at = System.Text.Unicode.Utf8.IsValid(utf8) ? 0 : FirstInvalid(utf8);
            throw new UserErrorException(FormattableString.Invariant($"{name} is not UTF-8 (byte 0x{utf8[at]:X2} at offset {at})"), "convert it to UTF-8", e);
        }
    }

    private static int FirstInvalid(ReadOnlySpan<byte> utf8)
    {
        int at = 0;
        while (at < utf8.Length && Rune.DecodeFromUtf8(utf8[at..], out _, out int length) == System.Buffers.OperationStatus.Done)
        {
            at += length;
        }

        return Math.Min(at, utf8.Length - 1);
    }

    private static string InFolder(string folder)
    {
        foreach (string name in (ReadOnlySpan<string>)["tokenizer.json", "sentencepiece.bpe.model", VocabularyFiles.WordPieceName, VocabularyFiles.BytePairName])
        {
            string candidate = Path.Combine(folder, name);
            if (File.Exists(candidate))
            {
                return candidate;
            }
        }

        throw new UserErrorException($"'{folder}' has neither tokenizer.json nor sentencepiece.bpe.model, vocab.txt or vocab.json", "download the tokenizer's files with the model, or name the file");
    }

    private static byte[] ReadFile(string file)
    {
        try
        {
            FileInfo info = new(file);
            if (info.Exists && info.Length > LargestFileBytes)
            {
                throw new UserErrorException(
                    FormattableString.Invariant($"'{file}' has {info.Length >> 20} MiB, more than any tokenizer ({LargestFileBytes >> 20} MiB)"),
                    "name a tokenizer.json or a sentencepiece.bpe.model");
            }

            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the tokenizer '{file}' cannot be read: {e.Message}", "check the path and its permissions", e);
        }
    }
}
