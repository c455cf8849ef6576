using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>
/// Writes HTML from interpolated strings: what is written literally is markup, what is filled in is text and escaped. So nothing from
/// outside becomes markup by oversight.
/// </summary>
internal sealed class HtmlBuilder
{
    private readonly StringBuilder _html = new();

    /// <summary>Appends markup with escaped values.</summary>
    /// <param name="markup">The interpolated string.</param>
    /// <returns>This.</returns>
    internal HtmlBuilder Add([InterpolatedStringHandlerArgument("")] ref Markup markup)
    {
        _ = markup;
        return this;
    }

    /// <summary>Appends markup that holds no value from outside.</summary>
    /// <param name="markup">The markup.</param>
    /// <returns>This.</returns>
    internal HtmlBuilder AddRaw(string markup)
    {
        _html.Append(markup);
        return this;
    }

    /// <summary>The document so far.</summary>
    /// <returns>The markup.</returns>
    public override string ToString() => _html.ToString();

    /// <summary>Escapes text for an element's content or a quoted attribute; what HTML cannot hold becomes U+FFFD.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="html">Appended to.</param>
    internal static void Escape(ReadOnlySpan<char> text, StringBuilder html)
    {
        foreach (Rune rune in text.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '&':
                    html.Append("&amp;");
                    break;
                case '<':
                    html.Append("&lt;");
                    break;
                case '>':
                    html.Append("&gt;");
                    break;
                case '"':
                    html.Append("&quot;");
                    break;
                case '\'':
                    html.Append("&#39;");
                    break;
                case < ' ' and not ('\t' or '\n' or '\r') or (>= 0x7F and < 0xA0):
                    html.Append('\uFFFD');
                    break;
                default:
                    html.Append(rune.ToString());
                    break;
            }
        }
    }

    /// <summary>The interpolated string: literals go through as they are, values are escaped; numbers are invariant.</summary>
    [InterpolatedStringHandler]
    internal readonly ref struct Markup
    {
        private readonly StringBuilder _html;

        /// <summary>Begins.</summary>
        /// <param name="literalLength">Length of the markup.</param>
        /// <param name="formattedCount">Number of values.</param>
        /// <param name="builder">What is appended to.</param>
        public Markup(int literalLength, int formattedCount, HtmlBuilder builder)
        {
            _html = builder._html;
            _html.EnsureCapacity(_html.Length + literalLength + (16 * formattedCount));
        }

        /// <summary>Appends markup.</summary>
        /// <param name="markup">The literal part.</param>
        public void AppendLiteral(string markup) => _html.Append(markup);

        /// <summary>Appends text, escaped.</summary>
        /// <param name="text">The value.</param>
        public void AppendFormatted(string? text) => Escape(text, _html);

        /// <summary>Appends a number.</summary>
        /// <param name="number">The value.</param>
        /// <param name="format">Its format, or null.</param>
        public void AppendFormatted(double number, string? format = null) =>
            _html.Append(number.ToString(format ?? "0.##", CultureInfo.InvariantCulture));

        /// <summary>Appends a whole number.</summary>
        /// <param name="number">The value.</param>
        /// <param name="format">Its format, or null.</param>
        public void AppendFormatted(long number, string? format = null) =>
            _html.Append(number.ToString(format, CultureInfo.InvariantCulture));
    }
}
