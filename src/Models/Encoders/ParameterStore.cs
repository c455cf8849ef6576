using System.Diagnostics.CodeAnalysis;
using CrossAlign.Kernels;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Encoders;

/// <summary>
/// The parameters of a model on one device, by name and in a fixed order. Values are float32 and exist from the start; gradients
/// are taken only when a model is to be trained. The moments belong to the optimiser.
/// </summary>
public sealed class ParameterStore : IDisposable
{
    private readonly List<ParameterTensor> _tensors = [];
    private readonly List<Parameter> _parameters = [];
    private readonly Dictionary<string, Parameter> _byName = new(StringComparer.Ordinal);

    /// <summary>An empty store.</summary>
    /// <param name="device">Where the parameters lie.</param>
    public ParameterStore(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        Device = device;
    }

    /// <summary>Where the parameters lie.</summary>
    public Device Device { get; }

    /// <summary>All parameters, carried ones included, in the order in which they were added.</summary>
    public IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>The parameters that are not frozen at present, in order.</summary>
    public IEnumerable<Parameter> Trainable => _parameters.Where(p => !p.IsFrozen);

    /// <summary>A parameter by its name.</summary>
    /// <param name="name">The name in the store.</param>
    /// <exception cref="KeyNotFoundException">There is no such parameter.</exception>
    public Parameter this[string name] => _byName.TryGetValue(name, out Parameter? parameter)
        ? parameter
        : throw new KeyNotFoundException($"The model has no parameter '{name}'.");

    /// <summary>A parameter by its name.</summary>
    /// <param name="name">The name in the store.</param>
    /// <param name="parameter">The parameter, or null.</param>
    /// <returns>False where there is none.</returns>
    public bool TryGet(string name, [NotNullWhen(true)] out Parameter? parameter) => _byName.TryGetValue(name, out parameter);

    /// <summary>The number of elements of a part of the model, carried parameters left out.</summary>
    /// <param name="group">The part.</param>
    /// <returns>The number.</returns>
    public long CountOf(ParameterGroup group) => _parameters.Where(p => p.Group == group && p.Kind != ParameterKind.Carried).Sum(p => p.Count);

    /// <summary>
    /// Takes zeroed gradients for every parameter that is not frozen and has none yet. Call it before the first training step, and
    /// again when more parameters are thawed.
    /// </summary>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public void AllocateGradients()
    {
        foreach (ParameterTensor tensor in _tensors)
        {
            if (!tensor.IsCarried && !tensor.SparseGradient.IsPresent && !tensor.Gradient.IsPresent && tensor.Parts.Any(p => !p.IsFrozen))
            {
                tensor.Gradient = Device.NewTensor(DType.Float32, tensor.Value.Shape);
            }
        }
    }

    /// <summary>
    /// Makes the bfloat16 copies of the linear layers' weights that matrix products in bfloat16 then read: their values rounded once a step,
    /// by the optimiser, in place of at every product, with the same results. Call it when the values are there and before the
    /// optimiser is made; whatever else changes a value must call it again.
    /// </summary>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public void AllocateCopies()
    {
        foreach (ParameterTensor tensor in _tensors)
        {
            if (!tensor.IsCarried && tensor.Parts.All(p => p.Kind == ParameterKind.LinearWeight))
            {
                if (!tensor.Copy.IsPresent)
                {
                    tensor.Copy = Device.NewTensor(DType.BFloat16, tensor.Value.Shape);
                }

                Cast.Run(tensor.Value, tensor.Copy);
            }
        }
    }

    /// <summary>
    /// Keeps the gradient of a table of words as its touched rows alone, in memory of its own that every backward pass overwrites:
    /// the optimiser's step has the same bits as with a table as large as the vocabulary. Call it before
    /// <see cref="AllocateGradients"/>; one backward pass a step, without accumulation.
    /// </summary>
    /// <param name="words">A parameter of the kind <see cref="ParameterKind.WordEmbedding"/>.</param>
    /// <param name="maxTokens">The most tokens of a batch; there is room for the next multiple of <see cref="TokenInputs.CapacityStep"/>.</param>
    /// <exception cref="ArgumentException">The parameter is of another kind, or has a gradient already.</exception>
    /// <exception cref="OutOfMemoryException">The device has not that much left.</exception>
    public void AllocateSparseGradient(Parameter words, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        ParameterTensor tensor = words.Owner;
        if (words.Kind != ParameterKind.WordEmbedding || tensor.Gradient.IsPresent || tensor.SparseGradient.IsPresent)
        {
            throw new ArgumentException($"'{words.Name}' cannot have a row-sparse gradient: it is no table of words, or has a gradient already.", nameof(words));
        }

        // A captured graph's batches lie in tensors of a capacity, whose rows may all be other words as far as anyone can see beforehand.
        int capacity = checked((maxTokens + TokenInputs.CapacityStep - 1) / TokenInputs.CapacityStep * TokenInputs.CapacityStep);
        int rows = Math.Min(capacity, words.Shape[0]);
        tensor.SparseGradient = new RowSparseGradient(
            Device.NewTensor(DType.Int32, new Shape(rows)),
            Device.NewTensor(DType.Float32, new Shape(rows, words.Shape[1])),
            Device.NewTensor(DType.Int32, new Shape(1)));
    }

