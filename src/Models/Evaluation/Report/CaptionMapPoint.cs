namespace CrossAlign.Models.Evaluation.Report;

/// <summary>A caption on a map.</summary>
/// <param name="X">Horizontal position.</param>
/// <param name="Y">Vertical position.</param>
/// <param name="Language">Its language.</param>
/// <param name="Concept">What it names: captions of one concept have the same value.</param>
public readonly record struct CaptionMapPoint(double X, double Y, string Language, string Concept);
