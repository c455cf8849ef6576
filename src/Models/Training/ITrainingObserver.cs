namespace CrossAlign.Models.Training;

/// <summary>Hears what a run does as it does it; the command line shows it. Called on the training thread.</summary>
public interface ITrainingObserver
{
    /// <summary>Something worth a line: what is loaded, how large the towers are, where the run goes.</summary>
    /// <param name="message">A sentence.</param>
    void Note(string message);

    /// <summary>Something is wrong, though the run goes on.</summary>
    /// <param name="message">What, and what to do.</param>
    void Alarm(string message);

    /// <summary>A step is done.</summary>
    /// <param name="report">Its figures.</param>
    void StepDone(in StepReport report);

    /// <summary>An evaluation on the validation split is done.</summary>
    /// <param name="report">Its figures.</param>
    void EvaluationDone(EvaluationReport report);
}
