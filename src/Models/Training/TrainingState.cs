using System.Text.Json;

namespace CrossAlign.Models.Training;

/// <summary>
/// <c>state.json</c> of a checkpoint: where a run stands. Together with weights and moments it is all that resuming needs, since
/// every random number is a function of the key and the step. It holds no clock time, so equal runs have equal files.
/// </summary>
public sealed record TrainingState
{
    /// <summary>The format that this program writes.</summary>
    public const string CurrentSchema = "crossalign/state/1";

    /// <summary>The format.</summary>
    public string Schema { get; init; } = CurrentSchema;

    /// <summary>Steps done.</summary>
    public required int Step { get; init; }

    /// <summary>Times that the training concepts have been gone through, as a fraction.</summary>
    public required double Epoch { get; init; }

    /// <summary>Pictures trained on.</summary>
    public required long ExamplesConsumed { get; init; }

    /// <summary>Key of all random numbers: the seed.</summary>
    public required long RandomKey { get; init; }

    /// <summary>The best mean R@1 on the validation concepts so far; null before the first evaluation.</summary>
    public double? BestMean { get; init; }

    /// <summary>The step of <see cref="BestMean"/>.</summary>
    public int? BestStep { get; init; }

    /// <summary>Writes the state.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">The file cannot be written.</exception>
    public void Write(string path) => AtomicFile.WriteText(path, JsonSerializer.Serialize(this, TrainingStateJson.Default.TrainingState) + "\n");

    /// <summary>Reads a state.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The state.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, is damaged, or was written by another version.</exception>
    public static TrainingState Read(string path)
    {
        TrainingState? state;
        try
        {
            state = JsonSerializer.Deserialize(File.ReadAllBytes(path), TrainingStateJson.Default.TrainingState);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new UserErrorException($"'{path}' cannot be read: {e.Message}", "remove this checkpoint's folder and resume from an earlier one", e);
        }

        return state is { Schema: CurrentSchema }
            ? state
            : throw new UserErrorException($"'{path}' has the format '{state?.Schema}', not '{CurrentSchema}'", "resume it with the version that wrote it");
    }
}
