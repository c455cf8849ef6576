using System.Globalization;

namespace CrossAlign.Models.Training;

/// <summary>The places in a run's folder, and which checkpoints stay in it.</summary>
/// <param name="path">The folder.</param>
public sealed class RunFolder(string path)
{
    private const string StepPrefix = "step-";
    private const string Unfinished = ".unfinished";

    /// <summary>The folder.</summary>
    public string FullPath { get; } = Path.GetFullPath(path);

    /// <summary>The complete configuration.</summary>
    public string ConfigPath => Path.Combine(FullPath, "config.json");

    /// <summary>What the run ran on and how it ended.</summary>
    public string RecordPath => Path.Combine(FullPath, "run.json");

    /// <summary>A line a step or evaluation.</summary>
    public string MetricsPath => Path.Combine(FullPath, "metrics.jsonl");

    /// <summary>The folder of checkpoints.</summary>
    public string CheckpointsPath => Path.Combine(FullPath, "checkpoints");

    /// <summary>The folder of one checkpoint.</summary>
    /// <param name="step">Its step.</param>
    /// <returns>The path, whether or not it is there.</returns>
    public string CheckpointPath(int step) =>
        Path.Combine(CheckpointsPath, string.Create(CultureInfo.InvariantCulture, $"{StepPrefix}{step:D8}"));

    /// <summary>The steps of the checkpoints on disk, in order.</summary>
    /// <returns>Complete ones only: a checkpoint gets its name when it is whole.</returns>
    public int[] CheckpointSteps() => Directory.Exists(CheckpointsPath)
        ? [.. Directory.GetDirectories(CheckpointsPath, StepPrefix + "*").Select(StepOf).Where(s => s >= 0).Order()]
        : [];

    /// <summary>The checkpoint that the run goes on from.</summary>
    /// <returns>Its folder; null where there is none yet.</returns>
    public string? LatestCheckpoint() => CheckpointSteps() is [.., int latest] ? CheckpointPath(latest) : null;

    /// <summary>The checkpoint that the run gives: the one that <c>best</c> or <c>last</c> names.</summary>
    /// <returns>Its folder.</returns>
    /// <exception cref="UserErrorException">The folder is no run, or has no checkpoint yet.</exception>
    public string KeptCheckpoint()
    {
        foreach (string name in (string[])["best", "last"])
        {
            string file = Path.Combine(CheckpointsPath, name);
            if (File.Exists(file))
            {
                string folder = Path.Combine(CheckpointsPath, File.ReadAllText(file).Trim());
                if (Directory.Exists(folder))
                {
                    return folder;
                }
            }
        }

        throw new UserErrorException(
            Directory.Exists(FullPath) ? $"'{FullPath}' has no finished checkpoint" : $"there is no folder '{FullPath}'",
            File.Exists(ConfigPath) ? "continue it with train --resume" : "give a folder that train wrote");
    }

    /// <summary>Writes a checkpoint under its name only when it is whole.</summary>
    /// <param name="step">Its step.</param>
    /// <param name="write">Writes its files into the folder given.</param>
    /// <exception cref="UserErrorException">A file cannot be written; earlier checkpoints are untouched.</exception>
    public void WriteCheckpoint(int step, Action<string> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        string final = CheckpointPath(step);
        string temporary = final + Unfinished;
        try
        {
            DeleteIfThere(temporary);
            Directory.CreateDirectory(temporary);
            write(temporary);
            DeleteIfThere(final);
            Directory.Move(temporary, final);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or UserErrorException)
        {
            // What fills a disk must not stay on it.
            TryDelete(temporary);
            throw new UserErrorException($"the checkpoint '{final}' could not be written: {(e as UserErrorException)?.What ?? e.Message}", "free some space and continue with train --resume", e);
        }
    }

    /// <summary>Names the checkpoint that the run gives.</summary>
    /// <param name="name"><c>best</c> or <c>last</c>.</param>
    /// <param name="step">Its step.</param>
    public void Name(string name, int step) =>
        AtomicFile.WriteText(Path.Combine(CheckpointsPath, name), Path.GetFileName(CheckpointPath(step)) + "\n");

    /// <summary>Removes checkpoints and leavings of a run that was killed.</summary>
    /// <param name="keep">Which steps stay.</param>
    public void RemoveCheckpoints(Func<int, bool> keep)
    {
        ArgumentNullException.ThrowIfNull(keep);
        foreach (int step in CheckpointSteps())
        {
            if (!keep(step))
            {
                DeleteIfThere(CheckpointPath(step));
            }
        }

        foreach (string leftover in Directory.GetDirectories(CheckpointsPath, StepPrefix + "*" + Unfinished))
        {
            DeleteIfThere(leftover);
        }
    }

    private static void TryDelete(string folder)
    {
        try
        {
            DeleteIfThere(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The first error is the one to report; the next run removes what is left.
        }
    }

    private static void DeleteIfThere(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static int StepOf(string folder) =>
        int.TryParse(Path.GetFileName(folder).AsSpan(StepPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int step) ? step : -1;
}
