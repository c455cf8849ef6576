using CrossAlign.Kernels;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>The options of <see cref="SimilarityCrossEntropy"/> that a configuration asks for.</summary>
internal static class LossOptions
{
    /// <summary>Translates.</summary>
    /// <param name="loss">The configuration.</param>
    /// <returns>The options.</returns>
    public static SimilarityCrossEntropyOptions From(LossConfig loss)
    {
        bool sigmoid = loss.Variant is LossVariant.Sigmoid or LossVariant.SigmoidNormalized;
        return new SimilarityCrossEntropyOptions
        {
            Objective = sigmoid ? SimilarityCrossEntropyObjective.Sigmoid : SimilarityCrossEntropyObjective.Softmax,
            Direction = loss.Variant switch
            {
                LossVariant.CaptionToImage or LossVariant.CaptionToImageNormalized => SimilarityCrossEntropyDirection.CaptionToImage,
                LossVariant.ImageToCaption or LossVariant.ImageToCaptionNormalized => SimilarityCrossEntropyDirection.ImageToCaption,
                _ => SimilarityCrossEntropyDirection.Symmetric,
            },
            Normalize = IsNormalized(loss.Variant),
            Scale = loss.ScaleParameter == ScaleParameter.Log ? SimilarityCrossEntropyScale.Logarithm : SimilarityCrossEntropyScale.Multiplier,
            MaxScale = loss is { ScaleParameter: ScaleParameter.Log, ScaleMax: { } max } ? (float)max : float.MaxValue,
            Groups = loss.Groups switch
            {
                GroupPolicy.Masked => SimilarityCrossEntropyGroups.Masked,
                GroupPolicy.Shared => SimilarityCrossEntropyGroups.Shared,
                _ => SimilarityCrossEntropyGroups.None,
            },
            LabelSmoothing = (float)loss.Smoothing,
        };
    }

    /// <summary>Whether a form compares unit rows.</summary>
    /// <param name="variant">The form.</param>
    /// <returns>False for raw dot products.</returns>
    public static bool IsNormalized(LossVariant variant) => variant
        is LossVariant.CaptionToImageNormalized or LossVariant.ImageToCaptionNormalized
        or LossVariant.SymmetricNormalized or LossVariant.SigmoidNormalized;
}
