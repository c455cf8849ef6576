using System.Security.Cryptography;
using System.Text;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training.Recording;

/// <summary>Begins the record of one sitting of a run: the time between its start, or its resumption, and its end.</summary>
internal static class SittingRecord
{
    /// <summary>What is known of a sitting before its first step; what the sittings before have counted is taken over.</summary>
    /// <param name="request">What is trained on, where.</param>
    /// <param name="folder">The run's.</param>
    /// <param name="resumed">Whether it goes on from a checkpoint.</param>
    /// <param name="observer">Hears that the run goes on on another device.</param>
    /// <returns>The record, not yet written.</returns>
    /// <exception cref="UserErrorException">Configuration or data are not those that the run was started with.</exception>
    public static RunRecord Open(TrainingRequest request, RunFolder folder, bool resumed, ITrainingObserver observer)
    {
        bool bfloat16Products = request.Config.Precision == Precision.BF16 && Kernels.MatMul.BFloat16UnavailableReason is null;
        RunRecord record = RunRecord.Of(request.Device, request.Data.Name, request.Data.Checksum, bfloat16Products) with { ConfigChecksum = ChecksumOf(request.Config) };
        if (!resumed || !File.Exists(folder.RecordPath))
        {
            return record;
        }

        RunRecord before = RunRecord.Read(folder.RecordPath);
        if (before.ConfigChecksum is not null && before.ConfigChecksum != record.ConfigChecksum)
        {
            throw new UserErrorException(
                $"'{folder.ConfigPath}' is not what the run was started with", "restore it (threads and device may change), or start a new run");
        }

        if (before.DataChecksum != record.DataChecksum)
        {
            throw new UserErrorException(
                $"the data '{record.Data}' is not what the run in '{folder.FullPath}' was started on (checksum {record.DataChecksum}, then {before.DataChecksum})",
                "restore the data, or start a new run");
        }

        if (record.DescribeDevice() != before.DescribeDevice())
        {
            observer.Note(
                $"so far the run was computed on {before.DescribeDevice()}, now on {record.DescribeDevice()}: it goes on from the same state, but its bytes are no longer those of a run that stays on one device");
        }

        return record with
        {
            Started = before.Started,
            Resumed = record.Started,
            TrainingSeconds = before.TrainingSeconds,
            Captions = before.Captions,
            Pictures = before.Pictures,
            SkippedSteps = before.SkippedSteps,
        };
    }

    private static string ChecksumOf(RunConfig config) =>
        "sha256-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(RunConfigJson.WriteDeciding(config))));
}
