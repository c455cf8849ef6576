using System.Globalization;
using CrossAlign.Models.Data;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Evaluation.Report;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Experiments;

/// <summary>The parts of the report that show examples and words rather than figures.</summary>
internal static class ComparisonPanels
{
    /// <summary>A map of the names of seen concepts in all languages.</summary>
    public static CaptionMap Map(
        string setup, ConceptEmbeddings embeddings, IReadOnlyList<string> languages, int concepts, CancellationToken cancellation)
    {
        CaptionedPictures data = embeddings.Data;
        int[] named = [.. data.ConceptsOf(ConceptSet.Seen).Where(c => languages.All(l => data.NameOf(c, l) is not null))];
        int[] shown = Spread(named, concepts);
        List<float> rows = [];
        List<(string Language, string Concept)> points = [];
        int width = 0;
        foreach (string language in languages)
        {
            EmbeddingMatrix names = embeddings.Names(language).Select(shown);
            width = names.Columns;
            rows.AddRange(names.Values);
            points.AddRange(shown.Select(c => (language, data.NameOf(c, languages[0])!)));
        }

        if (points.Count < 4)
        {
            return new CaptionMap(setup, [], 0);
        }

        TSneMap map = TSne.Run(
            new EmbeddingMatrix(rows.ToArray(), points.Count, width),
            new TSneOptions { Perplexity = Math.Min(30, (points.Count - 1) / 3.0) },
            cancellation);
        return new CaptionMap(
            setup,
            [.. points.Select((p, i) => new CaptionMapPoint(map.X[i], map.Y[i], p.Language, p.Concept))],
            map.KullbackLeibler);
    }

    /// <summary>Pictures of seen and of unseen concepts with the caption that is nearest in each language.</summary>
    /// <param name="embeddings">Vectors of all concepts.</param>
    /// <param name="languages">The languages, the pivot first.</param>
    /// <param name="styles">The styles shown in turn: trained ones, then the unseen one.</param>
    /// <param name="count">Pictures a panel.</param>
    /// <param name="model">The set-up and seed, in words.</param>
    public static IReadOnlyList<PicturePanel> Pictures(
        ConceptEmbeddings embeddings, IReadOnlyList<string> languages, IReadOnlyList<string> styles, int count, string model)
    {
        return
        [
            Panel("Things seen in training", ConceptSet.Seen, "things seen in training"),
            Panel("Things never seen", ConceptSet.Unseen, "unseen things"),
        ];

        PicturePanel Panel(string title, ConceptSet set, string things)
        {
            List<PictureCard> cards = Cards(embeddings, languages, styles, set, count);
            string choice = string.Create(
                CultureInfo.InvariantCulture,
                $"{cards.Count} of the {things}, evenly spaced in the data set's order, {string.Join(" and ", styles.Select(s => embeddings.Data.Styles[embeddings.Data.StyleIndex(s)]).Select(s => s.Unseen ? $"{s.Title} (a style never seen)" : s.Title))} in turn; the model is {model}, and the candidates are the names of all {things}.");
            return new PicturePanel(title, choice, cards);
        }
    }

    private static List<PictureCard> Cards(
        ConceptEmbeddings embeddings, IReadOnlyList<string> languages, IReadOnlyList<string> styles, ConceptSet set, int count)
    {
        CaptionedPictures data = embeddings.Data;
        int[] pool = [.. data.ConceptsOf(set)];
        int[] chosen = Spread(pool, count);
        List<PictureCard> cards = [];
        for (int i = 0; i < chosen.Length; i++)
        {
            string styleName = styles[i % styles.Count];
            int style = data.StyleIndex(styleName);
            int picture = data.PictureOf(chosen[i], style);
            if (picture < 0)
            {
                continue;
            }

            EmbeddingMatrix query = embeddings.Pictures(styleName).Select([chosen[i]]);
            cards.Add(new PictureCard(
                data.Pictures[picture].ToArray(),
                data.Pictures.Size,
                data.NameOf(chosen[i], languages[0]) ?? data.Concepts[chosen[i]].Id,
                data.Styles[style].Title,
                data.Styles[style].Licence,
                [.. languages.Select(l => Nearest(embeddings, query, l, chosen[i], pool)).OfType<NearestCaption>()]));
        }

        return cards;
    }

