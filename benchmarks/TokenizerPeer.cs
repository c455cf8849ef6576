using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using CrossAlign.Models.Tokenization;

namespace CrossAlign.Benchmarks;

/// <summary>
/// Tokens a second beside the SentencePiece C++ library: both are checked to give the same ids, then take turns in one run, each on
/// one thread. <c>dotnet run -c Release --project benchmarks -- tokenizer-peer MODEL_FOLDER TEXTS [ROUNDS]</c>
/// </summary>
/// <remarks>
/// Debian's library (0.1.97) compares unrounded sums; later releases, which this project follows, compare them as single-precision
/// numbers. In texts of many languages a few near-ties differ for that reason; how many is printed.
/// "Cold" starts with an empty cache of words, "warm" has seen the texts before. All figures are medians of the rounds; ratios have their range beside them.
/// </remarks>
internal static class TokenizerPeer
{
    /// <summary>Runs the comparison.</summary>
    /// <param name="args">The folder with <c>sentencepiece.bpe.model</c> (and <c>tokenizer.json</c>), the text file, the rounds.</param>
    public static void Run(string[] args)
    {
        string folder = args[0];
        string textFile = args[1];
        int rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 5;
        string model = Path.Combine(folder, "sentencepiece.bpe.model");
        string json = Path.Combine(folder, "tokenizer.json");
        string[] texts = File.ReadAllText(textFile).TrimEnd('\n').Split('\n');
        long bytes = new FileInfo(textFile).Length;
        using Process peer = Start(model, textFile);
        Check(peer, Tokenizer.Load(model), texts);

        Dictionary<string, List<double>> rates = [];
        double[] ratioCold = new double[rounds];
        double[] ratioWarm = new double[rounds];
        for (int round = 0; round < rounds; round++)
        {
            double batch = Record(rates, "C++, one call for all", Ask(peer, "batch"));
            double single = Record(rates, "C++, one call a text", Ask(peer, "single"));
            (double cold, double warm) = Time(rates, model);
            ratioCold[round] = cold / Math.Max(batch, single);
            ratioWarm[round] = warm / Math.Max(batch, single);
            if (File.Exists(json))
            {
                Time(rates, json);
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{texts.Length} texts, {bytes / 1e6:F1} MB, {rounds} rounds, medians"));
        foreach ((string name, List<double> values) in rates)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-34} {Median(values) / 1e6,7:F2} million tokens/s"));
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $".model against the faster C++ form of its round: cold {Median(ratioCold):F2}x ({ratioCold.Min():F2} to {ratioCold.Max():F2}), warm {Median(ratioWarm):F2}x ({ratioWarm.Min():F2} to {ratioWarm.Max():F2})"));

        (double Cold, double Warm) Time(Dictionary<string, List<double>> into, string file)
        {
            ITokenizer tokenizer = Tokenizer.Load(file);
            string name = Path.GetExtension(file) == ".json" ? "tokenizer.json" : ".model";
            double cold = Record(into, $"CrossAlign {name}, cold", Encode(tokenizer, texts));
            return (cold, Record(into, $"CrossAlign {name}, warm", Encode(tokenizer, texts)));
        }
    }

    private static (double Seconds, long Tokens) Encode(ITokenizer tokenizer, string[] texts)
    {
        List<int> ids = [];
        long tokens = 0;
        Stopwatch watch = Stopwatch.StartNew();
        foreach (string text in texts)
        {
            ids.Clear();
            tokenizer.Encode(text, ids);
            tokens += ids.Count - tokenizer.AddedTokenCount;
        }

        return (watch.Elapsed.TotalSeconds, tokens);
    }

    private static Process Start(string model, string texts)
    {
        string script = Path.Combine("benchmarks", "sentencepiece", "encode.py");
        ProcessStartInfo start = new("/usr/bin/python3") { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add(script);
        start.ArgumentList.Add(model);
        start.ArgumentList.Add(texts);
        return Process.Start(start) ?? throw new InvalidOperationException("python3 did not start.");
    }

    private static void Check(Process peer, ITokenizer tokenizer, string[] texts)
    {
        peer.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"pieces {texts.Length}"));
        using JsonDocument answer = JsonDocument.Parse(peer.StandardOutput.ReadLine()!);
        int different = 0;
        int at = 0;
        foreach (JsonElement expected in answer.RootElement.EnumerateArray())
        {
            different += expected.EnumerateArray().Select(i => i.GetInt32()).SequenceEqual(tokenizer.Tokenize(texts[at]).FileIds!)
                && tokenizer.Encode(texts[at]).SequenceEqual(tokenizer.Tokenize(texts[at]).Ids) ? 0 : 1;
            at++;
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{different} of {at} texts differ from the C++ library"));
    }

    private static (double Seconds, long Tokens) Ask(Process peer, string command)
    {
        peer.StandardInput.WriteLine(command);
        using JsonDocument answer = JsonDocument.Parse(peer.StandardOutput.ReadLine()!);
        return (answer.RootElement.GetProperty("seconds").GetDouble(), answer.RootElement.GetProperty("tokens").GetInt64());
    }

    private static double Record(Dictionary<string, List<double>> rates, string name, (double Seconds, long Tokens) timed)
    {
        if (!rates.TryGetValue(name, out List<double>? list))
        {
            rates[name] = list = [];
        }

        list.Add(timed.Tokens / timed.Seconds);
        return list[^1];
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
