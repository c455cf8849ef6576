using System.Globalization;

namespace CrossAlign.Models.Profiling;

/// <summary>Writes amounts of memory for people.</summary>
public static class MemoryText
{
    /// <summary>An amount in the unit that suits it: KiB, MiB or GiB.</summary>
    /// <param name="byteCount">Bytes.</param>
    /// <returns>As in <c>1.5 GiB</c>.</returns>
    public static string Of(long byteCount) =>
        byteCount >= 1L << 30 ? string.Create(CultureInfo.InvariantCulture, $"{byteCount / (double)(1L << 30):F1} GiB")
        : byteCount >= 1L << 20 ? string.Create(CultureInfo.InvariantCulture, $"{byteCount / (double)(1L << 20):F1} MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{byteCount / 1024.0:F1} KiB");
}
