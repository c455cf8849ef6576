using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests.Evaluation;

public sealed partial class ReportPageTests
{
    private static readonly string[] s_languages = ["en", "es", "ja", "hi", "qu"];

    [Fact]
    public void ThePageIsOneFileThatLoadsNothingAndRunsNothing()
    {
        string html = Html(Sample());
        Assert.StartsWith("<!doctype html>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("http:", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("https:", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("@import", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("url(", html, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("default-src 'none'", html, StringComparison.Ordinal);
        Assert.All(Attributes().Matches(html).Select(m => m.Groups[1].Value), v => Assert.StartsWith("data:image/png;base64,", v, StringComparison.Ordinal));
    }

    [Fact]
    public void ElementsAreClosedInOrder()
    {
        Stack<string> open = new();
        foreach (Match tag in Tags().Matches(Html(Sample())))
        {
            string name = tag.Groups[2].Value;
            if (name is "meta" or "img" or "br" || tag.Groups[3].Value.EndsWith('/'))
            {
                continue;
            }

            if (tag.Groups[1].Value.Length == 0)
            {
                open.Push(name);
            }
            else
            {
                Assert.Equal(open.Pop(), name);
            }
        }

        Assert.Empty(open);
    }

    [Fact]
    public void WhatAPublishedTowerKnewBeforeIsNoMeritOfThePictures()
    {
        ReportModel sample = Sample();
        ReportSetup[] setups = [.. sample.Setups];
        string html = Html(sample with { Setups = [setups[0] with { Family = "a tower" }, setups[3], setups[4] with { Family = "a tower" }] });
        Assert.Contains("Tuning brought all languages closer to English.", html, StringComparison.Ordinal);
        Assert.Contains("90.4 % of the Spanish queries (before: 3.0 %)", html, StringComparison.Ordinal);

        // The other set-up is of another family: it stands by itself, and the newcomer is not compared across the two.
        Assert.Contains("The languages met.", html, StringComparison.Ordinal);
        Assert.Contains("92.1 % of the Spanish queries (letters alone: 17.6 %)", html, StringComparison.Ordinal);
        Assert.DoesNotContain("by its captions", html, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryStringIsEscaped()
    {
        const string Evil = "<img src=x onerror=alert(1)>\"'&\u0001";
        ReportModel sample = Sample();
        string html = Html(sample with
        {
            Notices = [Evil],
            Languages = [.. sample.Languages.Select(l => l with { Name = Evil })],
            Setups = [.. sample.Setups.Select(s => s with { Title = Evil, Description = Evil, Languages = [.. s.Languages, Evil] })],
            Panels = [.. sample.Panels.Select(panel => new PicturePanel(Evil, Evil, [.. panel.Cards.Select(p => p with
            {
                Name = Evil,
                Style = Evil,
                Licence = Evil,
                Nearest = [.. p.Nearest.Select(n => new NearestCaption(Evil, Evil, n.IsRight, Evil, 3))],
            })]))],
            Configuration = [new(Evil, Evil)],
            Sources = [new DataSource(Evil, Evil, Evil, Evil)],
            Figures = sample.Figures with { Run = sample.Figures.Run with { Device = Evil, Data = Evil, Version = Evil, Commit = Evil } },
        });
        Assert.DoesNotContain("<img src=x", html, StringComparison.Ordinal);
        Assert.DoesNotContain('\u0001', html);
        Assert.Contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;\uFFFD", html, StringComparison.Ordinal);
    }

    [Fact]
    public void TheAnswerSaysWhatTheFiguresSay()
    {
        string html = Html(Sample());
        Assert.Contains("The languages met.", html, StringComparison.Ordinal);
        Assert.Contains("<strong>Quechua joins by its captions alone.</strong> 8.8 % without Quechua captions in training, 88.7 % with them.", html, StringComparison.Ordinal);

        // The same page of a run that learned nothing must not claim anything.
        ReportModel sample = Sample();
        ReportModel failed = sample with
        {
            Figures = sample.Figures with { Figures = [.. sample.Figures.Figures.Select(f => f with { R1 = 0, Wilson95 = [0, 0.01] })] },
        };
        html = Html(failed);
        Assert.Contains("The languages did not meet", html, StringComparison.Ordinal);
        Assert.Contains("Quechua does not clearly join by its captions", html, StringComparison.Ordinal);
        Assert.DoesNotContain("class=\"new\">0.0", html, StringComparison.Ordinal);
    }

    [Fact]
    public void TheTableShowsMeanSpreadIntervalAndBaseline()
    {
        string html = Html(Sample());
        Assert.Contains("88.7 %</span> <span class=\"spread\">± 1.0</span>", html, StringComparison.Ordinal);
        WilsonInterval interval = WilsonInterval.OfShare(0.887, 661);
        Assert.Contains(FormattableString.Invariant($"<small>{100 * interval.Low:0.0} to {100 * interval.High:0.0}</small>"), html, StringComparison.Ordinal);
        Assert.Contains("661 queries<br>pool 949", html, StringComparison.Ordinal);
        WilsonInterval letters = WilsonInterval.OfShare(0.082, 661);
        Assert.Contains(FormattableString.Invariant($"<td>8.2 %<small>{100 * letters.Low:0.0} to {100 * letters.High:0.0}</small></td>"), html, StringComparison.Ordinal);
    }

    [Fact]
    public void PartsWithoutDataAreLeftOut()
    {
        ReportModel sample = Sample();
        string html = Html(new ReportModel
        {
            Figures = sample.Figures with { Figures = [], Throughput = [] },
            Setups = [],
            Languages = [],
        });
        Assert.Contains("No bitext figures were measured.", html, StringComparison.Ordinal);
        Assert.DoesNotContain("Learning curves", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<svg", html, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
    }

    [Fact]
    public void CurvesWithoutFiniteValuesDoNotBreakThePage()
    {
        ReportModel sample = Sample();
        string html = Html(sample with
        {
            Curves = [new LearningCurve("multilingual", 1, [new CurvePoint(1, double.NaN), new CurvePoint(2, 3.5)], [])],
            Maps = [new CaptionMap("multilingual", [new CaptionMapPoint(double.NaN, 0, "en", "a"), new CaptionMapPoint(0, 0, "en", "b")], 1)],
        });
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
        Assert.DoesNotContain("∞", html, StringComparison.Ordinal);
    }

    [Fact]
    public void AMapCountsTranslationsThatAreNearest()
    {
        CaptionMapPoint[] points = [new(0, 0, "en", "dog"), new(0.1, 0, "qu", "dog"), new(5, 5, "en", "cat"), new(9, 9, "qu", "cat")];
        Assert.Equal(1, new CaptionMap("x", points, 0).TranslationIsNearest());
        points[3] = new(0.05, 0.01, "qu", "cat");
        Assert.Equal(0, new CaptionMap("x", points, 0).TranslationIsNearest());
        Assert.Null(new CaptionMap("x", [], 0).TranslationIsNearest());
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 2)]
    [InlineData(64, 64)]
    public void PngFilesHoldThePixels(int width, int height)
    {
        byte[] pixels = new byte[3 * width * height];
        CounterRandom random = new(1, 1, 0);
        for (int i = 0; i < pixels.Length; i++)
        {
            pixels[i] = (byte)random.Next(256);
        }

        byte[] png = PngEncoder.Encode(pixels, width, height);
        Assert.Equal([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], png[..8]);
        Dictionary<string, byte[]> chunks = [];
        int at = 8;
        while (at < png.Length)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            chunks.Add(Encoding.ASCII.GetString(png, at + 4, 4), png[(at + 8)..(at + 8 + length)]);
            Assert.Equal(Crc(png.AsSpan(at + 4, length + 4)), BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at + 8 + length)));
            at += length + 12;
        }

        Assert.Equal(["IHDR", "IDAT", "IEND"], chunks.Keys);
        Assert.Equal(width, BinaryPrimitives.ReadInt32BigEndian(chunks["IHDR"]));
        Assert.Equal(height, BinaryPrimitives.ReadInt32BigEndian(chunks["IHDR"].AsSpan(4)));
        using ZLibStream zlib = new(new MemoryStream(chunks["IDAT"]), CompressionMode.Decompress);
        byte[] lines = new byte[((3 * width) + 1) * height];
        zlib.ReadExactly(lines);
        byte[] decoded = new byte[pixels.Length];
        for (int y = 0; y < height; y++)
        {
            Assert.Equal(2, lines[y * ((3 * width) + 1)]);
            for (int i = 0; i < 3 * width; i++)
            {
                int above = y == 0 ? 0 : decoded[((y - 1) * 3 * width) + i];
                decoded[(y * 3 * width) + i] = unchecked((byte)(lines[(y * ((3 * width) + 1)) + 1 + i] + above));
            }
        }

        Assert.Equal(pixels, decoded);
        Assert.Throws<ArgumentException>(() => PngEncoder.Encode(pixels, width + 1, height));
    }

    [GeneratedRegex("(?:src|href|srcset|action)=\"([^\"]*)\"")]
    private static partial Regex Attributes();

    [GeneratedRegex("<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\"[^\"]*\"|[^>\"])*)>")]
    private static partial Regex Tags();

    // Bit by bit, unlike the encoder's table.
    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int k = 0; k < 8; k++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
            }
        }

        return ~crc;
    }

    private static string Html(ReportModel model) => ReportPage.ToHtml(model).Replace('\u00A0', ' ');

    private static ReportModel Sample()
    {
        ReportSetup[] setups =
        [
            new("none", "Untrained", "Nobody met: random weights.", [], false),
            new("eng-only", "English only", "Pictures with English captions.", ["en"], true),
            new("eng-pivot", "English pivot", "Captions with their English captions, no pictures.", ["en", "es", "ja", "hi"], false),
            new("multilingual", "Multilingual", "Pictures with captions in four languages, never two texts.", ["en", "es", "ja", "hi"], true),
            new("multilingual+quechua", "Multilingual + Quechua", "The same with Quechua captions.", s_languages, true),
        ];
        double[][] seen = [[0.03, 0, 0, 0.02], [0.06, 0.01, 0.01, 0.02], [0.96, 0.97, 0.97, 0.07], [0.921, 0.922, 0.941, 0.088], [0.904, 0.927, 0.933, 0.887]];
        double[] letters = [0.176, 0.011, 0.001, 0.082];
        int[] counts = [881, 950, 936, 661];
        (string Set, double Factor, int Pool)[] sets = [("seen", 1, 952), ("held-out-captions", 0.55, 187), ("unseen", 0.33, 130)];
        List<Figure> figures = [];
        for (int s = 0; s < setups.Length; s++)
        {
            for (int l = 1; l < s_languages.Length; l++)
            {
                for (int seed = 1; seed <= 3; seed++)
                {
                    foreach ((string set, double factor, int whole) in sets)
                    {
                        int pool = s_languages[l] == "qu" && set == "seen" ? 949 : whole;
                        int count = set == "seen" ? counts[l - 1] : pool * 4 / 5;
                        double rate = (seen[s][l - 1] * factor) + (s == 0 ? 0 : (seed - 2) * 0.01 * factor);
                        Figure figure = new()
                        {
                            Setup = setups[s].Name,
                            Seed = seed,
                            Task = "bitext",
                            From = s_languages[l],
                            To = "en",
                            Set = set,
                            Queries = "strict",
                            Score = "cosine",
                            Count = count,
                            Pool = pool,
                            R1 = rate,
                            R5 = rate,
                            R10 = rate,
                            Mrr = rate,
                            MedianRank = 1,
                            Wilson95 = [0, 1],
                            Baseline = new FigureBaseline(FigureBaseline.NGramName, letters[l - 1]),
                        };
                        figures.Add(figure);
                        figures.Add(figure with { From = "en", To = s_languages[l] });
                        figures.Add(figure with { Score = "csls" });
                    }
                }
            }

            foreach (string style in (string[])["noto", "openmoji"])
            {
                double rate = s < 3 ? 0.01 : style == "noto" ? 0.841 : 0.077;
                Figure figure = figures[^1] with { Task = "retrieval", Seed = 1, From = "picture", To = "en", Set = "seen", Style = style, Queries = "all", Score = "cosine", Count = 952, Pool = 952, R1 = rate, Baseline = null };
                figures.Add(figure);
                figures.Add(figure with { From = "en", To = "picture" });
            }
        }

        return new ReportModel
        {
            Figures = new FigureReport
            {
                Figures = figures,
                Throughput = [.. setups.Skip(1).Select(s => new SetupThroughput(s.Name, 5210, 1302, 91))],
                Run = new FigureRun("0.1.0", "1a2b3c4", "cpu (AVX2)", 2, [1, 2, 3], "photo-album", new DateTimeOffset(2026, 11, 22, 21, 0, 0, TimeSpan.Zero), 812),
            },
            Setups = setups,
            Languages = [new("en", "English"), new("es", "Spanish"), new("ja", "Japanese"), new("hi", "Hindi"), new("qu", "Quechua")],
            Notices = ["This is a made-up report for a test: no figure in it was measured."],
            Curves = [.. setups.Skip(1).SelectMany(s => (long[])[1, 2, 3], Curve)],
            Maps = [.. setups.Select((s, i) => Map(s.Name, i < 2 ? 30 : i == 2 ? 3 : i == 3 ? 4 : 1.5))],
            Panels =
            [
                new PicturePanel("Things seen in training", "8 concepts, evenly spaced.", [.. Enumerable.Range(0, 8).Select(Card)]),
                new PicturePanel("Things never seen", "4 concepts, evenly spaced.", [.. Enumerable.Range(8, 4).Select(Card)]),
            ],
            Configuration = [new("recipe", "album"), new("steps", "2400"), new("batchSize", "128"), new("optimizer", "adamw, learning rate 2e-3, weight decay 0.05")],
            Sources =
            [
                new DataSource("@iconify-json/noto", "1.2.9", "Apache-2.0", "pictures"),
                new DataSource("@iconify-json/openmoji", "1.2.29", "CC-BY-SA-4.0", "pictures of the unseen style"),
                new DataSource("cldr-annotations-full", "48.2.0", "Unicode-3.0", "captions"),
            ],
        };
    }

    private static LearningCurve Curve(ReportSetup setup, long seed)
    {
        CounterRandom random = new((ulong)seed, 2, (uint)setup.Name.Length);
        double speed = 300 + (20 * setup.Name.Length);
        return new LearningCurve(
            setup.Name,
            seed,
            [.. Enumerable.Range(1, 2400).Select(i => new CurvePoint(i, (4.8 * Math.Exp(-i / speed)) + 0.2 + (0.15 * random.NextNormal())))],
            [.. Enumerable.Range(1, 12).Select(i => new CurvePoint(i * 200, 0.35 * (1 - Math.Exp(-i * 200 / speed)) + (0.01 * random.NextNormal())))]);
    }

    private static CaptionMap Map(string setup, double apart)
    {
        CounterRandom random = new(7, 3, 0);
        List<CaptionMapPoint> points = [];
        for (int concept = 0; concept < 200; concept++)
        {
            double radius = 20 * Math.Sqrt(random.NextSingle());
            double angle = 6.2832 * random.NextSingle();
            for (int l = 0; l < s_languages.Length; l++)
            {
                double shift = l == 4 && apart is > 2 and < 10 ? 30 : apart > 10 ? 42 : 0;
                double direction = 6.2832 * l / 5;
                double jitter = Math.Min(apart, 2) * 0.25;
                points.Add(new CaptionMapPoint(
                    (radius * Math.Cos(angle)) + (shift * Math.Cos(direction)) + (jitter * random.NextNormal()),
                    (radius * Math.Sin(angle)) + (shift * Math.Sin(direction)) + (jitter * random.NextNormal()),
                    s_languages[l],
                    $"c{concept}"));
            }
        }

        return new CaptionMap(setup, points, 0.9);
    }

    private static PictureCard Card(int number)
    {
        const int Size = 64;
        byte[] pixels = new byte[3 * Size * Size];
        for (int i = 0; i < Size * Size; i++)
        {
            double dx = (i % Size) - 32;
            double dy = (i / Size) - 32;
            bool inside = number % 2 == 0 ? (dx * dx) + (dy * dy) < 24 * 24 : Math.Abs(dx) + Math.Abs(dy) < 26;
            for (int c = 0; c < 3; c++)
            {
                pixels[(3 * i) + c] = inside ? (byte)(((number * 67) + (c * 90)) % 230) : (byte)255;
            }
        }

        bool right = number % 3 != 0;
        return new PictureCard(
            pixels,
            Size,
            number % 4 == 0 ? "man in a long coat walking towards the house" : "dog face",
            "OpenMoji",
            "CC-BY-SA-4.0",
            [
                new("en", right ? "dog face" : "wolf", right, right ? null : "dog face", right ? 1 : 4),
                new("es", "cara de perro", true, null, 1),
                new("ja", right ? "イヌの顔" : "オオカミの顔", right, right ? null : "イヌの顔", right ? 1 : 2),
                new("hi", "कुत्ते का चेहरा", true, null, 1),
                new("qu", right ? "allqu uya" : "atuq", right, right ? null : "allqu uya", right ? 1 : 37),
            ]);
    }
}
