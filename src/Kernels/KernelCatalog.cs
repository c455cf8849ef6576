using System.Reflection;

namespace CrossAlign.Kernels;

/// <summary>Which operations there are, and which backends have them: read off the assembly itself, so that it cannot be out of date.</summary>
public static class KernelCatalog
{
    private const string Entry = ".visible .entry ";

    private static readonly Lazy<KernelCatalogEntry[]> s_operations = new(Read);

    /// <summary>The operations in the order of their names.</summary>
    public static IReadOnlyList<KernelCatalogEntry> Operations => s_operations.Value;

    private static KernelCatalogEntry[] Read()
    {
        Assembly assembly = typeof(KernelCatalog).Assembly;
        Type[] types = assembly.GetTypes();
        HashSet<string> backends = [.. types.Where(t => t.IsNotPublic && t.IsAbstract && t.IsSealed).Select(t => t.Name)];

        // An operation is a public class of static methods that has a twin for the CPU.
        string[] names = [.. types
            .Where(t => t.IsPublic && t.IsAbstract && t.IsSealed && backends.Contains($"Cpu{t.Name}"))
            .Select(t => t.Name)
            .Order(StringComparer.Ordinal)];
        ILookup<string, string> kernels = assembly.GetManifestResourceNames()
            .Where(r => r.EndsWith(".ptx", StringComparison.Ordinal))
            .SelectMany(r => KernelsOf(assembly, r).Select(kernel => (Operation: OperationOf(Path.GetFileNameWithoutExtension(r), names), Kernel: kernel)))
            .ToLookup(pair => pair.Operation, pair => pair.Kernel, StringComparer.Ordinal);
        return [.. names.Select(name => new KernelCatalogEntry(
            name,
            backends.Contains($"Cuda{name}"),
            [.. kernels[name].Order(StringComparer.Ordinal)]))];
    }

    // attention_64.ptx belongs to Attention: the longest name that the stem begins with, whatever stands between its words.
    private static string OperationOf(string stem, string[] names)
    {
        string joined = stem.Replace("_", string.Empty, StringComparison.Ordinal);
        return names.Where(n => joined.StartsWith(n, StringComparison.OrdinalIgnoreCase)).MaxBy(n => n.Length) ?? stem;
    }

    private static IEnumerable<string> KernelsOf(Assembly assembly, string resource)
    {
        using Stream stream = assembly.GetManifestResourceStream(resource)!;
        using StreamReader reader = new(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith(Entry, StringComparison.Ordinal))
            {
                yield return line[Entry.Length..].TrimEnd('(', ')', ' ');
            }
        }
    }
}
