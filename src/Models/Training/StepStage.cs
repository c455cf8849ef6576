namespace CrossAlign.Models.Training;

/// <summary>What of a step is issued, captured and replayed as one.</summary>
internal enum StepStage
{
    /// <summary>All of a step whose batch goes through the towers at once.</summary>
    Whole,

    /// <summary>Gradients are set to zero.</summary>
    Begin,

    /// <summary>A part of the batch with a loss of its own.</summary>
    Part,

    /// <summary>The vectors of a part, without keeping activations.</summary>
    Embed,

    /// <summary>The loss over the vectors of all parts.</summary>
    Losses,

    /// <summary>A part once more, with the gradients of its vectors.</summary>
    Rerun,

    /// <summary>Clipping, update, and what is reported.</summary>
    End,
}
