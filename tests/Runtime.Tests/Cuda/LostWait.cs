namespace CrossAlign.Runtime.Tests.Cuda;

/// <summary>A wait that a <see cref="WatchedDriver"/> leaves out, as a program would that has forgotten it.</summary>
public enum LostWait
{
    /// <summary>None is left out.</summary>
    None,

    /// <summary>Of the operations for what is copied beside them.</summary>
    OfOperationsForCopies,

    /// <summary>Of the copies for the operations.</summary>
    OfCopiesForOperations,

    /// <summary>Of the host for a copy out of page-locked memory.</summary>
    OfHostForCopies,
}
