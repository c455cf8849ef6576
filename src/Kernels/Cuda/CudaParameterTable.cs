using System.Runtime.InteropServices;
using CrossAlign.Runtime;
using CrossAlign.Runtime.Cuda;

namespace CrossAlign.Kernels.Cuda;

/// <summary>
/// The list of all trained tensors on the device, as <c>parameter_table.cuh</c> reads it, cut into pieces of about equal size: the
/// pieces of a step cover the weights, those of the norm the gradients. Written once.
/// </summary>
internal sealed class CudaParameterTable : IDisposable
{
    public const int ThreadsPerBlock = 256;

    // As in parameter_table.cuh.
    private const int ElementsPerTask = 8192;
    private const int Vector = 4;

    private readonly Tensor _memory;

    public CudaParameterTable(CudaDevice device, ReadOnlySpan<AdamWParameter> parameters, ReadOnlySpan<AdamWScales> scales)
    {
        Device = device;
        Entry[] entries = new Entry[parameters.Length];
        List<Task> stepTasks = [];
        List<Task> normTasks = [];
        for (int i = 0; i < entries.Length; i++)
        {
            AdamWParameter parameter = parameters[i];
            entries[i] = EntryOf(parameter, scales[i]);
            RowSparseGradient sparse = parameter.SparseGradient;
            long stepPieces = sparse.IsPresent
                ? Pieces(parameter.Weight.Shape[0], Math.Max(1, ElementsPerTask / Math.Max(1, parameter.Weight.Shape[1])))
                : Pieces(parameter.Weight.Count, ElementsPerTask);
            long normPieces = Pieces(sparse.IsPresent ? sparse.Values.Count : parameter.Weight.Count, ElementsPerTask);
            AddTasks(stepTasks, i, stepPieces);
            AddTasks(normTasks, i, normPieces);
        }

        StepTaskCount = stepTasks.Count;
        NormTaskCount = normTasks.Count;
        ReadOnlySpan<byte> entryBytes = MemoryMarshal.AsBytes(entries.AsSpan());
        ReadOnlySpan<byte> stepBytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(stepTasks));
        ReadOnlySpan<byte> normBytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(normTasks));
        int settingsByteCount = AdamWSettings.StoredLength * sizeof(float);
        long partialByteCount = (long)NormTaskCount * sizeof(double);
        long stepStart = Aligned(entryBytes.Length);
        long normStart = Aligned(stepStart + stepBytes.Length);
        long settingsStart = Aligned(normStart + normBytes.Length);
        long partialStart = Aligned(settingsStart + settingsByteCount);
        _memory = device.NewTensor(DType.UInt8, new Shape(checked((int)(partialStart + partialByteCount))));
        _memory.Rows(0, entryBytes.Length).CopyFrom(entryBytes);
        _memory.Rows((int)stepStart, stepBytes.Length).CopyFrom(stepBytes);
        _memory.Rows((int)normStart, normBytes.Length).CopyFrom(normBytes);
        Settings = new Tensor(_memory.Memory, settingsStart, DType.Float32, new Shape(AdamWSettings.StoredLength));
        StepTasksOffset = stepStart;
        NormTasksOffset = normStart;
        PartialsOffset = partialStart;
    }

    public CudaDevice Device { get; }

    public nint Entries => _memory.Address;

    public int StepTaskCount { get; }

    public nint StepTasks => _memory.Address + (nint)StepTasksOffset;

    public int NormTaskCount { get; }

    public nint NormTasks => _memory.Address + (nint)NormTasksOffset;

    /// <summary>Room for the norm: a double for each of its pieces.</summary>
    public nint Partials => _memory.Address + (nint)PartialsOffset;

    /// <summary>Room for the numbers of a step that come from the host.</summary>
    public Tensor Settings { get; }

    private long StepTasksOffset { get; }

    private long NormTasksOffset { get; }

    private long PartialsOffset { get; }

    public void Dispose() => _memory.Memory.Dispose();

    private static Entry EntryOf(AdamWParameter parameter, AdamWScales scales)
    {
        RowSparseGradient sparse = parameter.SparseGradient;
        Tensor gradient = sparse.IsPresent ? sparse.Values : parameter.Gradient;
        bool aligned = IsAligned(parameter.Weight, 16) && IsAligned(gradient, 16) && IsAligned(parameter.FirstMoment, 16)
            && IsAligned(parameter.SecondMoment, 16) && (!parameter.WeightCopy.IsPresent || IsAligned(parameter.WeightCopy, 8))
            && (!sparse.IsPresent || parameter.Weight.Shape[1] % Vector == 0);
        return new Entry
        {
            Weight = parameter.Weight.Address,
            Gradient = gradient.Address,
            FirstMoment = parameter.FirstMoment.Address,
            SecondMoment = parameter.SecondMoment.Address,
            Copy = parameter.WeightCopy.IsPresent ? parameter.WeightCopy.Address : 0,
            RowIds = sparse.IsPresent ? sparse.RowIds.Address : 0,
            RowCount = sparse.IsPresent ? sparse.RowCount.Address : 0,
            Count = parameter.Weight.Count,
            Columns = sparse.IsPresent ? parameter.Weight.Shape[1] : 0,
            Capacity = sparse.IsPresent ? sparse.RowIds.Shape[0] : 0,
            Aligned = aligned ? 1 : 0,
            RateFactor = scales.RateFactor,
            Decay = scales.Decay,
            Maximum = scales.Maximum,
        };
    }

    private static bool IsAligned(in Tensor tensor, int byteCount) => tensor.Address % byteCount == 0;

    private static long Pieces(long count, int perPiece) => (count + perPiece - 1) / perPiece;

    private static void AddTasks(List<Task> tasks, int entry, long pieces)
    {
        for (int piece = 0; piece < checked((int)pieces); piece++)
        {
            tasks.Add(new Task(entry, piece));
        }
    }

    private static long Aligned(long offset) => (offset + 255) / 256 * 256;

    /// <summary><c>TableTask</c> of <c>parameter_table.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Task(int Entry, int Piece);

    /// <summary><c>TableEntry</c> of <c>parameter_table.cuh</c>, padded to a multiple of 16 bytes as there.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 96)]
    private struct Entry
    {
        public long Weight;
        public long Gradient;
        public long FirstMoment;
        public long SecondMoment;
        public long Copy;
        public long RowIds;
        public long RowCount;
        public long Count;
        public int Columns;
        public int Capacity;
        public int Aligned;
        public float RateFactor;
        public float Decay;
        public float Maximum;
    }
}
