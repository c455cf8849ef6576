using Microsoft.Extensions.AI;

namespace CrossAlign.Models.Encoders;

/// <summary>What embedders of texts and of pictures have in common: one side of a model, as code takes any provider's embeddings.</summary>
/// <typeparam name="TInput">What is embedded.</typeparam>
public abstract class ModelEmbedder<TInput> : IEmbeddingGenerator<TInput, Embedding<float>>
{
    private readonly bool _ownsModel;
    private readonly string? _name;

    private protected ModelEmbedder(TwoTowerModel model, bool ownsModel, string? name)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _ownsModel = ownsModel;
        _name = name;
    }

    /// <summary>The length of a vector.</summary>
    public abstract int Width { get; }

    private protected TwoTowerModel Model { get; }

    /// <inheritdoc/>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<TInput> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (options?.Dimensions is int wanted && wanted != Width)
        {
            throw new UserErrorException(
                FormattableString.Invariant($"the model gives vectors of {Width} numbers, not of {wanted}"), "leave out the dimensions");
        }

        return Task.Run(
            () => new GeneratedEmbeddings<Embedding<float>>(Generate(values, cancellationToken).Select(v => new Embedding<float>(v) { ModelId = _name })),
            cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? new EmbeddingGeneratorMetadata("CrossAlign", null, _name, Width)
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Gives the model's memory back, where the embedder owns it.</summary>
    public void Dispose()
    {
        GC.SuppressFinalize(this);
        if (_ownsModel)
        {
            lock (Model.Gate)
            {
                Model.Dispose();
            }
        }
    }

    private protected abstract float[][] Generate(IEnumerable<TInput> values, CancellationToken cancellationToken);
}
