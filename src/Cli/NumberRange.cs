using System.CommandLine;
using System.Globalization;

namespace CrossAlign.Cli;

/// <summary>Options that take a number within a range.</summary>
internal static class NumberRange
{
    /// <summary>Refuses numbers that are not allowed. What is no number at all is left to the parser, which refuses it too.</summary>
    /// <typeparam name="T">The option's type.</typeparam>
    /// <param name="option">The option.</param>
    /// <param name="allowed">Whether a number is allowed.</param>
    /// <param name="message">What is said where it is not, such as <c>--threads takes 0 or more</c>.</param>
    public static void Require<T>(Option<T> option, Predicate<double> allowed, string message) => option.Validators.Add(result =>
    {
        // Asking the result for its value would throw where the text is no number.
        if (result.Tokens is [{ Value: string text }] && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && !allowed(value))
        {
            result.AddError(message);
        }
    });
}
