namespace CrossAlign.Runtime.Cuda;

/// <summary>A mark that is an event of the device's stream.</summary>
internal sealed class CudaOperationMark(CudaDevice device) : OperationMark
{
    private readonly CudaEvent _event = new(device, measuresTime: true);

    public void Record() => _event.Record(device.Stream);

    public override TimeSpan Until(OperationMark later)
    {
        CudaEvent end = ((CudaOperationMark)later)._event;
        end.Synchronize();
        return TimeSpan.FromMilliseconds(_event.ElapsedMs(end));
    }

    public override void GiveBack() => device.GiveBack(this);

    public override void Dispose() => _event.Dispose();
}
