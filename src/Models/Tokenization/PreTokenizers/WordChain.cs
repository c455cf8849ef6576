namespace CrossAlign.Models.Tokenization.PreTokenizers;

/// <summary>The steps that are still ahead of a part of a text: further pre-tokenizers, then what takes the words.</summary>
internal readonly struct WordChain
{
    private readonly PreTokenizer[] _steps;
    private readonly IWordSink _sink;
    private readonly int _step;

    /// <summary>A chain at its first step.</summary>
    /// <param name="steps">The pre-tokenizers in order.</param>
    /// <param name="sink">What stands at the end: the piece model.</param>
    /// <param name="state">Receives the ids.</param>
    public WordChain(PreTokenizer[] steps, IWordSink sink, EncodingState state)
        : this(steps, sink, state, 0)
    {
    }

    private WordChain(PreTokenizer[] steps, IWordSink sink, EncodingState state, int step)
    {
        _steps = steps;
        _sink = sink;
        State = state;
        _step = step;
    }

    /// <summary>The ids and the buffers.</summary>
    public EncodingState State { get; }

    /// <summary>A buffer that no other step of the chain uses; cleared.</summary>
    public CharBuffer Buffer
    {
        get
        {
            CharBuffer buffer = State.Buffer(PipelineTokenizer.NormalizerBuffers + _step);
            buffer.Clear();
            return buffer;
        }
    }

    /// <summary>Hands a part to the next step; an empty one is dropped.</summary>
    /// <param name="part">The part.</param>
    /// <param name="atStart">Whether it begins where the whole text begins.</param>
    public void Accept(ReadOnlySpan<char> part, bool atStart)
    {
        if (part.IsEmpty || State.IsFull)
        {
            return;
        }

        if (_step == _steps.Length)
        {
            _sink.Accept(part, State);
        }
        else
        {
            _steps[_step].Split(part, atStart, new WordChain(_steps, _sink, State, _step + 1));
        }
    }
}
