namespace CrossAlign.Models.Training;

/// <summary>Fills batches. What a step's batch holds is a function of the run's seed and the step alone.</summary>
internal interface IBatchSource
{
    /// <summary>Makes an empty batch of the right sizes.</summary>
    TrainingBatch NewBatch();

    /// <summary>Fills a batch; called on one thread at a time.</summary>
    /// <param name="batch">A batch of <see cref="NewBatch"/>; overwritten.</param>
    /// <param name="step">The step, from 1.</param>
    void Fill(TrainingBatch batch, int step);
}
