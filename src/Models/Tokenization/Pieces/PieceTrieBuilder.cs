namespace CrossAlign.Models.Tokenization.Pieces;

/// <summary>Lays a <see cref="PieceTrie"/> out: places the children of each node where its cells are free.</summary>
/// <param name="keys">The keys.</param>
/// <param name="values">Their values.</param>
internal sealed class PieceTrieBuilder(IReadOnlyList<byte[]> keys, IReadOnlyList<int> values)
{
    private const int BlockSize = 256;
    private const int OpenBlocks = 16;

    // Nodes without children point here: a block whose cells stay free, so that no byte leads on.
    private const int EmptyBase = BlockSize;

    private uint[] _bases = [];
    private ushort[] _labels = [];
    private int[] _values = [];
    private bool[] _baseTaken = [];
    private bool[] _free = [];
    private int[] _nextFree = [];
    private int[] _previousFree = [];
    private int _firstFree = -1;
    private int _lastFree = -1;
    private int _cellCount;
    private int _firstOpenBlock;

    /// <summary>Builds the cells.</summary>
    /// <returns>The cells, the root first.</returns>
    /// <exception cref="ArgumentException">The keys have more bytes than the layout can address.</exception>
    public PieceTrie.Unit[] Build()
    {
        int[] order = Sorted();
        AddBlock();
        Take(0);
        AddBlock();
        CloseBlock(1);
        Stack<(int Begin, int End, int Depth, int Cell)> open = new();
        open.Push((0, order.Length, 0, 0));
        Span<byte> labels = stackalloc byte[BlockSize];
        Span<int> begins = stackalloc int[BlockSize + 1];
        while (open.TryPop(out (int Begin, int End, int Depth, int Cell) node))
        {
            int at = node.Begin;
            while (at < node.End && keys[order[at]].Length == node.Depth)
            {
                _values[node.Cell] = values[order[at++]] + 1;
            }

            int count = 0;
            while (at < node.End)
            {
                byte label = keys[order[at]][node.Depth];
                labels[count] = label;
                begins[count++] = at;
                while (at < node.End && keys[order[at]][node.Depth] == label)
                {
                    at++;
                }
            }

            begins[count] = node.End;
            int place = count == 0 ? EmptyBase : Place(labels[..count]);
            _bases[node.Cell] = (uint)place;
            for (int i = count - 1; i >= 0; i--)
            {
                int cell = place ^ labels[i];
                Take(cell);
                _labels[cell] = (ushort)(labels[i] + 1);
            }

            for (int i = count - 1; i >= 0; i--)
            {
                open.Push((begins[i], begins[i + 1], node.Depth + 1, place ^ labels[i]));
            }
        }

        PieceTrie.Unit[] units = new PieceTrie.Unit[_cellCount];
        for (int i = 0; i < units.Length; i++)
        {
            units[i] = new PieceTrie.Unit((_bases[i] << PieceTrie.Unit.LabelBits) | _labels[i], _values[i] - 1);
        }

        return units;
    }

    private int[] Sorted()
    {
        int[] order = new int[keys.Count];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        // Equal keys stay in their order, so that the last one is written last.
        Array.Sort(order, (x, y) =>
        {
            int compared = keys[x].AsSpan().SequenceCompareTo(keys[y]);
            return compared != 0 ? compared : x.CompareTo(y);
        });
        return order;
    }

    private int Place(ReadOnlySpan<byte> labels)
    {
        for (int cell = _firstFree; cell >= 0; cell = _nextFree[cell])
        {
            int candidate = cell ^ labels[0];
            if (!_baseTaken[candidate] && AreFree(candidate, labels))
            {
                _baseTaken[candidate] = true;
                return candidate;
            }
        }

        int block = AddBlock();
        if (block - _firstOpenBlock >= OpenBlocks)
        {
            // Old blocks are nearly full; looking through them again and again would cost more than their last cells are worth.
            CloseBlock(_firstOpenBlock++);
        }

        int first = (block * BlockSize) ^ labels[0];
        _baseTaken[first] = true;
        return first;
    }

    private bool AreFree(int candidate, ReadOnlySpan<byte> labels)
    {
        foreach (byte label in labels)
        {
            if (!_free[candidate ^ label])
            {
                return false;
            }
        }

        return true;
    }

    private int AddBlock()
    {
        int block = _cellCount / BlockSize;
        int end = _cellCount + BlockSize;
        if (end > PieceTrie.Unit.BaseLimit)
        {
            throw new ArgumentException("The vocabulary has too many pieces.");
        }

        if (end > _bases.Length)
        {
            int capacity = Math.Max(end, Math.Min(_bases.Length * 2, PieceTrie.Unit.BaseLimit));
            Array.Resize(ref _bases, capacity);
            Array.Resize(ref _labels, capacity);
            Array.Resize(ref _values, capacity);
            Array.Resize(ref _baseTaken, capacity);
            Array.Resize(ref _free, capacity);
            Array.Resize(ref _nextFree, capacity);
            Array.Resize(ref _previousFree, capacity);
        }

        for (int cell = _cellCount; cell < end; cell++)
        {
            _free[cell] = true;
            _previousFree[cell] = _lastFree;
            _nextFree[cell] = -1;
            if (_lastFree >= 0)
            {
                _nextFree[_lastFree] = cell;
            }
            else
            {
                _firstFree = cell;
            }

            _lastFree = cell;
        }

        _cellCount = end;
        return block;
    }

    private void Take(int cell)
    {
        int next = _nextFree[cell];
        int previous = _previousFree[cell];
        if (previous >= 0)
        {
            _nextFree[previous] = next;
        }
        else
        {
            _firstFree = next;
        }

        if (next >= 0)
        {
            _previousFree[next] = previous;
        }
        else
        {
            _lastFree = previous;
        }

        _free[cell] = false;
    }

    private void CloseBlock(int block)
    {
        for (int cell = block * BlockSize; cell < (block + 1) * BlockSize; cell++)
        {
            if (_free[cell])
            {
                Take(cell);
            }
        }
    }
}
