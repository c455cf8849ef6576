namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>A model of the hub that lies in the cache.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Commit">The commit that its revision stood for.</param>
/// <param name="Folder">The folder, complete and checked.</param>
/// <param name="ByteCount">The size of its files.</param>
/// <param name="Licence">The licence that its card names; empty where it names none.</param>
/// <param name="FetchedByteCount">How much was fetched just now; 0 where all was there.</param>
/// <param name="Warning">What a person should know: that the hub could not be asked; empty for nothing.</param>
public sealed record HubModel(HubModelName Name, string Commit, string Folder, long ByteCount, string Licence, long FetchedByteCount, string Warning);
