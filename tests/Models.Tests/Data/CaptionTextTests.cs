using System.Diagnostics;
using CrossAlign.Models.Data;

namespace CrossAlign.Models.Tests.Data;

public class CaptionTextTests
{
    [Theory]
    [InlineData("Sun with Face", "sun with face")]
    [InlineData("  flag:  Per\u00FA ", "flag per\u00FA")]
    [InlineData("“A” bar", "a bar")]
    [InlineData("\u00BFqu\u00E9? \u00A1s\u00ED!", "qu\u00E9 s\u00ED")]
    [InlineData("\u732B\u3002\u72AC\u3001\u9CE5", "\u732B \u72AC \u9CE5")]
    [InlineData("\uFF21\uFF22\u3000\uFF11", "ab 1")]
    [InlineData("\uFB01sh", "fish")]
    [InlineData("e\u0301", "\u00E9")]
    [InlineData("a|b.c;d", "a b c d")]
    [InlineData("...", "")]
    [InlineData("", "")]
    [InlineData("t-shirt", "t-shirt")]
    public void Captions_are_normalised(string text, string expected) => Assert.Equal(expected, CaptionText.Normalize(text));

    /// <summary>The Turkish culture lower-cases I to a dotless i; a caption's bits must not depend on where the program runs.</summary>
    [Fact]
    public void Lower_case_does_not_depend_on_the_culture()
    {
        System.Globalization.CultureInfo before = System.Globalization.CultureInfo.CurrentCulture;
        try
        {
            System.Globalization.CultureInfo.CurrentCulture = new("tr-TR");
            Assert.Equal("inti", CaptionText.Normalize("INTI"));
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Half_a_surrogate_pair_is_an_error_that_shows_the_text()
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => CaptionText.Normalize("sun \uD83C"));
        Assert.Contains("\\ud83c", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Apostrophes_become_one() => Assert.Equal("ch'aska t'ika k'uchu", CaptionText.UnifyApostrophes("ch\u2019aska t\u02BCika k'uchu"));

    [Fact]
    public void Keywords_lose_repeats_empty_ones_and_the_name() =>
        Assert.Equal(["face", "bright sun"], CaptionText.Keywords(["Face", "sun", "", "FACE", "Bright  Sun", "?"], "sun"));

    [Theory]
    [InlineData("qu", "inti uyawan", "sun with face", "sol con cara", true)]
    [InlineData("qu", "puka sol", "red sun", "sol rojo", false)]
    [InlineData("qu", "emoji inti", "emoji", "sol", false)]
    [InlineData("es", "sol con cara", "sun with face", "sol con cara", true)]
    [InlineData("es", "radio antigua", "old radio", "radio antigua", false)]
    [InlineData("es-MX", "sol con cara", "sun with face", "sol con cara", true)]
    [InlineData("est", "sol", "sun", "sol", false)]
    public void Strict_queries_share_no_word(string language, string name, string english, string spanish, bool strict) =>
        Assert.Equal(strict, CaptionText.IsStrict(language, name, english, spanish));

    [Fact]
    public void Words_are_what_white_space_separates() => Assert.Equal(["a-b", "c'd"], CaptionText.Words("a-b c'd"));

    /// <summary>In that mode NFKC silently does nothing: every text would be split and compared wrongly.</summary>
    [Fact]
    public async Task In_globalization_invariant_mode_it_refuses_to_work()
    {
        string host = Environment.ProcessPath!;
        List<string> arguments = ["--filter-method", "*CaptionTextTests.Captions_are_normalised"];
        if (Path.GetFileNameWithoutExtension(host) == "dotnet")
        {
            arguments.Insert(0, typeof(CaptionTextTests).Assembly.Location);
        }

        ProcessStartInfo start = new(host, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken) + await errors;
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.NotEqual(0, process.ExitCode);
        Assert.Contains("globalization-invariant mode", output, StringComparison.Ordinal);
    }
}
