namespace CrossAlign.Models.Tokenization;

/// <summary>The ids of a vocabulary that have a meaning of their own; null where the vocabulary has none.</summary>
/// <param name="Begin">In front of a text: <c>&lt;s&gt;</c>, <c>[CLS]</c>.</param>
/// <param name="Pad">Fills short rows of a padded batch: <c>&lt;pad&gt;</c>.</param>
/// <param name="End">After a text: <c>&lt;/s&gt;</c>, <c>[SEP]</c>.</param>
/// <param name="Unknown">Stands for what the vocabulary cannot spell: <c>&lt;unk&gt;</c>.</param>
/// <param name="Mask">Stands for a hidden token in pre-training: <c>&lt;mask&gt;</c>.</param>
public readonly record struct SpecialTokens(int? Begin, int? Pad, int? End, int? Unknown, int? Mask);
