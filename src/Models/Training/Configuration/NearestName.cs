namespace CrossAlign.Models.Training.Configuration;

/// <summary>Finds the known name that a mistyped one was most likely meant to be.</summary>
public static class NearestName
{
    /// <summary>The known name with the smallest edit distance, upper and lower case alike; the first of several.</summary>
    /// <param name="name">What was typed.</param>
    /// <param name="known">At least one name.</param>
    /// <returns>The nearest.</returns>
    /// <exception cref="InvalidOperationException">There is no known name.</exception>
    public static string Find(string name, IEnumerable<string> known) =>
        known.MinBy(k => EditDistance(name.ToUpperInvariant(), k.ToUpperInvariant()))
        ?? throw new InvalidOperationException("There is no known name.");

    // V. I. Levenshtein, 1966: insertions, deletions and substitutions cost 1.
    private static int EditDistance(string a, string b)
    {
        int[] previous = new int[b.Length + 1];
        int[] current = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++)
        {
            previous[j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                current[j] = Math.Min(substitution, Math.Min(previous[j], current[j - 1]) + 1);
            }

            (previous, current) = (current, previous);
        }

        return previous[b.Length];
    }
}
