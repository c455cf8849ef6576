using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Training;

/// <summary>What a step reads that lies on the device: of each tower its inputs, or, where it is frozen whole, the rows that it makes of them.</summary>
/// <param name="Texts">The captions; not read where <paramref name="PooledTexts"/> are present.</param>
/// <param name="Pictures">The pictures; not read under a text-text objective, nor where <paramref name="PooledPictures"/> are present.</param>
/// <param name="PooledTexts">(S, C), or absent.</param>
/// <param name="PooledPictures">(B, C), or absent.</param>
internal readonly record struct StepInputs(TokenInputs Texts, PictureInputs Pictures, Tensor PooledTexts, Tensor PooledPictures);
