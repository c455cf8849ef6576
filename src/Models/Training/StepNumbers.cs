namespace CrossAlign.Models.Training;

/// <summary>What distinguishes one step of a run from another, beside its batch.</summary>
/// <param name="Step">The step, from 1.</param>
/// <param name="LearningRate">The common learning rate.</param>
/// <param name="DropoutKey">Key of the step's dropout.</param>
/// <param name="TextLearningRate">The common learning rate as the text tower has it, where it has the schedule for itself; null for the same.</param>
internal readonly record struct StepNumbers(int Step, double LearningRate, ulong DropoutKey, double? TextLearningRate = null);
