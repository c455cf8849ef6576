namespace CrossAlign.Runtime;

/// <summary>A point in a device's order of work, for measuring what lies between two of them without waiting for either.</summary>
internal abstract class OperationMark : IDisposable
{
    /// <summary>The time from this point to a later one; waits for that.</summary>
    /// <param name="later">A mark of the same device.</param>
    /// <returns>The time.</returns>
    public abstract TimeSpan Until(OperationMark later);

    /// <summary>Lets the device use the mark again.</summary>
    public abstract void GiveBack();

    /// <inheritdoc/>
    public abstract void Dispose();
}
