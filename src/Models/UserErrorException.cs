namespace CrossAlign.Models;

/// <summary>
/// An error that a person can mend: it names the thing that is wrong and the remedy. The command line prints it as one line,
/// <c>error: what (remedy)</c>, followed by <see cref="Details"/>.
/// </summary>
public sealed class UserErrorException : Exception
{
    /// <summary>Names a thing and its remedy.</summary>
    /// <param name="what">What is wrong, with the name of the thing.</param>
    /// <param name="remedy">What to do about it.</param>
    /// <param name="innerException">Where it came from.</param>
    public UserErrorException(string what, string remedy, Exception? innerException = null)
        : base($"{what} ({remedy})", innerException)
    {
        What = what;
        Remedy = remedy;
    }

    /// <summary>What is wrong, with the name of the thing.</summary>
    public string What { get; }

    /// <summary>What to do about it.</summary>
    public string Remedy { get; }

    /// <summary>A list that belongs to the error (missing tensors, say), a line each.</summary>
    public IReadOnlyList<string> Details { get; init; } = [];
}
