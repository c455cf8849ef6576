using System.Text.Json;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Checkpoints.Hub;

/// <summary>What the hub says of a model: its commit, its licence, and the files that a tower needs, weights as safetensors only.</summary>
/// <param name="Commit">The commit, or the revision where the hub names none.</param>
/// <param name="Licence">The licence of the model's card; empty for none.</param>
/// <param name="Files">The files to fetch, in ordinal order.</param>
internal sealed partial record HubListing(string Commit, string Licence, IReadOnlyList<HubFile> Files)
{
    /// <summary>Asks the hub.</summary>
    /// <param name="client">The hub.</param>
    /// <param name="name">The model.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The listing.</returns>
    /// <exception cref="UserErrorException">There is no such model, it may not be read, or it has no weights that are read here.</exception>
    public static async Task<HubListing> ReadAsync(HubClient client, HubModelName name, CancellationToken cancellationToken)
    {
        string what = $"model '{name}'";
        bool isMain = name.Revision == HubModelName.MainRevision;
        string revision = Uri.EscapeDataString(name.Revision);
        byte[]? bytes = await client.ReadAsync(client.At($"api/models/{name.Id}/revision/{revision}?blobs=true"), what, isMain, cancellationToken).ConfigureAwait(false);
        bytes ??= await client.ReadAsync(client.At($"api/models/{name.Id}?blobs=true"), what, optional: false, cancellationToken).ConfigureAwait(false);
        try
        {
            using JsonDocument json = JsonDocument.Parse(bytes);
            JsonElement root = json.RootElement;
            string commit = Text(root, "sha") is string sha && Commits().IsMatch(sha) ? sha : name.Revision;
            string licence = root.TryGetProperty("cardData", out JsonElement card) && card.ValueKind == JsonValueKind.Object ? Text(card, "license") ?? string.Empty : string.Empty;
            Dictionary<string, HubFile> files = new(StringComparer.Ordinal);
            foreach (JsonElement sibling in root.GetProperty("siblings").EnumerateArray())
            {
                if (Text(sibling, "rfilename") is string path)
                {
                    files[path] = FileOf(sibling, path, "blobId");
                }
            }

            string[] chosen = Choose(name, [.. files.Keys]);
            if (chosen.Any(p => files[p].ByteCount is null))
            {
                await AddSizesAsync(client, name, commit, files, cancellationToken).ConfigureAwait(false);
            }

            return new(commit, licence, [.. chosen.Select(p => files[p])]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new UserErrorException($"the hub's answer for {what} is not understood: {e.Message}", $"check {HubOptions.EndpointVariable}", e);
        }
    }

    // Files whose names a tower, its tokenizer, its preprocessor and a sentence-transformers folder have. A name outside of the folder is none of them.
    private static string[] Choose(HubModelName name, HashSet<string> paths)
    {
        // A sentence-transformers folder may have its tower in the folder of its first module.
        string tower = paths.Contains(CheckpointFolder.ConfigName) ? string.Empty
            : paths.Where(p => TowerConfigs().IsMatch(p)).Select(p => p[..^CheckpointFolder.ConfigName.Length]).Order(StringComparer.Ordinal).FirstOrDefault(string.Empty);
        string[] ofTower = [.. paths.Where(p => p.StartsWith(tower, StringComparison.Ordinal)).Select(p => p[tower.Length..])];
        string[] companions = [.. paths.Where(IsCompanion).Concat(ofTower.Where(IsCompanion).Select(p => tower + p))];
        if (!paths.Contains(tower + CheckpointFolder.ConfigName))
        {
            throw new UserErrorException($"model '{name}' has no {CheckpointFolder.ConfigName}", "name the checkpoint of a tower in the form of transformers");
        }

        string[] weights = ofTower.Contains(CheckpointTensors.FileName) ? [CheckpointTensors.FileName]
            : ofTower.Contains(CheckpointTensors.IndexName) ? [CheckpointTensors.IndexName, .. ofTower.Where(p => Shards().IsMatch(p))]
            : throw NoWeights(name, ofTower.Any(p => Pickles().IsMatch(p)) ? "has its weights as pytorch_model.bin only, a pickle that can run code and is not read" : $"has no {tower}{CheckpointTensors.FileName}");
        foreach (string folder in companions.Where(p => p.Contains('/', StringComparison.Ordinal)).Select(p => p[..p.IndexOf('/', StringComparison.Ordinal)]).Distinct(StringComparer.Ordinal))
        {
            if (folder + "/" != tower && paths.Contains(folder + "/pytorch_model.bin") && !paths.Contains($"{folder}/{CheckpointTensors.FileName}"))
            {
                throw NoWeights(name, $"has the weights of '{folder}' as pytorch_model.bin only, a pickle that can run code and is not read");
            }
        }

        return [.. companions.Concat(weights.Select(w => tower + w)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

        static bool IsCompanion(string path) => Companions().IsMatch(path) && !OtherWeights().IsMatch(path);
    }

    private static UserErrorException NoWeights(HubModelName name, string problem) => new(
        $"model '{name}' {problem}",
        $"ask its owner, or convert it once: python -c \"from transformers import AutoModel, AutoTokenizer; AutoModel.from_pretrained('{name.Id}').save_pretrained('DIR'); AutoTokenizer.from_pretrained('{name.Id}').save_pretrained('DIR')\", and give DIR");

    private static HubFile FileOf(JsonElement entry, string path, string gitKey)
    {
        JsonElement large = entry.TryGetProperty("lfs", out JsonElement lfs) && lfs.ValueKind == JsonValueKind.Object ? lfs : default;
        bool isLarge = large.ValueKind == JsonValueKind.Object;
        string? sha256 = isLarge ? Text(large, "sha256") ?? Text(large, "oid") : null;
        sha256 = sha256?.StartsWith("sha256:", StringComparison.Ordinal) == true ? sha256[7..] : sha256;
        long? size = Number(entry, "size") ?? (isLarge ? Number(large, "size") : null);
        return new(path, size, sha256, isLarge ? null : Text(entry, gitKey));
    }

    private static async Task AddSizesAsync(HubClient client, HubModelName name, string commit, Dictionary<string, HubFile> files, CancellationToken cancellationToken)
    {
        Uri uri = client.At($"api/models/{name.Id}/tree/{Uri.EscapeDataString(commit)}?recursive=true");
        if (await client.ReadAsync(uri, $"list of model '{name}'", optional: true, cancellationToken).ConfigureAwait(false) is not byte[] bytes)
        {
            return;
        }

        using JsonDocument json = JsonDocument.Parse(bytes);
        foreach (JsonElement entry in json.RootElement.EnumerateArray())
        {
            if (Text(entry, "path") is string path && files.ContainsKey(path))
            {
                files[path] = FileOf(entry, path, "oid");
            }
        }
    }

    private static string? Text(JsonElement element, string key) =>
        element.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long? Number(JsonElement element, string key) =>
        element.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) && number >= 0 ? number : null;

    [GeneratedRegex(@"\A[0-9a-f]{40}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Commits();

    [GeneratedRegex(@"\A(([0-9]+_[A-Za-z]+/)(config\.json|model\.safetensors)|[A-Za-z0-9_][A-Za-z0-9._-]*\.(json|txt|model)|README\.md|(LICENSE|LICENCE|NOTICE)(\.txt|\.md)?)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Companions();

    [GeneratedRegex(@"\A0_[A-Za-z]+/config\.json\z", RegexOptions.CultureInvariant)]
    private static partial Regex TowerConfigs();

    [GeneratedRegex(@"\.index\.json\z", RegexOptions.CultureInvariant)]
    private static partial Regex OtherWeights();

    [GeneratedRegex(@"\Amodel-[0-9]+-of-[0-9]+\.safetensors\z", RegexOptions.CultureInvariant)]
    private static partial Regex Shards();

    [GeneratedRegex(@"\Apytorch_model.*\.bin\z", RegexOptions.CultureInvariant)]
    private static partial Regex Pickles();
}
