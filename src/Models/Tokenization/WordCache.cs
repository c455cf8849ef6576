using System.Runtime.InteropServices;

namespace CrossAlign.Models.Tokenization;

/// <summary>
/// Remembers the tokens of short words. Languages that write spaces repeat their words so much that most of the work is a look-up
/// here. Keys and ids lie in two arrays, so that an entry costs no object; when the arrays are full everything is forgotten.
/// </summary>
internal sealed class WordCache
{
    /// <summary>Words of more code units are not remembered: they hardly ever come back.</summary>
    public const int LongestWord = 32;

    private const int SlotCount = 1 << 16;
    private const int EntriesAtMost = SlotCount / 2;
    private const int KeyCapacity = EntriesAtMost * 12;
    private const int IdCapacity = EntriesAtMost * 6;

    private Slot[] _slots = new Slot[1 << 10];
    private char[] _keys = new char[1 << 13];
    private int[] _ids = new int[1 << 12];
    private int _count;
    private int _keyCount;
    private int _idCount;

    /// <summary>A hash of a word, to be given to the other members.</summary>
    /// <param name="word">The word.</param>
    /// <returns>The hash, never 0.</returns>
    public static uint Hash(ReadOnlySpan<char> word)
    {
        const ulong multiplier = 0x9E3779B97F4A7C15;
        ulong hash = (ulong)word.Length * multiplier;
        ReadOnlySpan<ulong> quads = MemoryMarshal.Cast<char, ulong>(word);
        foreach (ulong quad in quads)
        {
            hash = (hash ^ quad) * multiplier;
            hash ^= hash >> 32;
        }

        ulong tail = 0;
        foreach (char c in word[(quads.Length * 4)..])
        {
            tail = (tail << 16) | c;
        }

        hash = (hash ^ tail) * multiplier;
        hash ^= hash >> 29;
        return (uint)(hash >> 32) | 0x8000_0000;
    }

    /// <summary>Looks a word up.</summary>
    /// <param name="word">The word.</param>
    /// <param name="hash">Its hash.</param>
    /// <param name="ids">Its ids, valid until the next <see cref="Add"/>.</param>
    /// <param name="margin">The number stored with it.</param>
    /// <returns>Whether it is there.</returns>
    public bool TryGet(ReadOnlySpan<char> word, uint hash, out ReadOnlySpan<int> ids, out float margin)
    {
        Slot[] slots = _slots;
        int mask = slots.Length - 1;
        for (int i = (int)hash & mask; ; i = (i + 1) & mask)
        {
            ref readonly Slot slot = ref slots[i];
            if (slot.Hash == 0)
            {
                ids = default;
                margin = 0;
                return false;
            }

            if (slot.Hash == hash && word.SequenceEqual(_keys.AsSpan(slot.KeyStart, slot.KeyLength)))
            {
                ids = _ids.AsSpan(slot.IdStart, slot.IdCount);
                margin = slot.Margin;
                return true;
            }
        }
    }

    /// <summary>Remembers a word that is not there yet and is no longer than <see cref="LongestWord"/>.</summary>
    /// <param name="word">The word.</param>
    /// <param name="hash">Its hash.</param>
    /// <param name="ids">Its ids.</param>
    /// <param name="margin">A number to keep with it.</param>
    public void Add(ReadOnlySpan<char> word, uint hash, ReadOnlySpan<int> ids, float margin = 0)
    {
        if (_count == EntriesAtMost || _keyCount + word.Length > KeyCapacity || _idCount + ids.Length > IdCapacity)
        {
            Array.Clear(_slots);
            _count = 0;
            _keyCount = 0;
            _idCount = 0;
        }

        if (_count * 2 >= _slots.Length)
        {
            Grow();
        }

        Ensure(ref _keys, _keyCount + word.Length);
        Ensure(ref _ids, _idCount + ids.Length);
        word.CopyTo(_keys.AsSpan(_keyCount));
        ids.CopyTo(_ids.AsSpan(_idCount));
        Insert(_slots, new Slot { Hash = hash, KeyStart = _keyCount, KeyLength = (ushort)word.Length, IdStart = _idCount, IdCount = (ushort)ids.Length, Margin = margin });
        _keyCount += word.Length;
        _idCount += ids.Length;
        _count++;
    }

    private static void Insert(Slot[] slots, in Slot slot)
    {
        int mask = slots.Length - 1;
        int i = (int)slot.Hash & mask;
        while (slots[i].Hash != 0)
        {
            i = (i + 1) & mask;
        }

        slots[i] = slot;
    }

    private static void Ensure<T>(ref T[] array, int length)
    {
        if (array.Length < length)
        {
            Array.Resize(ref array, Math.Max(length, array.Length * 2));
        }
    }

    private void Grow()
    {
        Slot[] larger = new Slot[_slots.Length * 2];
        foreach (ref readonly Slot slot in _slots.AsSpan())
        {
            if (slot.Hash != 0)
            {
                Insert(larger, slot);
            }
        }

        _slots = larger;
    }

    private struct Slot
    {
        public uint Hash;
        public int KeyStart;
        public int IdStart;
        public float Margin;
        public ushort KeyLength;
        public ushort IdCount;
    }
}
