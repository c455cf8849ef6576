namespace CrossAlign.Models.Training;

/// <summary>Where the time of a training step goes.</summary>
internal enum StepPart
{
    /// <summary>Waiting for the next batch, which a thread of its own prepares beside the step.</summary>
    Data,

    /// <summary>The text tower with its head, forward and backward.</summary>
    TextTower,

    /// <summary>The image tower with its head, forward and backward.</summary>
    ImageTower,

    /// <summary>The contrastive losses with all gradients, and the copies of embeddings round them.</summary>
    Loss,

    /// <summary>Zeroing of gradients, clipping and update.</summary>
    Optimizer,
}
