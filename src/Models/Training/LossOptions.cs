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
        bool sigmoid = IsSigmoid(loss.Variant);
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
            FalseNegativeMargin = (float?)loss.FalseNegativeMargin,
            Prefixes = [.. loss.PrefixWidths.Select(w => new SimilarityCrossEntropyPrefix(w, 1f / loss.PrefixWidths.Count))],
        };
    }

    /// <summary>Whether a form judges each pair by itself.</summary>
    /// <param name="variant">The form.</param>
    /// <returns>False for the softmax forms.</returns>
    public static bool IsSigmoid(LossVariant variant) => variant is LossVariant.Sigmoid or LossVariant.SigmoidNormalized;

    /// <summary>The loss of towers that know nothing of their pairs: every similarity is the same, and scale and bias make the best of it.</summary>
    /// <param name="loss">The configuration.</param>
    /// <param name="count">B: captions, and pictures, that a loss compares.</param>
    /// <returns>ln B for a softmax; B times the entropy of "one pair in B belongs together" for a sigmoid.</returns>
    public static double GuessingLoss(LossConfig loss, int count) => IsSigmoid(loss.Variant)
        ? Math.Log(count) + ((count - 1) * Math.Log(count / (count - 1.0)))
        : Math.Log(count);

    /// <summary>Whether a form compares unit rows.</summary>
    /// <param name="variant">The form.</param>
    /// <returns>False for raw dot products.</returns>
    public static bool IsNormalized(LossVariant variant) => variant
        is LossVariant.CaptionToImageNormalized or LossVariant.ImageToCaptionNormalized
        or LossVariant.SymmetricNormalized or LossVariant.SigmoidNormalized;
}
