namespace CrossAlign.Runtime.Tests;

public sealed class OperationLogTests
{
    [Fact]
    public void ADeviceWithoutALogTimesNothing()
    {
        using CpuDevice device = new(1);
        using (OperationTimer.Start(device, "A"))
        {
            Assert.Null(device.Operations);
        }
    }

    [Fact]
    public void CallsTimeAndArithmeticAreAddedUpByName()
    {
        using CpuDevice device = new(1) { Operations = new OperationLog() };
        for (int i = 0; i < 3; i++)
        {
            using OperationTimer timer = OperationTimer.Start(device, "slow", 10);
            Thread.Sleep(5);
        }

        using (OperationTimer.Start(device, "quick"))
        {
            device.Operations.AddArithmetic("quick", 7);
        }

        IReadOnlyList<OperationTotal> totals = device.Operations.Totals();
        Assert.Equal(["slow", "quick"], totals.Select(t => t.Name));
        Assert.Equal((3, 30), (totals[0].Calls, totals[0].Arithmetic));
        Assert.Equal((1, 7), (totals[1].Calls, totals[1].Arithmetic));
        Assert.InRange(totals[0].Time.TotalMilliseconds, 14, 10_000);
        device.Operations.Clear();
        Assert.Empty(device.Operations.Totals());
    }

    [Fact]
    public void AnOperationWithinAnotherCountsWithThatOne()
    {
        using CpuDevice device = new(1) { Operations = new OperationLog() };
        using (OperationTimer.Start(device, "outer", 2))
        {
            using (OperationTimer.Start(device, "inner", 100))
            {
                device.Operations.AddArithmetic("inner", 100);
            }
        }

        OperationTotal total = Assert.Single(device.Operations.Totals());
        Assert.Equal(("outer", 1, 2), (total.Name, total.Calls, total.Arithmetic));
    }
}
