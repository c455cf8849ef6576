namespace CrossAlign.Models.Data.Shapes;

/// <summary>The words of the drawn scenes, with the grammar each language needs.</summary>
internal static class ShapeVocabulary
{
    /// <summary>The languages that captions are composed in.</summary>
    internal static readonly string[] Languages = ["en", "es", "ja", "hi", "qu"];

    /// <summary>A thing that is drawn.</summary>
    /// <param name="Form">Its outline.</param>
    /// <param name="English">Singular and plural.</param>
    /// <param name="Spanish">Singular, plural, and whether it is feminine.</param>
    /// <param name="Japanese">The noun and the counter that follows a numeral (two, three).</param>
    /// <param name="Hindi">Singular, plural, and whether it is feminine.</param>
    /// <param name="Quechua">The noun; after a numeral it takes no plural suffix.</param>
    internal sealed record Noun(
        ShapeForm Form,
        (string One, string Many) English,
        (string One, string Many, bool Feminine) Spanish,
        (string Word, string Two, string Three) Japanese,
        (string One, string Many, bool Feminine) Hindi,
        string Quechua);

    /// <summary>A colour.</summary>
    /// <param name="Rgb">As drawn.</param>
    /// <param name="English">The adjective.</param>
    /// <param name="Spanish">Masculine and feminine; the plural adds s or es.</param>
    /// <param name="Japanese">Before a noun, and alone.</param>
    /// <param name="Hindi">Masculine singular, masculine plural, feminine; all three alike where the adjective does not bend.</param>
    /// <param name="Quechua">The adjective.</param>
    internal sealed record Colour(
        (byte R, byte G, byte B) Rgb,
        string English,
        (string Masculine, string Feminine) Spanish,
        (string Attributive, string Alone) Japanese,
        (string One, string Many, string Feminine) Hindi,
        string Quechua);

    internal static readonly Noun[] Nouns =
    [
        new(ShapeForm.Circle, ("circle", "circles"), ("círculo", "círculos", false), ("丸", "二つ", "三つ"), ("वृत्त", "वृत्त", false), "muyu"),
        new(ShapeForm.Square, ("square", "squares"), ("cuadrado", "cuadrados", false), ("四角", "二つ", "三つ"), ("वर्ग", "वर्ग", false), "tawa k'uchu"),
        new(ShapeForm.Triangle, ("triangle", "triangles"), ("triángulo", "triángulos", false), ("三角", "二つ", "三つ"), ("त्रिभुज", "त्रिभुज", false), "kinsa k'uchu"),
        new(ShapeForm.Star, ("star", "stars"), ("estrella", "estrellas", true), ("星", "二つ", "三つ"), ("तारा", "तारे", false), "quyllur"),
        new(ShapeForm.Heart, ("heart", "hearts"), ("corazón", "corazones", false), ("ハート", "二つ", "三つ"), ("दिल", "दिल", false), "sunqu"),
        new(ShapeForm.Cross, ("cross", "crosses"), ("cruz", "cruces", true), ("十字", "二つ", "三つ"), ("क्रॉस", "क्रॉस", false), "chakana"),
        new(ShapeForm.Moon, ("moon", "moons"), ("luna", "lunas", true), ("月", "二つ", "三つ"), ("चाँद", "चाँद", false), "killa"),
        new(ShapeForm.Flower, ("flower", "flowers"), ("flor", "flores", true), ("花", "二輪", "三輪"), ("फूल", "फूल", false), "t'ika"),
        new(ShapeForm.House, ("house", "houses"), ("casa", "casas", true), ("家", "二軒", "三軒"), ("घर", "घर", false), "wasi"),
        new(ShapeForm.Fish, ("fish", "fish"), ("pez", "peces", false), ("魚", "二匹", "三匹"), ("मछली", "मछलियाँ", true), "challwa"),
        new(ShapeForm.Boat, ("boat", "boats"), ("barco", "barcos", false), ("船", "二隻", "三隻"), ("नाव", "नावें", true), "wamp'u"),
    ];

    internal static readonly Colour[] Colours =
    [
        new((214, 40, 40), "red", ("rojo", "roja"), ("赤い", "赤"), ("लाल", "लाल", "लाल"), "puka"),
        new((38, 84, 212), "blue", ("azul", "azul"), ("青い", "青"), ("नीला", "नीले", "नीली"), "anqas"),
        new((34, 150, 62), "green", ("verde", "verde"), ("緑の", "緑"), ("हरा", "हरे", "हरी"), "q'umir"),
        new((240, 190, 20), "yellow", ("amarillo", "amarilla"), ("黄色い", "黄色"), ("पीला", "पीले", "पीली"), "q'illu"),
        new((28, 28, 32), "black", ("negro", "negra"), ("黒い", "黒"), ("काला", "काले", "काली"), "yana"),
        new((132, 48, 168), "purple", ("morado", "morada"), ("紫の", "紫"), ("बैंगनी", "बैंगनी", "बैंगनी"), "kulli"),
    ];
}
