using System.Text.Json.Serialization;

namespace CrossAlign.Models.Training.Configuration;

/// <summary>Forms of the contrastive loss.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<LossVariant>))]
public enum LossVariant
{
    /// <summary>Cross-entropy over rows = captions, raw dot products: the paper's.</summary>
    [JsonStringEnumMemberName("captionToImage")]
    CaptionToImage,

    /// <summary>The same with unit rows.</summary>
    [JsonStringEnumMemberName("captionToImageNormalized")]
    CaptionToImageNormalized,

    /// <summary>Cross-entropy over columns = images, raw dot products.</summary>
    [JsonStringEnumMemberName("imageToCaption")]
    ImageToCaption,

    /// <summary>The same with unit rows.</summary>
    [JsonStringEnumMemberName("imageToCaptionNormalized")]
    ImageToCaptionNormalized,

    /// <summary>The mean of both directions, raw dot products.</summary>
    [JsonStringEnumMemberName("symmetric")]
    Symmetric,

    /// <summary>The mean of both directions with unit rows: CLIP's.</summary>
    [JsonStringEnumMemberName("symmetricNormalized")]
    SymmetricNormalized,

    /// <summary>A logistic loss for each pair, raw dot products.</summary>
    [JsonStringEnumMemberName("sigmoid")]
    Sigmoid,

    /// <summary>The same with unit rows: SigLIP's.</summary>
    [JsonStringEnumMemberName("sigmoidNormalized")]
    SigmoidNormalized,
}
