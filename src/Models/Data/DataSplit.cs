namespace CrossAlign.Models.Data;

/// <summary>Which side of the split a concept is on, in every language and style alike.</summary>
public enum DataSplit
{
    /// <summary>Trained on.</summary>
    Train,

    /// <summary>Decides what a run may decide (which checkpoint is kept); never trained on.</summary>
    Validation,

    /// <summary>Reported, and decides nothing.</summary>
    Test,
}
