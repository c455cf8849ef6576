using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>Draws without replacement that depend on the seed alone.</summary>
internal static class SeededSample
{
    // "EVAL": a stream of its own beside those of training.
    private const uint PermutationStream = 0x4556414C;

    /// <summary>Some of the numbers from 0, in ascending order.</summary>
    /// <param name="count">How many numbers there are.</param>
    /// <param name="take">How many are drawn; at most <paramref name="count"/>.</param>
    /// <param name="seed">Seed.</param>
    /// <returns>The numbers drawn.</returns>
    internal static int[] Of(int count, int take, ulong seed)
    {
        int[] sample = Permutation(count, seed)[..take];
        Array.Sort(sample);
        return sample;
    }

    /// <summary>The numbers from 0 in random order.</summary>
    /// <param name="count">How many numbers there are.</param>
    /// <param name="seed">Seed.</param>
    /// <returns>The permutation.</returns>
    internal static int[] Permutation(int count, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        CounterRandom random = new(seed, PermutationStream, 0);
        random.Shuffle(order.AsSpan());
        return order;
    }
}
