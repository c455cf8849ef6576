namespace CrossAlign.Models.Encoders;

/// <summary>The part of a model that a parameter belongs to: each has a learning rate of its own.</summary>
public enum ParameterGroup
{
    /// <summary>The text tower.</summary>
    TextTower,

    /// <summary>The image tower.</summary>
    ImageTower,

    /// <summary>The projection behind the text tower.</summary>
    TextHead,

    /// <summary>The projection behind the image tower.</summary>
    ImageHead,

    /// <summary>The learned multiplier of similarities, and what the sigmoid losses add to them.</summary>
    Scale,
}
