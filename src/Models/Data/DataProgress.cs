namespace CrossAlign.Models.Data;

/// <summary>How far the preparation of a data set has come.</summary>
/// <param name="Activity">What is being done, for people.</param>
/// <param name="Fraction">How much of it is done, 0 to 1; null where that is not known.</param>
public readonly record struct DataProgress(string Activity, double? Fraction);