    /// <summary>What a run is, in words.</summary>
    /// <param name="config">Its configuration.</param>
    /// <param name="name">What the figures call it: its set-up's name, that name with more in brackets, or one of its own.</param>
    public static ReportSetup Describe(RunConfig config, string name)
    {
        string languages = string.Join(", ", config.Languages.Select(LanguageNames.EnglishName));
        string family = FamilyOf(config);
        string[] starts = StartsOf(config);
        string setup = SetupOf(config);
        (string title, string description) = setup switch
        {
            Setups.Untrained when config.TextTower.From is null => ("Untrained", "Towers with random weights: what chance and the shapes of strings give."),
            Setups.Untrained => ("Untrained", $"The published text tower, {(config.Projection.TextStart == HeadStart.Drawn ? "behind a head with random weights" : "as it is")}."),
            "eng-only" => ("Eng-Only", "Pictures with English captions alone."),
            "eng-pivot" => ("Eng-Pivot", $"No pictures: captions in {languages} meet the English caption, as parallel text."),
            "multilingual" => ("Multilingual", $"Pictures with captions in {languages}; no two languages are ever paired as text."),
            "multilingual+quechua" => ("Multilingual + Quechua", $"The same with a further language: {languages}."),
            _ => (setup, $"Captions in {languages}."),
        };
        bool isNamedBySetup = name == setup || name.StartsWith(setup + " (", StringComparison.Ordinal);
        return new ReportSetup(
            name,
            isNamedBySetup ? title + name[setup.Length..] : name,
            starts.Length > 0 ? $"{description} Started from {string.Join(" and ", starts)}." : description,
            config.Steps == 0 ? [] : config.Languages,
            config.Objective == Objective.ImageText && config.Steps > 0,
            family);
    }

    /// <summary>The set-up that a run belongs to: without a step it is untrained, whatever it was to learn.</summary>
    /// <param name="config">Its configuration.</param>
    public static string SetupOf(RunConfig config) => config.Steps == 0 ? Setups.Untrained : config.Setup;

    /// <summary>What a run's texts start from, or else its pictures: runs of one family can be compared in words.</summary>
    /// <param name="config">Its configuration.</param>
    /// <returns>The name that people know, or empty for a run from scratch.</returns>
    public static string FamilyOf(RunConfig config) => StartsOf(config).FirstOrDefault(string.Empty);

    private static string[] StartsOf(RunConfig config) =>
    [
        .. new[] { config.TextTower.From, config.Objective == Objective.ImageText ? config.ImageTower.From : null }
            .OfType<string>().Select(PublishedTowers.NameOf).Distinct(StringComparer.Ordinal),
    ];

    /// <summary>The settings that a reader needs to do it again; what is the same for all runs is said once.</summary>
    /// <param name="runs">Titles and configurations.</param>
    public static IReadOnlyList<KeyValuePair<string, string>> Settings(IReadOnlyList<(string Title, RunConfig Config)> runs)
    {
        (string Title, IReadOnlyList<KeyValuePair<string, string>> Settings)[] each = [.. runs.Select(r => (r.Title, Settings(r.Config)))];
        List<KeyValuePair<string, string>> all = [];
        for (int i = 0; i < each[0].Settings.Count; i++)
        {
            string name = each[0].Settings[i].Key;
            IGrouping<string, string>[] values = [.. each.GroupBy(r => r.Settings[i].Value, r => r.Title)];
            all.AddRange(values.Select(v => new KeyValuePair<string, string>(values.Length == 1 ? name : $"{name} ({string.Join("; ", v)})", v.Key)));
        }

        return all;
    }

