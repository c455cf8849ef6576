using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>What a forward pass is for: embedding (nothing is kept) or training (what the backward pass needs is kept).</summary>
/// <param name="KeepActivations">Whether a backward pass follows.</param>
/// <param name="Recompute">Whether only the input of each block is kept and the rest computed again in the backward pass: more work for less memory, the same bits.</param>
/// <param name="Dropout">Whether dropout acts, at the rates of the tower's configuration.</param>
/// <param name="DropoutKey">The run's seed mixed with the step; read only with <paramref name="Dropout"/> and without <see cref="StoredDropoutKey"/>.</param>
public readonly record struct TowerPass(bool KeepActivations, bool Recompute, bool Dropout, ulong DropoutKey)
{
    /// <summary>(2), int32: the key on the device, read when the pass runs (<see cref="Kernels.DropoutSite.StoredKey"/>); absent for one that is known when it is issued.</summary>
    public Tensor StoredDropoutKey { get; init; }

    /// <summary>Nothing is kept, nothing dropped.</summary>
    public static TowerPass Inference => default;

    /// <summary>Activations are kept; no dropout.</summary>
    public static TowerPass Training => new(true, false, false, 0);
}
