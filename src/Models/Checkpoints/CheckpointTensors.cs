using System.Diagnostics.CodeAnalysis;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Checkpoints;

/// <summary>The tensors of a published checkpoint: one <c>model.safetensors</c>, or the shards that <c>model.safetensors.index.json</c> lists.</summary>
public sealed class CheckpointTensors : IDisposable
{
    /// <summary>The file of a checkpoint that is not sharded.</summary>
    public const string FileName = "model.safetensors";

    /// <summary>The list of shards.</summary>
    public const string IndexName = "model.safetensors.index.json";

    private readonly List<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _owners = new(StringComparer.Ordinal);

    private CheckpointTensors(string source, List<SafetensorsFile> files)
    {
        Source = source;
        _files = files;
        foreach (SafetensorsFile file in files)
        {
            foreach (SafetensorsEntry entry in file.Entries)
            {
                if (!_owners.TryAdd(entry.Name, file))
                {
                    throw new UserErrorException($"'{entry.Name}' stands in '{_owners[entry.Name].Path}' and in '{file.Path}'", "fetch the checkpoint again");
                }
            }
        }
    }

    /// <summary>The folder or file, for messages.</summary>
    public string Source { get; }

    /// <summary>All names, in ordinal order.</summary>
    public IEnumerable<string> Names => _owners.Keys.Order(StringComparer.Ordinal);

    /// <summary>How many tensors there are.</summary>
    public int Count => _owners.Count;

    /// <summary>Opens the weights of a checkpoint folder.</summary>
    /// <param name="folder">The folder; one of sentence-transformers may have them in its first module's folder.</param>
    /// <returns>The open files, owned by the caller.</returns>
    /// <exception cref="UserErrorException">There are no safetensors files, a shard is missing or does not fit the index, or a file is not sound. A folder with only <c>pytorch_model.bin</c>, or the index of its shards, is refused with the way to convert it.</exception>
    public static CheckpointTensors Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        folder = SentenceTransformersReader.TowerIn(folder);
        string single = Path.Combine(folder, FileName);
        string index = Path.Combine(folder, IndexName);
        if (File.Exists(single))
        {
            return OpenAll(folder, [single]);
        }

        if (File.Exists(index))
        {
            return OpenShards(folder, index);
        }

        if (Directory.Exists(folder) && Directory.EnumerateFiles(folder, "pytorch_model*.bin*").Any(IsPickle))
        {
            throw new UserErrorException(
                $"'{folder}' has its weights as pytorch_model.bin, a pickle that can run code and is not read",
                "convert it once: python -c \"from transformers import AutoModel; AutoModel.from_pretrained('DIR').save_pretrained('DIR', safe_serialization=True)\"");
        }

        throw new UserErrorException(
            Directory.Exists(folder) ? $"'{folder}' has no {FileName}" : $"there is no folder '{folder}'", "name a checkpoint folder with config.json and model.safetensors");
    }

    /// <summary>Opens one safetensors file as a checkpoint.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The open file, owned by the caller.</returns>
    /// <exception cref="UserErrorException">The file is not sound.</exception>
    public static CheckpointTensors OpenFile(string path) => OpenAll(path, [path]);

    /// <summary>What the checkpoint says of a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="entry">The entry, or null.</param>
    /// <returns>False where there is no such tensor.</returns>
    public bool TryGetEntry(string name, [NotNullWhen(true)] out SafetensorsEntry? entry)
    {
        entry = _owners.TryGetValue(name, out SafetensorsFile? file) ? file.Entry(name) : null;
        return entry is not null;
    }

    /// <summary>Reads a tensor as float32.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The elements, row-major.</returns>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public float[] ReadSingles(string name) => OwnerOf(name).ReadSingles(name);

    /// <summary>Reads a tensor as float32 into a tensor of a device.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">float32 with as many elements; overwritten.</param>
    /// <exception cref="UserErrorException">There is no such tensor or it is not one of floating-point numbers.</exception>
    public void ReadSingles(string name, in Tensor destination) => OwnerOf(name).ReadSingles(name, destination);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafetensorsFile file in _files)
        {
            file.Dispose();
        }
    }

    private static bool IsPickle(string path) => path.EndsWith(".bin", StringComparison.Ordinal) || path.EndsWith(".bin.index.json", StringComparison.Ordinal);

    private SafetensorsFile OwnerOf(string name) => _owners.TryGetValue(name, out SafetensorsFile? file)
        ? file
        : throw new UserErrorException($"'{Source}' has no tensor '{name}'", "check that it is the checkpoint meant");

    private static CheckpointTensors OpenShards(string folder, string index)
    {
        Dictionary<string, string> fileOf = ReadIndex(index);
        CheckpointTensors tensors = OpenAll(folder, [.. fileOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(f => Path.Combine(folder, f))]);
        List<string> wrong = [];
        foreach ((string name, string file) in fileOf.OrderBy(p => p.Key, StringComparer.Ordinal))
        {
            if (!tensors._owners.TryGetValue(name, out SafetensorsFile? owner) || Path.GetFileName(owner.Path) != file)
            {
                wrong.Add($"missing in {file}: {name}");
            }
        }

        wrong.AddRange(tensors.Names.Where(n => !fileOf.ContainsKey(n)).Select(n => $"not in the index: {n}"));
        if (wrong.Count == 0)
        {
            return tensors;
        }

        tensors.Dispose();
        throw new UserErrorException($"the shards in '{folder}' do not fit {IndexName}", "fetch the checkpoint again") { Details = wrong };
    }

    /// <summary>The files that an index of shards names.</summary>
    /// <param name="index">The index.</param>
    /// <returns>Their names, each once, in ordinal order.</returns>
    /// <exception cref="UserErrorException">The index is none, or names what is no file beside it.</exception>
    internal static IReadOnlyList<string> ShardsOf(string index) => [.. ReadIndex(index).Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    private static Dictionary<string, string> ReadIndex(string path)
    {
        const string Again = "fetch the checkpoint again";
        JsonFields map = new JsonFields(JsonFile.ReadObject(path, Again), $"'{path}'").Object("weight_map");
        Dictionary<string, string> fileOf = new(StringComparer.Ordinal);
        foreach (string name in map.Keys)
        {
            string file = map.OptionalText(name) ?? throw map.Wrong(name, "the name of a file");

            // A name in an index never leads out of the checkpoint's folder.
            if (file.Length == 0 || file != Path.GetFileName(file) || file.AsSpan().ContainsAny('\\', '\0') || file is "." or "..")
            {
                throw new UserErrorException($"'{path}' names '{file}' for '{name}', which is no file beside it", Again);
            }

            fileOf.Add(name, file);
        }

        return fileOf.Count > 0 ? fileOf : throw new UserErrorException($"'{path}': weight_map names no tensor", Again);
    }

    private static CheckpointTensors OpenAll(string source, IReadOnlyList<string> paths)
    {
        List<SafetensorsFile> files = [];
        try
        {
            foreach (string path in paths)
            {
                files.Add(SafetensorsFile.Open(path));
            }

            return new CheckpointTensors(source, files);
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }
    }
}
