namespace CrossAlign.Models.Encoders;

/// <summary>Where new parameters belong: the part of the model and what stands before their published names in the store.</summary>
/// <param name="Group">The part of the model.</param>
/// <param name="Prefix">For example <c>text_encoder.</c>; may be empty.</param>
internal readonly record struct ParameterScope(ParameterGroup Group, string Prefix);
