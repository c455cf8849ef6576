using System.Globalization;

namespace CrossAlign.Runtime;

/// <summary>How much memory the machine, or the container that the program runs in, has left.</summary>
public static class MachineMemory
{
    /// <summary>Bytes that can be taken without swapping, as the operating system estimates it; within a container no more than its limit leaves.</summary>
    /// <returns>Bytes.</returns>
    public static long AvailableByteCount()
    {
        if (OperatingSystem.IsLinux() && ParseMemAvailable(Read("/proc/meminfo")) is long available)
        {
            // Version 2 of control groups, then version 1; a process sees its own group at the root of the mount.
            long room = RoomOfGroup(Read("/sys/fs/cgroup/memory.max"), Read("/sys/fs/cgroup/memory.current"), Read("/sys/fs/cgroup/memory.stat"))
                ?? RoomOfGroup(
                    Read("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Read("/sys/fs/cgroup/memory/memory.usage_in_bytes"), Read("/sys/fs/cgroup/memory/memory.stat"))
                ?? long.MaxValue;
            return Math.Min(available, room);
        }

        GCMemoryInfo info = GC.GetGCMemoryInfo();
        if (info.Index == 0)
        {
            // Its figures are those of the last collection, and there was none yet.
            GC.Collect(0);
            info = GC.GetGCMemoryInfo();
        }

        return Math.Max(0, info.TotalAvailableMemoryBytes - info.MemoryLoadBytes);
    }

    /// <summary>MemAvailable of <c>/proc/meminfo</c>.</summary>
    /// <param name="text">The file, or null.</param>
    /// <returns>Bytes, or null where it says nothing.</returns>
    internal static long? ParseMemAvailable(string? text) => Field(text, "MemAvailable:") * 1024;

    /// <summary>What a control group's limit leaves: the limit less what is used, but for cached files that would be given up.</summary>
    /// <param name="limit">The file with the limit: a number, or <c>max</c> for none.</param>
    /// <param name="used">The file with what is used.</param>
    /// <param name="statistics">The file with what that consists of.</param>
    /// <returns>Bytes, or null where there is no limit.</returns>
    internal static long? RoomOfGroup(string? limit, string? used, string? statistics)
    {
        if (Number(limit) is not long most || Number(used) is not long taken)
        {
            return null;
        }

        long cached = Field(statistics, "inactive_file") ?? 0;
        return Math.Max(0, most - Math.Max(0, taken - cached));
    }

    private static long? Field(string? text, string name)
    {
        foreach (string line in (text ?? string.Empty).Split('\n'))
        {
            if (line.StartsWith(name, StringComparison.Ordinal))
            {
                return Number(line[name.Length..].Replace("kB", string.Empty, StringComparison.Ordinal));
            }
        }

        return null;
    }

    private static long? Number(string? text) =>
        long.TryParse(text?.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : null;

    private static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not every system has these files, or lets everybody read them.
            return null;
        }
    }
}
