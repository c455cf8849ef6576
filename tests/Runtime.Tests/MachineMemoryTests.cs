namespace CrossAlign.Runtime.Tests;

public sealed class MachineMemoryTests
{
    [Fact]
    public void AMachineHasSomethingLeftAndNotMoreThanItHas()
    {
        long available = MachineMemory.AvailableByteCount();
        Assert.InRange(available, 1L << 20, 1L << 50);
    }

    [Fact]
    public void TheKernelsEstimateIsRead()
    {
        Assert.Equal(23_456L * 1024, MachineMemory.ParseMemAvailable("MemTotal:       24000 kB\nMemFree:  1 kB\nMemAvailable:   23456 kB\n"));
        Assert.Null(MachineMemory.ParseMemAvailable("MemTotal:       24000 kB\n"));
        Assert.Null(MachineMemory.ParseMemAvailable(null));
    }

    [Fact]
    public void AContainersLimitLeavesWhatIsNotUsed()
    {
        Assert.Equal(700, MachineMemory.RoomOfGroup("1000\n", "500\n", "anon 300\ninactive_file 200\nactive_file 0\n"));
        Assert.Equal(0, MachineMemory.RoomOfGroup("1000", "1500", null));
        Assert.Null(MachineMemory.RoomOfGroup("max\n", "500\n", null));
        Assert.Null(MachineMemory.RoomOfGroup(null, null, null));
    }
}
