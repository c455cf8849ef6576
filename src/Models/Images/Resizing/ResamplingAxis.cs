namespace CrossAlign.Models.Images.Resizing;

/// <summary>One side of a picture that is resized, and the part of the result that is wanted.</summary>
/// <param name="From">Old length.</param>
/// <param name="To">New length.</param>
/// <param name="First">The first new sample wanted.</param>
/// <param name="Count">How many.</param>
internal readonly record struct ResamplingAxis(int From, int To, int First, int Count)
{
    /// <summary>Whether the result is the old side as it is.</summary>
    public bool IsWhole => From == To && Count == To;
}
