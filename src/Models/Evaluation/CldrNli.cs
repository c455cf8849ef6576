using CrossAlign.Models.Data;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Evaluation;

/// <summary>
/// A proxy for natural language inference made from short names and keywords. It is not XNLI: the premise is a concept's name, the
/// hypothesis its own keyword (entailment 0), a keyword of another concept of the same subgroup (neutral 1) or of another top group
/// (contradiction 2). A classifier learns on one language's train concepts and is tested on every language's other concepts; chance is
/// one third.
/// </summary>
public static class CldrNli
{
    private const int LabelCount = 3;

    // "NLI": a stream of its own; the item is the concept.
    private const uint Stream = 0x4E4C49;

    /// <summary>The pairs of some concepts in a language: as many of each label.</summary>
    /// <param name="data">The data set; its concepts need categories and subcategories.</param>
    /// <param name="language">The language.</param>
    /// <param name="concepts">Whose names are premises; keywords of the others come from the same concepts alone.</param>
    /// <param name="pairsPerLabel">Pairs that a concept gives at most for each label.</param>
    /// <param name="seed">Seed of the choice.</param>
    /// <returns>
    /// The pairs. A concept without a name, without keywords or without another concept of its subgroup that has keywords of its own
    /// gives none; a hypothesis for labels 1 and 2 is never one of the premise's own keywords.
    /// </returns>
    /// <exception cref="UserErrorException">The data set has no such language.</exception>
    public static IReadOnlyList<CldrNliPair> Pairs(
        CaptionedPictures data, string language, IReadOnlyList<int> concepts, int pairsPerLabel, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(concepts);
        ArgumentOutOfRangeException.ThrowIfLessThan(pairsPerLabel, 1);
        int index = data.LanguageIndex(language);
        int[] worded = [.. concepts.Where(c => data.Concepts[c].CaptionsIn(index) is { HasName: true, Keywords.Count: > 0 })];
        ILookup<string, int> bySubgroup = worded.ToLookup(c => data.Concepts[c].Subcategory);
        List<CldrNliPair> pairs = [];
        foreach (int concept in worded)
        {
            ConceptCaptions own = data.Concepts[concept].CaptionsIn(index)!;
            HashSet<string> excluded = [.. own.Keywords, own.Name];
            int[] near = [.. bySubgroup[data.Concepts[concept].Subcategory].Where(c => c != concept)];
            int[] far = [.. worded.Where(c => data.Concepts[c].Category != data.Concepts[concept].Category)];
            CounterRandom random = new(seed, Stream, (uint)concept);
            string[] keywords = [.. own.Keywords];
            random.Shuffle(keywords.AsSpan());
            foreach (string keyword in keywords.Take(pairsPerLabel))
            {
                string? neutral = Draw(near, ref random);
                string? contradiction = Draw(far, ref random);
                if (neutral is not null && contradiction is not null)
                {
                    pairs.Add(new CldrNliPair(own.Name, keyword, 0));
                    pairs.Add(new CldrNliPair(own.Name, neutral, 1));
                    pairs.Add(new CldrNliPair(own.Name, contradiction, 2));
                }
            }

            string? Draw(int[] others, ref CounterRandom draw)
            {
                // A few tries are enough: nearly every other concept has a keyword of its own.
                for (int attempt = 0; attempt < 20 && others.Length > 0; attempt++)
                {
                    IReadOnlyList<string> words = data.Concepts[others[draw.Next(others.Length)]].CaptionsIn(index)!.Keywords;
                    string word = words[draw.Next(words.Count)];
                    if (!excluded.Contains(word))
                    {
                        return word;
                    }
                }

                return null;
            }
        }

        return pairs;
    }

    /// <summary>Trains the classifier on frozen vectors and tests it in every language.</summary>
    /// <param name="origin">Set-up and seed.</param>
    /// <param name="data">The data set; its concepts need categories and subcategories.</param>
    /// <param name="languages">The languages to test.</param>
    /// <param name="encode">Gives a vector for each text.</param>
    /// <param name="device">The processor to compute on.</param>
    /// <param name="options">Settings; the defaults where null.</param>
    /// <param name="cancellationToken">Stops the training.</param>
    /// <returns>
    /// A figure a language: R@1 is the accuracy on validation and test concepts, the baseline is chance, other rates are null.
    /// </returns>
    /// <exception cref="UserErrorException">The data set has no such language, or not enough keywords to make pairs of.</exception>
    public static IReadOnlyList<Figure> Measure(
        FigureOrigin origin,
        CaptionedPictures data,
        IReadOnlyList<string> languages,
        Func<IReadOnlyList<string>, EmbeddingMatrix> encode,
        CpuDevice device,
        CldrNliOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(origin);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(languages);
        ArgumentNullException.ThrowIfNull(encode);
        options ??= new CldrNliOptions();
        (EmbeddingMatrix premises, EmbeddingMatrix hypotheses, int[] labels) = Encoded(options.TrainingLanguage, data.ConceptsOf(DataSplit.Train));
        using SentencePairClassifier classifier = new(device, premises.Columns, options.Classifier with { Classes = LabelCount });
        classifier.Fit(premises, hypotheses, labels, validation: null, cancellationToken);

        int[] held = [.. data.ConceptsOf(DataSplit.Validation), .. data.ConceptsOf(DataSplit.Test)];
        List<Figure> figures = [];
        foreach (string language in languages)
        {
            (premises, hypotheses, labels) = Encoded(language, held);
            double accuracy = classifier.Accuracy(premises, hypotheses, labels);
            WilsonInterval interval = WilsonInterval.OfShare(accuracy, labels.Length);
            figures.Add(new Figure
            {
                Setup = origin.Setup,
                Seed = origin.Seed,
                Task = FigureTasks.CldrNli,
                From = language,
                To = language,
                Set = "validation+unseen",
                Queries = FigureNames.Of(QuerySubset.All),
                Score = "classifier",
                Count = labels.Length,
                Pool = LabelCount,
                R1 = accuracy,
                R5 = null,
                R10 = null,
                Mrr = null,
                MedianRank = null,
                Wilson95 = [interval.Low, interval.High],
                Baseline = new FigureBaseline(FigureBaseline.ChanceName, 1.0 / LabelCount),
            });
        }

        return figures;

        (EmbeddingMatrix Premises, EmbeddingMatrix Hypotheses, int[] Labels) Encoded(string language, int[] concepts)
        {
            IReadOnlyList<CldrNliPair> pairs = Pairs(data, language, concepts, options.PairsPerLabel, options.Seed);
            if (pairs.Count == 0)
            {
                throw new UserErrorException(
                    $"{data.Name} has too few keywords in language '{language}' for the inference proxy", "leave cldr-nli out of the tasks");
            }

            // Every text is encoded once: a keyword stands in many pairs.
            Dictionary<string, int> places = [];
            foreach (CldrNliPair pair in pairs)
            {
                places.TryAdd(pair.Premise, places.Count);
                places.TryAdd(pair.Hypothesis, places.Count);
            }

            EmbeddingMatrix vectors = encode([.. places.OrderBy(p => p.Value).Select(p => p.Key)]);
            return (
                vectors.Select([.. pairs.Select(p => places[p.Premise])]),
                vectors.Select([.. pairs.Select(p => places[p.Hypothesis])]),
                [.. pairs.Select(p => p.Label)]);
        }
    }
}