    private static List<KeyValuePair<string, string>> Settings(RunConfig c)
    {
        CultureInfo invariant = CultureInfo.InvariantCulture;
        string pieces = c.Tokenizer.Kind == TokenizerSource.Train ? string.Create(invariant, $"{c.Tokenizer.Pieces} pieces") : "a tokenizer of its own";
        string text = string.Create(
            invariant,
            $"{c.TextTower.Kind}, {Blocks(c.TextTower.Layers)}, {c.TextTower.Width} wide, {c.TextTower.Heads} heads, {pieces}, at most {c.Tokenizer.MaxTokens} tokens");
        string image = string.Create(
            invariant,
            $"{c.ImageTower.Kind}, {Blocks(c.ImageTower.Layers)}, {c.ImageTower.Width} wide, {c.ImageTower.ImageSize} x {c.ImageTower.ImageSize} pixels in patches of {c.ImageTower.PatchSize}");
        string most = c.Loss.ScaleMax is double max ? string.Create(invariant, $", at most {max:G4}") : string.Empty;
        string clip = c.Optimizer.Clip is double norm ? string.Create(invariant, $", clip {norm:G3}") : string.Empty;
        return
        [
            new("Text tower", text + Start(c.TextTower.From, c.TextTower.Freeze)),
            new("Image tower", c.Objective == Objective.ImageText ? image + Start(c.ImageTower.From, c.ImageTower.Freeze) : "none: English captions stand in for pictures"),
            new("Shared space", string.Create(invariant, $"{c.Projection.Width} dimensions")),
            new("Loss", string.Create(invariant, $"{c.Loss.Variant}, {(c.Loss.ScaleLearned ? "learned" : "fixed")} scale from {c.Loss.ScaleInit:G4}{most}")),
            new("Batch", string.Create(invariant, $"{c.BatchSize} pictures, {c.CaptionsPerPicture} captions each")),
            new("Optimiser", string.Create(invariant, $"{c.Optimizer.Kind}, {c.Steps} steps, learning rate {c.Optimizer.LearningRate:G3}, weight decay {c.Optimizer.WeightDecay:G3}{clip}")),
            new("Augmentation", c.Augmentation.ToString("G3", invariant)),
        ];

        static string Blocks(int count) => count == 1 ? "1 block" : string.Create(CultureInfo.InvariantCulture, $"{count} blocks");

        static string Start(string? from, string freeze) => from is null
            ? string.Empty
            : $"; from {PublishedTowers.NameOf(from)}{(freeze == "none" ? string.Empty : $", frozen: {freeze}")}";
    }

    private static NearestCaption? Nearest(ConceptEmbeddings embeddings, EmbeddingMatrix query, string language, int concept, int[] pool)
    {
        CaptionedPictures data = embeddings.Data;
        int[] named = [.. pool.Where(c => data.NameOf(c, language) is not null)];
        if (named.Length == 0)
        {
            return null;
        }

        EmbeddingMatrix names = embeddings.Names(language).Select(named);
        double[] scores = [.. Enumerable.Range(0, named.Length).Select(i => Dot(query.Row(0), names.Row(i)))];
        int best = named[Array.IndexOf(scores, scores.Max())];
        int right = Array.IndexOf(named, concept);
        return new NearestCaption(
            language,
            data.NameOf(best, language)!,
            best == concept,
            right < 0 ? null : data.NameOf(concept, language),
            right < 0 ? null : 1 + scores.Where((s, i) => i != right && s >= scores[right]).Count());
    }

    private static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            sum += (double)a[i] * b[i];
        }

        return sum;
    }

    // Evenly spaced in the given order: neighbours in a data set are alike.
    private static int[] Spread(int[] items, int count) => items.Length <= count
        ? items
        : [.. Enumerable.Range(0, count).Select(i => items[(int)((long)i * items.Length / count)])];
}
