namespace CrossAlign.Models.Training;

/// <summary>What a step of the optimiser changes: towers may stand still at the start of a run.</summary>
internal enum StepPhase
{
    /// <summary>Heads, scale and bias alone.</summary>
    Heads,

    /// <summary>The image tower too.</summary>
    AllButText,

    /// <summary>Everything that is trained.</summary>
    All,
}
