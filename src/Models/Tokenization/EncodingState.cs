using System.Buffers;
using System.Text.Unicode;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// What one thread needs while it encodes: the list that receives the ids, buffers that are reused from text to text, and the word
/// cache. A tokenizer lends each call one of these.
/// </summary>
internal sealed class EncodingState
{
    private readonly List<CharBuffer> _buffers = [];
    private byte[] _utf8 = new byte[256];

    /// <summary>Receives the ids.</summary>
    public List<int> Ids { get; set; } = [];

    /// <summary>Receives the pieces, where they are asked for; otherwise null.</summary>
    public List<string>? Surfaces { get; set; }

    /// <summary>Encoding may stop as soon as <see cref="Ids"/> holds this many.</summary>
    public int Limit { get; set; }

    /// <summary>Whether further words cannot change the result.</summary>
    public bool IsFull => Ids.Count >= Limit;

    /// <summary>Words that were met before.</summary>
    public WordCache Cache { get; } = new();

    /// <summary>What the piece model keeps from word to word, made by it on first use.</summary>
    public object? ModelScratch { get; set; }

    /// <summary>Ids of one word before they are stored and emitted.</summary>
    public List<int> WordIds { get; } = [];

    /// <summary>A buffer of its own for each number.</summary>
    /// <param name="index">The number, small.</param>
    /// <returns>The buffer, not cleared.</returns>
    public CharBuffer Buffer(int index)
    {
        while (_buffers.Count <= index)
        {
            _buffers.Add(new CharBuffer());
        }

        return _buffers[index];
    }

    /// <summary>A text in UTF-8.</summary>
    /// <param name="text">The text.</param>
    /// <param name="reserveInFront">Bytes to leave free in front of it.</param>
    /// <returns>The free bytes and the text, valid until the next call.</returns>
    /// <exception cref="UserErrorException">The text holds half of a surrogate pair.</exception>
    public Span<byte> ToUtf8(ReadOnlySpan<char> text, int reserveInFront = 0)
    {
        int most = checked((text.Length * 3) + reserveInFront);
        if (_utf8.Length < most)
        {
            _utf8 = new byte[Math.Max(most, _utf8.Length * 2)];
        }

        OperationStatus status = Utf8.FromUtf16(text, _utf8.AsSpan(reserveInFront), out int read, out int written, replaceInvalidSequences: false);
        return status == OperationStatus.Done
            ? _utf8.AsSpan(0, reserveInFront + written)
            : throw new UserErrorException(
                $"a text is not well-formed Unicode: half of a surrogate pair (U+{(int)text[read]:X4})",
                "read the text as UTF-8, or mend the text");
    }
}
