namespace CrossAlign.Models.Tokenization;

/// <summary>A growing buffer of UTF-16 code units that is reused from text to text.</summary>
internal sealed class CharBuffer
{
    private char[] _chars = new char[256];

    /// <summary>How many code units there are.</summary>
    public int Length { get; private set; }

    /// <summary>What was appended.</summary>
    public ReadOnlySpan<char> Written => _chars.AsSpan(0, Length);

    /// <summary>Forgets what was appended.</summary>
    public void Clear() => Length = 0;

    /// <summary>Appends one code unit.</summary>
    /// <param name="value">The code unit.</param>
    public void Append(char value)
    {
        if (Length == _chars.Length)
        {
            Array.Resize(ref _chars, Length * 2);
        }

        _chars[Length++] = value;
    }

    /// <summary>Appends code units.</summary>
    /// <param name="text">The code units.</param>
    public void Append(ReadOnlySpan<char> text)
    {
        text.CopyTo(Reserve(text.Length));
    }

    /// <summary>Appends room for code units that the caller writes.</summary>
    /// <param name="count">How many.</param>
    /// <returns>The room, to be filled.</returns>
    public Span<char> Reserve(int count)
    {
        if (Length + count > _chars.Length)
        {
            Array.Resize(ref _chars, Math.Max(Length + count, _chars.Length * 2));
        }

        Span<char> room = _chars.AsSpan(Length, count);
        Length += count;
        return room;
    }

    /// <summary>Takes the last code units back.</summary>
    /// <param name="length">How many stay.</param>
    public void Truncate(int length) => Length = Math.Min(length, Length);
}