    /// <summary>Sets the gradients of all parameters that are not frozen to zero; allocates nothing on the managed heap.</summary>
    public void ZeroGradients()
    {
        foreach (ParameterTensor tensor in _tensors)
        {
            if (tensor.Gradient.IsPresent && !tensor.Parts[0].IsFrozen)
            {
                Device.Zero(tensor.Gradient);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ParameterTensor tensor in _tensors)
        {
            tensor.Value.Memory.Dispose();
            if (tensor.Copy.IsPresent)
            {
                tensor.Copy.Memory.Dispose();
            }

            if (tensor.Gradient.IsPresent)
            {
                tensor.Gradient.Memory.Dispose();
            }

            if (tensor.SparseGradient.IsPresent)
            {
                tensor.SparseGradient.RowIds.Memory.Dispose();
                tensor.SparseGradient.Values.Memory.Dispose();
                tensor.SparseGradient.RowCount.Memory.Dispose();
            }
        }
    }

    /// <summary>Adds one parameter.</summary>
    /// <param name="scope">Where it belongs.</param>
    /// <param name="name">Its published name.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="shape">Its published shape.</param>
    /// <param name="fanIn">Inputs of the linear layer, or 0.</param>
    /// <param name="viewed">The shape that the operations take; the published one where it is default.</param>
    /// <returns>Value and gradient.</returns>
    /// <exception cref="ArgumentException">The name is taken.</exception>
    internal ParameterTensor Add(ParameterScope scope, string name, ParameterKind kind, Shape shape, int fanIn = 0, Shape viewed = default)
    {
        ParameterTensor tensor = NewTensor(viewed.Rank == 0 ? shape : viewed, kind);
        tensor.Parts = [Register(tensor, 0, scope, name, kind, shape, fanIn)];
        return tensor;
    }

    /// <summary>Adds parameters of one shape that lie one behind the other and are also seen as one tensor.</summary>
    /// <param name="scope">Where they belong.</param>
    /// <param name="names">Their published names, in the order of their rows.</param>
    /// <param name="kind">What they are.</param>
    /// <param name="shape">The published shape of each; one or two dimensions.</param>
    /// <param name="fanIn">Inputs of the linear layers.</param>
    /// <returns>Value and gradient of all, stacked along the first dimension.</returns>
    /// <exception cref="ArgumentException">A name is taken.</exception>
    internal ParameterTensor AddJoined(ParameterScope scope, ReadOnlySpan<string> names, ParameterKind kind, Shape shape, int fanIn)
    {
        ParameterTensor tensor = NewTensor(shape.WithRows(checked(names.Length * shape[0])), kind);
        Parameter[] parts = new Parameter[names.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = Register(tensor, i * shape[0], scope, names[i], kind, shape, fanIn);
        }

        tensor.Parts = parts;
        return tensor;
    }

    private ParameterTensor NewTensor(Shape shape, ParameterKind kind)
    {
        ParameterTensor tensor = new(Device.NewTensor(DType.Float32, shape)) { IsCarried = kind == ParameterKind.Carried };
        _tensors.Add(tensor);
        return tensor;
    }

    private Parameter Register(ParameterTensor tensor, int firstRow, ParameterScope scope, string name, ParameterKind kind, Shape shape, int fanIn)
    {
        Parameter parameter = new(tensor, firstRow, scope.Prefix + name, name, shape, kind, scope.Group, fanIn) { IsFrozen = kind == ParameterKind.Carried };
        if (!_byName.TryAdd(parameter.Name, parameter))
        {
            throw new ArgumentException($"The parameter '{parameter.Name}' is there already.", nameof(name));
        }

        _parameters.Add(parameter);
        return parameter;
    }
}
