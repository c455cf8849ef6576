using System.Globalization;

namespace CrossAlign.Runtime.Cuda.Emulation;

/// <summary>Makes the kernels of a PTX text, or says why it is none. Behind a C boundary, as behind the driver's, no other exception may pass.</summary>
internal static class PtxLoader
{
    /// <summary>Parses and decodes a module.</summary>
    /// <param name="text">The PTX.</param>
    /// <param name="capability">The device's compute capability: 80.</param>
    /// <returns>The target that the module names, and its kernels.</returns>
    /// <exception cref="PtxException">
    /// The text is broken or not for this driver; an inner exception is there only where a check of the parser was missing.
    /// </exception>
    public static (int Target, PtxKernel[] Kernels) Load(string text, int capability)
    {
        PtxText module = Guarded(1, () => PtxParser.Parse(text));
        if (module.Version is < 60 or > 84)
        {
            throw new PtxException(0, string.Create(CultureInfo.InvariantCulture, $"PTX version {module.Version / 10}.{module.Version % 10} is unknown to the driver"));
        }

        // Before the decoder meets what only a newer device has.
        RequireTarget(module.Target, capability);

        // Of the text, which the cache of modules keeps anyway, and not of what was parsed here.
        Lazy<IReadOnlyDictionary<string, int>> liveRegisters = new(() => PtxParser.Parse(text).Entries.ToDictionary(e => e.Name, e => LiveRegisters.Count(e).Count));
        return (module.Target, [.. module.Entries.Select(e => Guarded(e.Statements.Count > 0 ? e.Statements[0].Line : 1, () => PtxDecoder.Decode(module, e, liveRegisters)))]);
    }

    /// <summary>Refuses a module that is for a newer device.</summary>
    /// <exception cref="PtxException">It is; a line below 0 says that the target is wrong, not the text.</exception>
    public static void RequireTarget(int target, int capability)
    {
        if (target > capability)
        {
            throw new PtxException(-1, string.Create(CultureInfo.InvariantCulture, $"the module is for GPUs from sm_{target} on, the device is sm_{capability}"));
        }
    }

    private static T Guarded<T>(int line, Func<T> load)
    {
        try
        {
            return load();
        }
#pragma warning disable CA1031 // a text that nobody foresaw is a broken text, not a failure of the process that asked to load it
        catch (Exception e) when (e is not PtxException and not OutOfMemoryException)
#pragma warning restore CA1031
        {
            throw new PtxException(line, string.Create(CultureInfo.InvariantCulture, $"PTX line {line} or behind it is not understood ({e.Message})."), e);
        }
    }
}
