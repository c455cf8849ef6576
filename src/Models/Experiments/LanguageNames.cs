using System.Globalization;

namespace CrossAlign.Models.Experiments;

/// <summary>What languages are called in English, from the operating system's own list (ICU).</summary>
internal static class LanguageNames
{
    /// <summary>The English name of a language.</summary>
    /// <param name="code">A BCP 47 code.</param>
    /// <returns>The name, or the code where the system does not know it.</returns>
    public static string EnglishName(string code)
    {
        try
        {
            string name = CultureInfo.GetCultureInfo(code).EnglishName;
            return name.StartsWith("Unknown", StringComparison.Ordinal) ? code : name;
        }
        catch (CultureNotFoundException)
        {
            return code;
        }
    }
}
