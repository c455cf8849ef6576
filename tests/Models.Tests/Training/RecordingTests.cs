using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using CrossAlign.Models.Training;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Models.Training.Recording;

namespace CrossAlign.Models.Tests.Training;

public sealed class RecordingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("crossalign-test-").FullName;

    [Fact]
    public void ResumingCutsTheMetricsBackToTheCheckpointEvenAfterAHalfWrittenLine()
    {
        string path = Path.Combine(_folder, "metrics.jsonl");
        using (MetricsLog log = new(path, 0))
        {
            for (int step = 1; step <= 5; step++)
            {
                log.Append(w => w.WriteNumber("step", step));
            }
        }

        File.AppendAllText(path, "{\"step\":6,\"lo");
        using (MetricsLog log = new(path, 3))
        {
            log.Append(w => w.WriteNumber("step", 4));
        }

        Assert.Equal(["{\"step\":1}", "{\"step\":2}", "{\"step\":3}", "{\"step\":4}"], File.ReadAllLines(path));
    }

    [Fact]
    public void ADamagedLogIsKeptBesideTheNewOne()
    {
        string path = Path.Combine(_folder, "metrics.jsonl");
        File.WriteAllText(path, "{\"step\":1}\nrubbish\n");
        using (MetricsLog log = new(path, 3))
        {
            Assert.Equal(1, log.LastKeptStep);
        }

        Assert.Equal(["{\"step\":1}"], File.ReadAllLines(path));
        Assert.Equal(["{\"step\":1}", "rubbish"], File.ReadAllLines(path + MetricsLog.DamagedSuffix));
    }

    [Fact]
    public void TheEventFileHoldsWellFormedRecords()
    {
        using (EventFile file = new(_folder, TimeProvider.System))
        {
            file.Add("train/loss", 7, 0.5);
        }

        byte[] bytes = File.ReadAllBytes(Assert.Single(Directory.GetFiles(_folder)));
        List<byte[]> records = [];
        for (int at = 0; at < bytes.Length;)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            Assert.Equal(Masked(bytes.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)));
            records.Add(bytes.AsSpan(at + 12, length).ToArray());
            Assert.Equal(Masked(records[^1]), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)));
            at += 16 + length;
        }

        Assert.Equal(2, records.Count);
        Assert.Contains("brain.Event:2", Encoding.Latin1.GetString(records[0]), StringComparison.Ordinal);

        // step (field 2) = 7; summary (5) { value (1) { tag (1) "train/loss", simple_value (2) 0.5f } }
        byte[] tail = [0x10, 7, 0x2A, 19, 0x0A, 17, 0x0A, 10, .. "train/loss"u8, 0x15, 0, 0, 0, 0x3F];
        Assert.Equal(tail, records[1][9..]);
    }

    [Theory]
    [InlineData(1, 0.1)]
    [InlineData(10, 1.0)]
    [InlineData(55, 0.5)]
    [InlineData(100, 0.0)]
    public void TheCosineScheduleRisesThenFalls(int step, double factor) =>
        Assert.Equal(factor, new LearningRateSchedule(new ScheduleConfig(), 100, 10).Factor(step), 12);

    [Theory]
    [InlineData(1, 1.0)]
    [InlineData(10, 1.0)]
    [InlineData(11, 0.9)]
    [InlineData(100, 0.1)]
    public void ThePapersScheduleFallsAtTheEndsOfEpochs(int step, double factor) =>
        Assert.Equal(factor, new LearningRateSchedule(new ScheduleConfig { Warmup = 0, Shape = ScheduleShape.EpochLinear }, 100, 10).Factor(step), 12);

    [Fact]
    public void TheAlarmRingsForALossThatIsNotFiniteAndForOneStuckAtGuessing()
    {
        LossAlarm alarm = new(Math.Log(128), 3, 2);
        Assert.Null(alarm.Look(1, 4.9, 1));
        Assert.Null(alarm.Look(3, 4.85, 1));
        Assert.Null(alarm.Look(4, 4.85, 1));
        Assert.Contains("guessing", alarm.Look(5, 4.85, 1), StringComparison.Ordinal);
        Assert.Null(alarm.Look(6, 3, 1));
        Assert.Contains("NaN", alarm.Look(7, double.NaN, 1), StringComparison.Ordinal);
    }

    [Fact]
    public void TheAlarmNamesAGradientThatIsNotFiniteThoughTheLossIs()
    {
        LossAlarm alarm = new(Math.Log(128), 3, 2);
        string? of = alarm.Look(12, 3.25, double.PositiveInfinity);
        Assert.StartsWith("the gradient of step 12 has the norm Infinity, though its loss is 3.25: no weight was changed; ", of, StringComparison.Ordinal);
        Assert.Contains("no weight was changed", alarm.Look(13, double.NaN, double.NaN), StringComparison.Ordinal);
        Assert.DoesNotContain("no weight was changed", alarm.Look(14, double.NaN, 2), StringComparison.Ordinal);
        Assert.Null(alarm.Look(15, 3, 2));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        crc = ~crc;
        return BitOperations.RotateRight(crc, 15) + 0xA282EAD8;
    }
}
