using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class ConceptHashTests
{
    /// <summary>Known answers of the hash's authors.</summary>
    [Theory]
    [InlineData("", 0x811c9dc5u)]
    [InlineData("a", 0xe40c292cu)]
    [InlineData("foobar", 0xbf9cf968u)]
    public void The_hash_is_FNV_1a(string text, uint expected) => Assert.Equal(expected, ConceptHash.Fnv1A32(text));

    [Fact]
    public void Every_concept_of_the_album_is_in_its_published_split_and_set()
    {
        Assert.Equal(1417, AlbumFixture.Rows.Count);
        foreach (AlbumFixture.Row row in AlbumFixture.Rows)
        {
            Concept concept = new(row.Id, ConceptHash.SplitOf(row.Id), ConceptHash.HoldsOutName(row.Id), []);
            Assert.Equal(row.Split, concept.Split.ToString().ToLowerInvariant());
            string set = concept.Set switch
            {
                ConceptSet.Seen => "seen",
                ConceptSet.HeldOutCaptions => "held-out-captions",
                ConceptSet.Validation => "validation",
                _ => "unseen",
            };
            Assert.Equal(row.Set, set);
        }
    }

    [Fact]
    public void The_album_has_the_published_counts()
    {
        string[] ids = [.. AlbumFixture.Rows.Select(r => r.Id)];
        Assert.Equal(1139, ids.Count(id => ConceptHash.SplitOf(id) == DataSplit.Train));
        Assert.Equal(148, ids.Count(id => ConceptHash.SplitOf(id) == DataSplit.Validation));
        Assert.Equal(130, ids.Count(id => ConceptHash.SplitOf(id) == DataSplit.Test));
        Assert.Equal(187, ids.Count(id => ConceptHash.SplitOf(id) == DataSplit.Train && ConceptHash.HoldsOutName(id)));
    }

    [Fact]
    public void Another_salt_gives_another_split_and_the_same_held_out_names()
    {
        string[] ids = [.. AlbumFixture.Rows.Select(r => r.Id)];
        int moved = ids.Count(id => ConceptHash.SplitOf(id, "other:") != ConceptHash.SplitOf(id));
        Assert.InRange(moved, ids.Length / 5, ids.Length / 2);
        Assert.InRange(ids.Count(id => ConceptHash.SplitOf(id, "other:") == DataSplit.Test), 100, 190);
    }
}
