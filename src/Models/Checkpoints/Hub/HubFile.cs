namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>A file of a model of the hub.</summary>
/// <param name="Path">Its path in the model's folder.</param>
/// <param name="ByteCount">Its size; null where the hub's list does not say.</param>
/// <param name="Sha256">SHA-256 of a large file; null for others.</param>
/// <param name="GitSha1">Git's name of a small file's content (SHA-1 with a header); null where the list does not say.</param>
internal sealed record HubFile(string Path, long? ByteCount, string? Sha256, string? GitSha1);
