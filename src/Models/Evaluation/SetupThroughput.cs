namespace CrossAlign.Models.Evaluation;

/// <summary>How fast a set-up trained.</summary>
/// <param name="Setup">The set-up.</param>
/// <param name="CaptionsPerSecond">Captions that went through the text tower, forward and backward.</param>
/// <param name="PicturesPerSecond">Pictures that went through the image tower; 0 where there is none.</param>
/// <param name="Seconds">Duration of the training.</param>
public sealed record SetupThroughput(string Setup, double CaptionsPerSecond, double PicturesPerSecond, double Seconds);
