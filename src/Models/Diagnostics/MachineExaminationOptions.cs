namespace CrossAlign.Models.Diagnostics;

/// <summary>What <see cref="MachineExamination"/> looks at.</summary>
public sealed record MachineExaminationOptions
{
    /// <summary>How long each rate is measured; null measures none.</summary>
    public TimeSpan? Measures { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Whether programs that were found are asked for their version.</summary>
    public bool AsksPrograms { get; init; } = true;

    /// <summary>Threads of the processor; 0 for one each.</summary>
    public int Threads { get; init; }

    /// <summary>The value of <c>--cache</c>, or null.</summary>
    public string? Cache { get; init; }

    /// <summary>An emulated device to show beside the real ones (<c>cuda-emulated</c>, <c>cuda-emulated:sm_90</c>), or null.</summary>
    public string? EmulatedDevice { get; init; }
}
