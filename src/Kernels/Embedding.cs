using CrossAlign.Kernels.Cpu;
using CrossAlign.Kernels.Cuda;
using CrossAlign.Runtime;

namespace CrossAlign.Kernels;

/// <summary>
/// Embedding of packed tokens: <c>output[n] = word[ids[n]] + position[positions[n]] + type[typeIds[n]]</c>. The gradients add up
/// the rows of equal numbers in the order of the tokens, without atomics: deterministic on every backend.
/// </summary>
/// <remarks>Source: J. Devlin et al., "BERT", 2019, figure 2.</remarks>
public static class Embedding
{
    /// <summary>Gathers and adds. No tokens are allowed; then nothing is done.</summary>
    /// <param name="ids">(N), int32, each from 0 to V - 1.</param>
    /// <param name="positions">(N), int32, each from 0 to P - 1.</param>
    /// <param name="typeIds">(N), int32, each from 0 to T - 1; absent: row 0 of <paramref name="type"/> everywhere (XLM-R).</param>
    /// <param name="word">(V, C), float32, or bfloat16 (the copy that the optimiser keeps).</param>
    /// <param name="position">(P, C), the type of <paramref name="word"/>.</param>
    /// <param name="type">(T, C), the type of <paramref name="word"/>; absent for none.</param>
    /// <param name="output">(N, C), float32 or bfloat16; overwritten.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or there are type ids and no types.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number names no row of its table (on the CPU; on CUDA this is undefined).</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Forward(
        in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor word, in Tensor position, in Tensor type, in Tensor output)
    {
        Check.IsFloating(output, 2);
        Device device = output.Device;
        Shape perToken = new(output.Shape[0]);
        int c = output.Shape[1];
        Check.Is(ids, perToken, DType.Int32, device);
        Check.Is(positions, perToken, DType.Int32, device);
        Check.IsOrAbsent(typeIds, perToken, DType.Int32, device);
        Check.IsFloating(word, 2);
        CheckTable(word, word.DType, c, device, nameof(word));
        CheckTable(position, word.DType, c, device, nameof(position));
        if (type.IsPresent)
        {
            CheckTable(type, word.DType, c, device, nameof(type));
        }

        CheckTypes(typeIds, type);
        using OperationTimer timer = OperationTimer.Start(device, "Embedding.Forward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuEmbedding.Forward(ids, positions, typeIds, word, position, type, output);
                break;
            case DeviceKind.Cuda:
                CudaEmbedding.Forward(ids, positions, typeIds, word, position, type, output);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>The gradients of <see cref="Forward"/> as dense tables.</summary>
    /// <param name="dOutput">(N, C), float32 or bfloat16.</param>
    /// <param name="ids">(N), int32, of the forward pass.</param>
    /// <param name="positions">(N), int32, of the forward pass.</param>
    /// <param name="typeIds">(N), int32, of the forward pass; absent: row 0 everywhere.</param>
    /// <param name="dWord">(V, C), float32; added to (+=); absent where it is not wanted (see <see cref="BackwardSparse"/>).</param>
    /// <param name="dPosition">(P, C), float32; added to (+=); absent where it is not wanted.</param>
    /// <param name="dType">(T, C), float32; added to (+=); absent where there is none.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number names no row of its table (on the CPU; on CUDA this is undefined).</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void Backward(
        in Tensor dOutput, in Tensor ids, in Tensor positions, in Tensor typeIds, in Tensor dWord, in Tensor dPosition, in Tensor dType)
    {
        Check.IsFloating(dOutput, 2);
        Device device = dOutput.Device;
        Shape perToken = new(dOutput.Shape[0]);
        int c = dOutput.Shape[1];
        Check.Is(ids, perToken, DType.Int32, device);
        Check.Is(positions, perToken, DType.Int32, device);
        Check.IsOrAbsent(typeIds, perToken, DType.Int32, device);
        if (dWord.IsPresent)
        {
            CheckTable(dWord, DType.Float32, c, device, nameof(dWord));
        }

        if (dPosition.IsPresent)
        {
            CheckTable(dPosition, DType.Float32, c, device, nameof(dPosition));
        }

        if (dType.IsPresent)
        {
            CheckTable(dType, DType.Float32, c, device, nameof(dType));
            CheckTypes(typeIds, dType);
        }

        using OperationTimer timer = OperationTimer.Start(device, "Embedding.Backward");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuEmbedding.Backward(dOutput, ids, positions, typeIds, dWord, dPosition, dType);
                break;
            case DeviceKind.Cuda:
                CudaEmbedding.Backward(dOutput, ids, positions, typeIds, dWord, dPosition, dType);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    /// <summary>
    /// The gradient of the word table alone, as its touched rows: the same bits as <see cref="Backward"/> adds to a table of zeros.
    /// </summary>
    /// <param name="dOutput">(N, C), float32 or bfloat16.</param>
    /// <param name="ids">(N), int32, each from 0 to <paramref name="vocabulary"/> - 1.</param>
    /// <param name="vocabulary">V, the rows of the table.</param>
    /// <param name="dWord">Overwritten (=). K must be at least the smaller of N and V.</param>
    /// <exception cref="ArgumentException">A tensor is absent, has another shape or type, or lies on another device; or K is too small.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An id names no row (on the CPU; on CUDA this is undefined).</exception>
    /// <exception cref="NotSupportedException">The device has no backend for this operation.</exception>
    public static void BackwardSparse(in Tensor dOutput, in Tensor ids, int vocabulary, in RowSparseGradient dWord)
    {
        Check.IsFloating(dOutput, 2);
        Device device = dOutput.Device;
        int n = dOutput.Shape[0];
        Check.Is(ids, new Shape(n), DType.Int32, device);
        Tensor values = dWord.Values;
        CheckTable(values, DType.Float32, dOutput.Shape[1], device, nameof(dWord));
        Tensor rowIds = dWord.RowIds;
        Check.Is(rowIds, new Shape(values.Shape[0]), DType.Int32, device);
        Tensor rowCount = dWord.RowCount;
        Check.Is(rowCount, new Shape(1), DType.Int32, device);
        ArgumentOutOfRangeException.ThrowIfNegative(vocabulary);
        if (values.Shape[0] < Math.Min(n, vocabulary))
        {
            throw new ArgumentException($"dWord has room for {values.Shape[0]} rows; {n} tokens can touch {Math.Min(n, vocabulary)}.", nameof(dWord));
        }

        using OperationTimer timer = OperationTimer.Start(device, "Embedding.BackwardSparse");
        switch (device.Kind)
        {
            case DeviceKind.Plan:
                break;
            case DeviceKind.Cpu:
                CpuEmbedding.BackwardSparse(dOutput, ids, vocabulary, rowIds, values, rowCount);
                break;
            case DeviceKind.Cuda:
                CudaEmbedding.BackwardSparse(dOutput, ids, vocabulary, rowIds, values, rowCount);
                break;
            default:
                throw Check.NoBackend(device);
        }
    }

    private static void CheckTable(in Tensor table, DType dtype, int columns, Device device, string name)
    {
        if (!table.IsPresent || table.Shape.Rank != 2)
        {
            throw new ArgumentException($"{name} is {table}; it must be a {dtype} table with {columns} columns.", name);
        }

        Check.Is(table, new Shape(table.Shape[0], columns), dtype, device, name);
    }

    private static void CheckTypes(in Tensor typeIds, in Tensor type)
    {
        if (typeIds.IsPresent && !type.IsPresent)
        {
            throw new ArgumentException("There are type ids, but no table of types.", nameof(type));
        }
    }
}
