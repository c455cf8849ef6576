using System.Text.Json;

namespace CrossAlign.Cli.Tests;

public sealed class TokenizeCommandTests(TinyRun tiny) : IClassFixture<TinyRun>
{
    [Theory]
    [InlineData("sentencepiece.bpe.model", true)]
    [InlineData("tokenizer.json", false)]
    public async Task EveryGoldenTextGivesItsIdsAndPieces(string file, bool isSentencePiece)
    {
        Invocation run = await Invocation.RunAsync(
            "tokenize", "--tokenizer", Fixtures.PathOf("tokenizer", "unigram-nfkc", file), "--jsonl", Fixtures.PathOf("tokenizer", "texts.jsonl"));
        Assert.Equal(0, run.ExitCode);
        Assert.Empty(run.Error);
        Dictionary<string, JsonElement> lines = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(l => JsonElement.Parse(l)).ToDictionary(l => l.GetProperty("id").GetString()!);
        int compared = 0;
        foreach (string text in File.ReadLines(Fixtures.PathOf("tokenizer", "unigram-nfkc", "golden.jsonl")).Where(l => l.Length > 0))
        {
            JsonElement golden = JsonElement.Parse(text);

            JsonElement line = lines[golden.GetProperty("id").GetString()!];
            string key = isSentencePiece && golden.TryGetProperty("sp_pieces", out _) ? "sp_pieces" : "pieces";
            if (golden.TryGetProperty(key, out JsonElement pieces))
            {
                Assert.Equal(pieces.EnumerateArray().Select(p => p.GetString()), line.GetProperty("pieces").EnumerateArray().Select(p => p.GetString()));
            }

            // Each form of the file against its own library: there are texts where the two libraries differ.
            Assert.Equal(isSentencePiece, line.TryGetProperty("pieceIds", out _));
            Assert.Equal(Ints(golden, isSentencePiece ? "sp_ids" : "ids"), Ints(line, isSentencePiece ? "pieceIds" : "ids"));
            Assert.Equal(isSentencePiece ? Ints(line, "pieceIds").Length + 2 : Ints(golden, "ids").Length, Ints(line, "ids").Length);
            compared++;
        }

        Assert.Equal(1465, compared);
    }

    [Fact]
    public async Task LinesOfStandardInputAreNumberedFromNaughtAndEmptyOnesCount()
    {
        Invocation run = await Invocation.RunAsync(
            "\uFEFFa dog\r\n\n犬"u8.ToArray(), "tokenize", "--tokenizer", Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"));
        Assert.Equal(0, run.ExitCode);
        JsonElement[] lines = [.. run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l))];
        Assert.Equal([0, 1, 2], lines.Select(l => l.GetProperty("id").GetInt32()));
        Assert.Equal(2, Ints(lines[1], "ids").Length);
        Assert.DoesNotContain(lines[0].GetProperty("pieces").EnumerateArray(), p => p.GetString()!.Contains('\r', StringComparison.Ordinal));
    }

    [Fact]
    public async Task AsOneDocumentTheLinesAreAList()
    {
        string tokenizer = Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json");
        Invocation run = await Invocation.RunAsync("a dog\na cat\n"u8.ToArray(), "tokenize", "--json", "--tokenizer", tokenizer);
        Assert.Equal(2, JsonElement.Parse(run.Output).GetArrayLength());
        Invocation none = await Invocation.RunAsync("tokenize", "--json", "--tokenizer", tokenizer);
        Assert.Equal(0, JsonElement.Parse(none.Output).GetArrayLength());
    }

    [Fact]
    public async Task ARunTokenizesTextsAsItsTowerWasTrainedOnThem()
    {
        Invocation run = await Invocation.RunAsync("Un CÍRCULO rojo!"u8.ToArray(), "tokenize", "--tokenizer", tiny.Folder);
        Assert.True(run.ExitCode == 0, run.Error);
        string file = Path.Combine(tiny.Folder, "checkpoints", "step-00000003", "text", "tokenizer.json");
        Invocation plain = await Invocation.RunAsync("un círculo rojo"u8.ToArray(), "tokenize", "--tokenizer", file);
        Assert.Equal(plain.Output, run.Output);
        Invocation raw = await Invocation.RunAsync("Un CÍRCULO rojo!"u8.ToArray(), "tokenize", "--tokenizer", file);
        Assert.NotEqual(raw.Output, run.Output);
    }

    [Fact]
    public async Task AWrongInvocationExitsWithTwo()
    {
        Invocation none = await Invocation.RunAsync("tokenize");
        Assert.Equal(2, none.ExitCode);
        Assert.Contains("--tokenizer", none.Error, StringComparison.Ordinal);
        Invocation missing = await Invocation.RunAsync("tokenize", "--tokenizer", "no-such.model");
        Assert.Equal(2, missing.ExitCode);
        Assert.StartsWith("error: there is no tokenizer 'no-such.model' (", Assert.Single(missing.ErrorLines), StringComparison.Ordinal);
        Invocation file = await Invocation.RunAsync(
            "tokenize", "--tokenizer", Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"), "--jsonl", "no-such.jsonl");
        Assert.Equal(2, file.ExitCode);
        Assert.Contains("no-such.jsonl", file.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EveryInvalidByteSequenceIsAnErrorThatNamesItsLine()
    {
        int compared = 0;
        foreach (string line in File.ReadLines(Fixtures.PathOf("tokenizer", "invalid.jsonl")).Where(l => l.Length > 0))
        {
            byte[] bytes = [.. "fine\n"u8, .. JsonElement.Parse(line).GetProperty("base64").GetBytesFromBase64()];
            Invocation run = await Invocation.RunAsync(bytes, "tokenize", "--tokenizer", Fixtures.PathOf("tokenizer", "unigram-nfkc", "sentencepiece.bpe.model"));
            Assert.Equal(1, run.ExitCode);
            Assert.StartsWith("error: line 2 of standard input is not UTF-8", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
            compared++;
        }

        Assert.True(compared > 3);
    }

    [Theory]
    [InlineData("{\"id\": \"a\"}", "text")]
    [InlineData("{\"id\": [], \"text\": \"a\"}", "id")]
    [InlineData("{\"id\": \"a\", \"text\": \"\\ud800\"}", "surrogate")]
    [InlineData("a dog", "JSON")]
    public async Task ALineThatHoldsNoTextIsNamed(string line, string named)
    {
        using TemporaryFolder folder = new();
        string file = folder.Write("texts.jsonl", "{\"text\": \"fine\"}\n\n" + line + "\n");
        Invocation run = await Invocation.RunAsync("tokenize", "--tokenizer", Fixtures.PathOf("tokenizer", "bpe-bytes", "tokenizer.json"), "--jsonl", file);
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: line 3 of '", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(named, run.Error, StringComparison.Ordinal);
    }

    private static int[] Ints(JsonElement line, string key) => [.. line.GetProperty(key).EnumerateArray().Select(i => i.GetInt32())];
}
