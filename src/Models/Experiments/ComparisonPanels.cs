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

    /// <summary>What a set-up is, in words.</summary>
    public static ReportSetup Describe(RunConfig config)
    {
        string languages = string.Join(", ", config.Languages.Select(LanguageNames.EnglishName));
        (string title, string description) = config.Setup switch
        {
            "none" => ("Untrained", "Towers with random weights: what chance and the shapes of strings give."),
            "eng-only" => ("Eng-Only", "Pictures with English captions alone."),
            "eng-pivot" => ("Eng-Pivot", $"No pictures: captions in {languages} meet the English caption, as parallel text."),
            "multilingual" => ("Multilingual", $"Pictures with captions in {languages}; no two languages are ever paired as text."),
            "multilingual+quechua" => ("Multilingual + Quechua", $"The same with a further language: {languages}."),
            _ => (config.Setup, $"Captions in {languages}."),
        };
        return new ReportSetup(
            config.Setup, title, description, config.Steps == 0 ? [] : config.Languages, config.Objective == Objective.ImageText && config.Steps > 0);
    }

    /// <summary>The settings that a reader needs to do it again.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Settings(RunConfig c)
    {
        CultureInfo invariant = CultureInfo.InvariantCulture;
        return
        [
            new("Text tower", string.Create(invariant, $"{c.TextTower.Kind}, {c.TextTower.Layers} block, {c.TextTower.Width} wide, {c.TextTower.Heads} heads, {c.Tokenizer.Pieces} pieces, at most {c.Tokenizer.MaxTokens} tokens")),
            new("Image tower", string.Create(invariant, $"{c.ImageTower.Kind}, {c.ImageTower.Layers} block, {c.ImageTower.Width} wide, {c.ImageTower.ImageSize} x {c.ImageTower.ImageSize} pixels in patches of {c.ImageTower.PatchSize}")),
            new("Shared space", string.Create(invariant, $"{c.Projection.Width} dimensions")),
            new("Loss", string.Create(invariant, $"{c.Loss.Variant}, learned scale from {c.Loss.ScaleInit:G4}, at most {c.Loss.ScaleMax:G4}")),
            new("Batch", string.Create(invariant, $"{c.BatchSize} pictures, {c.CaptionsPerPicture} captions each")),
            new("Optimiser", string.Create(invariant, $"{c.Optimizer.Kind}, {c.Steps} steps, learning rate {c.Optimizer.LearningRate:G3}, weight decay {c.Optimizer.WeightDecay:G3}, clip {c.Optimizer.Clip:G3}")),
            new("Augmentation", c.Augmentation.ToString("G3", invariant)),
        ];
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
