using static CrossAlign.Models.Data.Shapes.ShapeVocabulary;

namespace CrossAlign.Models.Data.Shapes;

/// <summary>Composes the captions of a scene: a short name, and its parts as keywords.</summary>
internal static class ShapeGrammar
{
    /// <summary>The captions of a scene in one language.</summary>
    /// <param name="language">One of <see cref="Languages"/>.</param>
    /// <param name="noun">What is drawn.</param>
    /// <param name="colour">In which colour.</param>
    /// <param name="arrangement">How.</param>
    /// <returns>Name and keywords.</returns>
    internal static ConceptCaptions Compose(string language, Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        (string name, string[] keywords) = language switch
        {
            "en" => English(noun, colour, arrangement),
            "es" => Spanish(noun, colour, arrangement),
            "ja" => Japanese(noun, colour, arrangement),
            "hi" => Hindi(noun, colour, arrangement),
            "qu" => Quechua(noun, colour, arrangement),
            _ => throw new ArgumentOutOfRangeException(nameof(language), language, "no grammar"),
        };
        return ConceptCaptions.FromNameAndKeywords(name, keywords);
    }

    private static bool IsMany(ShapeArrangement arrangement) => arrangement is ShapeArrangement.Two or ShapeArrangement.Three;

    private static (string Name, string[] Keywords) English(Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        string thing = $"{colour.English} {(IsMany(arrangement) ? noun.English.Many : noun.English.One)}";
        string word = arrangement switch
        {
            ShapeArrangement.Big => "big",
            ShapeArrangement.Small => "small",
            ShapeArrangement.Two => "two",
            ShapeArrangement.Three => "three",
            ShapeArrangement.Left => "left",
            ShapeArrangement.Right => "right",
            ShapeArrangement.Top => "top",
            _ => "bottom",
        };
        string name = arrangement switch
        {
            ShapeArrangement.Left or ShapeArrangement.Right => $"{thing} on the {word}",
            ShapeArrangement.Top or ShapeArrangement.Bottom => $"{thing} at the {word}",
            _ => $"{word} {thing}",
        };
        return (name, [noun.English.One, colour.English, word]);
    }

    /// <summary>Adjectives follow the noun and agree with it in gender and number.</summary>
    private static (string Name, string[] Keywords) Spanish(Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        bool feminine = noun.Spanish.Feminine;
        string one = feminine ? colour.Spanish.Feminine : colour.Spanish.Masculine;
        string many = one + (one[^1] is 'a' or 'e' or 'o' ? "s" : "es");
        string thing = IsMany(arrangement) ? $"{noun.Spanish.Many} {many}" : $"{noun.Spanish.One} {one}";
        string small = feminine ? "pequeña" : "pequeño";
        (string name, string word) = arrangement switch
        {
            ShapeArrangement.Big => ($"{thing} grande", "grande"),
            ShapeArrangement.Small => ($"{thing} {small}", small),
            ShapeArrangement.Two => ($"dos {thing}", "dos"),
            ShapeArrangement.Three => ($"tres {thing}", "tres"),
            ShapeArrangement.Left => ($"{thing} a la izquierda", "izquierda"),
            ShapeArrangement.Right => ($"{thing} a la derecha", "derecha"),
            ShapeArrangement.Top => ($"{thing} arriba", "arriba"),
            _ => ($"{thing} abajo", "abajo"),
        };
        return (name, [noun.Spanish.One, one, word]);
    }

    /// <summary>What describes the noun stands before it; a numeral takes the noun's counter and の.</summary>
    private static (string Name, string[] Keywords) Japanese(Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        string thing = colour.Japanese.Attributive + noun.Japanese.Word;
        (string name, string word) = arrangement switch
        {
            ShapeArrangement.Big => ("大きい" + thing, "大きい"),
            ShapeArrangement.Small => ("小さい" + thing, "小さい"),
            ShapeArrangement.Two => (noun.Japanese.Two + "の" + thing, noun.Japanese.Two),
            ShapeArrangement.Three => (noun.Japanese.Three + "の" + thing, noun.Japanese.Three),
            ShapeArrangement.Left => ("左にある" + thing, "左"),
            ShapeArrangement.Right => ("右にある" + thing, "右"),
            ShapeArrangement.Top => ("上にある" + thing, "上"),
            _ => ("下にある" + thing, "下"),
        };
        return (name, [noun.Japanese.Word, colour.Japanese.Alone, word]);
    }

    /// <summary>Adjectives in -ā agree with the noun in gender and number; places are given with the postposition ओर or an adverb.</summary>
    private static (string Name, string[] Keywords) Hindi(Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        bool many = IsMany(arrangement);
        string adjective = noun.Hindi.Feminine ? colour.Hindi.Feminine : many ? colour.Hindi.Many : colour.Hindi.One;
        string thing = $"{adjective} {(many ? noun.Hindi.Many : noun.Hindi.One)}";
        string big = noun.Hindi.Feminine ? "बड़ी" : "बड़ा";
        string small = noun.Hindi.Feminine ? "छोटी" : "छोटा";
        (string name, string word) = arrangement switch
        {
            ShapeArrangement.Big => ($"{big} {thing}", big),
            ShapeArrangement.Small => ($"{small} {thing}", small),
            ShapeArrangement.Two => ($"दो {thing}", "दो"),
            ShapeArrangement.Three => ($"तीन {thing}", "तीन"),
            ShapeArrangement.Left => ($"बाईं ओर {thing}", "बाईं ओर"),
            ShapeArrangement.Right => ($"दाईं ओर {thing}", "दाईं ओर"),
            ShapeArrangement.Top => ($"ऊपर {thing}", "ऊपर"),
            _ => ($"नीचे {thing}", "नीचे"),
        };
        return (name, [noun.Hindi.One, adjective, word]);
    }

    /// <summary>What describes the noun stands before it; a place takes the locative suffix -pi, and a numeral needs no plural suffix.</summary>
    private static (string Name, string[] Keywords) Quechua(Noun noun, Colour colour, ShapeArrangement arrangement)
    {
        (string before, string word) = arrangement switch
        {
            ShapeArrangement.Big => ("hatun", "hatun"),
            ShapeArrangement.Small => ("huch'uy", "huch'uy"),
            ShapeArrangement.Two => ("iskay", "iskay"),
            ShapeArrangement.Three => ("kinsa", "kinsa"),
            ShapeArrangement.Left => ("lluq'ipi", "lluq'i"),
            ShapeArrangement.Right => ("pañapi", "paña"),
            ShapeArrangement.Top => ("hanaqpi", "hanaq"),
            _ => ("urapi", "ura"),
        };
        return ($"{before} {colour.Quechua} {noun.Quechua}", [noun.Quechua, colour.Quechua, word]);
    }
}
