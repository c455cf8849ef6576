using CrossAlign.Models.Tokenization.Pieces;

namespace CrossAlign.Models.Tests.Tokenization;

/// <summary>Two cuts whose sums round to the same float: what the SentencePiece library compares decides, and releases of it differ.</summary>
public sealed class UnigramLatticeTests
{
    private const float Before = -46.51526641845703f;
    private const float One = -10.979723930358887f;
    private const float Two = -10.01826000213623f;

    private static readonly PieceTrie s_pieces = new(["a"u8.ToArray(), "aa"u8.ToArray()], [0, 1]);

    // "aaa" as a, aa or as aa, a: the second one's sum, before it is rounded, is more than the first one's after it was. Release 0.1.97 took that for
    // better; 0.2.3, with which the golden ids were made, does not.
    [Fact]
    public void ACandidateIsComparedAfterItsSumWasRounded()
    {
        Assert.Equal((Before + One) + Two, (Before + Two) + One);
        Assert.True((double)(Before + Two) + One > (Before + One) + Two);
        UnigramLattice<float> lattice = new();
        lattice.Run(new UnigramVocabulary<float>(s_pieces, [One, Two], -50, -1), "aaa"u8, Before);
        Assert.Equal([0, 1], Ids(lattice));
        Assert.Equal((Before + Two) + One, lattice.Total);

        // So near a tie no sum but this one may be answered from memory.
        Assert.Equal(0, lattice.Margin);
    }

    [Fact]
    public void OfEqualSumsTheFirstCandidateStays()
    {
        UnigramLattice<float> lattice = new();
        lattice.Run(new UnigramVocabulary<float>(s_pieces, [-4, -2], -50, -1), "aaa"u8, -8);
        Assert.Equal([0, 1], Ids(lattice));
    }

    private static int[] Ids(UnigramLattice<float> lattice)
    {
        List<int> ids = [];
        foreach (UnigramLattice<float>.Segment segment in lattice.Path)
        {
            ids.Add(segment.Id);
        }

        return [.. ids];
    }
}
