using System.Globalization;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// Texts packed one behind the other to their real tokens, on the host. It is filled, given to a tower, and used again: once its
/// arrays have grown to a batch's size, filling it allocates nothing.
/// </summary>
public sealed class TokenBatch
{
    private int[] _ids = new int[1024];
    private int[] _positions = new int[1024];
    private int[] _types = new int[1024];
    private int[] _keys = new int[2048];
    private int[] _starts = new int[65];
    private bool _hasTypes;

    /// <summary>An empty batch.</summary>
    /// <param name="packing">How ids become rows; <see cref="TextTower.Packing"/> as a rule.</param>
    public TokenBatch(TokenPacking packing)
    {
        ArgumentNullException.ThrowIfNull(packing);
        Packing = packing;
    }

    /// <summary>How ids become rows.</summary>
    public TokenPacking Packing { get; }

    /// <summary>Number of texts, S.</summary>
    public int Count { get; private set; }

    /// <summary>Number of rows, N: the sum of the texts' tokens.</summary>
    public int TokenCount { get; private set; }

    /// <summary>How many texts of this batch were longer than <see cref="TokenPacking.MaxTokens"/> and have been cut.</summary>
    public int TruncatedCount { get; private set; }

    /// <summary>Token ids (N).</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, TokenCount);

    /// <summary>Position ids (N).</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, TokenCount);

    /// <summary>Token types (N), or empty where all are 0.</summary>
    public ReadOnlySpan<int> Types => _hasTypes ? _types.AsSpan(0, TokenCount) : default;

    /// <summary>Where each text begins, and where the last ends (S + 1).</summary>
    public ReadOnlySpan<int> CuSeqlens => _starts.AsSpan(0, Count + 1);

    /// <summary>Pairs (N, 2) of example and position: the names under which dropout draws.</summary>
    public ReadOnlySpan<int> TokenKeys => _keys.AsSpan(0, 2 * TokenCount);

    /// <summary>Empties the batch and keeps its arrays.</summary>
    public void Clear()
    {
        Count = 0;
        TokenCount = 0;
        TruncatedCount = 0;
        _hasTypes = false;
    }

    /// <summary>Adds one text.</summary>
    /// <param name="ids">Its tokens, special ones included.</param>
    /// <param name="example">A number that names the example in the whole data set, so that dropout does not depend on its place in a batch.</param>
    /// <param name="mask">1 for real tokens, 0 for padding; empty for all real. Ignored under <see cref="TokenPacking.MaskTokenZero"/>.</param>
    /// <param name="types">Token types; empty for all 0.</param>
    /// <exception cref="ArgumentException">The text has no token, or <paramref name="mask"/> or <paramref name="types"/> another length.</exception>
    public void Add(ReadOnlySpan<int> ids, int example = 0, ReadOnlySpan<int> mask = default, ReadOnlySpan<int> types = default)
    {
        if ((!mask.IsEmpty && mask.Length != ids.Length) || (!types.IsEmpty && types.Length != ids.Length))
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"{ids.Length} ids came with {mask.Length} mask values and {types.Length} token types."));
        }

        int length = RealLength(ids, mask);
        int limit = Packing.PadTo > 0 ? Math.Min(Packing.PadTo, Packing.MaxTokens) : Packing.MaxTokens;
        int kept = Math.Min(length, limit);
        bool cut = kept < length;
        Grow(kept + (Packing.MaskTokenZero ? Packing.PadTo : 0));
        int before = TokenCount;
        int real = 0;
        for (int k = 0; k < kept; k++)
        {
            // A text that is cut keeps its last token, the end mark.
            int source = cut && k == kept - 1 ? length - 1 : k;
            int id = ids[source];
            int position = !Packing.PositionsFollowPad ? k
                : id == Packing.PadTokenId ? Packing.PadTokenId
                : Packing.PadTokenId + ++real;
            bool visible = Packing.MaskTokenZero ? id != 0 : mask.IsEmpty || mask[source] != 0;
            if (visible)
            {
                Append(id, position, types.IsEmpty ? 0 : types[source], example, k);
            }
        }

        for (int k = kept; Packing.MaskTokenZero && Packing.PadTokenId != 0 && k < Packing.PadTo; k++)
        {
            Append(Packing.PadTokenId, Packing.PositionsFollowPad ? Packing.PadTokenId : k, 0, example, k);
        }

        if (TokenCount == before)
        {
            throw new ArgumentException("A text without tokens has no vector.", nameof(ids));
        }

        TruncatedCount += cut ? 1 : 0;
        Count++;
        if (_starts.Length <= Count)
        {
            Array.Resize(ref _starts, 2 * _starts.Length);
        }

        _starts[Count] = TokenCount;
    }

    private int RealLength(ReadOnlySpan<int> ids, ReadOnlySpan<int> mask)
    {
        // Padding on the right does not make a text long.
        int length = ids.Length;
        while (!mask.IsEmpty && length > 0 && mask[length - 1] == 0)
        {
            length--;
        }

        if (Packing.EndTokenId == -1 || length == 0)
        {
            return length;
        }

        int end = Packing.EndTokenId;
        if (end == TokenPacking.EndAtHighestId)
        {
            end = ids[0];
            foreach (int id in ids[..length])
            {
                end = Math.Max(end, id);
            }
        }

        int place = ids[..length].IndexOf(end);
        return place < 0 ? length : place + 1;
    }

    private void Append(int id, int position, int type, int example, int place)
    {
        _ids[TokenCount] = id;
        _positions[TokenCount] = position;
        _types[TokenCount] = type;
        _hasTypes |= type != 0;
        _keys[2 * TokenCount] = example;
        _keys[(2 * TokenCount) + 1] = place;
        TokenCount++;
    }

    private void Grow(int more)
    {
        int needed = TokenCount + more;
        if (needed <= _ids.Length)
        {
            return;
        }

        int size = Math.Max(needed, 2 * _ids.Length);
        Array.Resize(ref _ids, size);
        Array.Resize(ref _positions, size);
        Array.Resize(ref _types, size);
        Array.Resize(ref _keys, 2 * size);
    }
}
