namespace CrossAlign.Models.Training;

/// <summary>How a sitting of a run ended.</summary>
/// <param name="Folder">The run's folder.</param>
/// <param name="Completed">Whether the last step is done.</param>
/// <param name="Step">Steps done.</param>
/// <param name="Seconds">Seconds of training in this sitting, evaluations and checkpoints apart.</param>
/// <param name="Captions">Captions trained on in this sitting.</param>
/// <param name="Pictures">Pictures trained on in this sitting.</param>
public sealed record TrainingResult(string Folder, bool Completed, int Step, double Seconds, long Captions, long Pictures);
