using CrossAlign.Models;

namespace CrossAlign.Cli;

/// <summary>One text of an input.</summary>
/// <param name="IdJson">Its id as JSON: what a JSON line gave, else the number of the text, from 0.</param>
/// <param name="Text">The text; empty where it cannot be read.</param>
/// <param name="Error">Why it cannot be read; null where it can.</param>
internal readonly record struct TextItem(string IdJson, string Text, UserErrorException? Error = null);
