namespace CrossAlign.Models.Encoders;

/// <summary>Where a tower has its LayerNorms outside of the blocks, and what its blocks have in common.</summary>
/// <param name="EmbeddingNorm">Published name of the LayerNorm behind the embeddings; null for none.</param>
/// <param name="FinalNorm">Published name of the last LayerNorm; null for none.</param>
/// <param name="NormAfterPooling">Whether the last LayerNorm acts on the pooled rows only (CLIP).</param>
/// <param name="IsCausal">Whether a token sees only itself and those before it.</param>
/// <param name="HasQueryKeyValueBias">Whether queries, keys and values have a bias.</param>
/// <param name="FirstDropoutSite">The number of the tower's first dropout site: two towers of a model draw different numbers for the same example.</param>
internal readonly record struct TowerLayout(
    string? EmbeddingNorm, string? FinalNorm, bool NormAfterPooling = false, bool IsCausal = false, bool HasQueryKeyValueBias = true, uint FirstDropoutSite = 0);
