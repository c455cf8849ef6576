using CrossAlign.Models.Data;
using CrossAlign.Models.Encoders;
using CrossAlign.Models.Evaluation;
using CrossAlign.Models.Tokenization;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Training;

/// <summary>
/// Looks at the validation concepts during training: R@1 between names and pictures (or English names under a text-text objective),
/// both directions, a language at a time. Neither test concepts nor the unseen style are touched.
/// </summary>
internal sealed class ValidationProbe
{
    private readonly RunConfig _config;
    private readonly CaptionedPictures _data;
    private readonly ConceptEmbedder _embedder;
    private readonly int[] _concepts;
    private readonly int[] _pictures;

    /// <summary>Prepares.</summary>
    /// <param name="config">The run's configuration.</param>
    /// <param name="data">The data set.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="model">The towers.</param>
    /// <param name="inputs">How texts and pictures enter them.</param>
    public ValidationProbe(RunConfig config, CaptionedPictures data, ITokenizer tokenizer, TwoTowerModel model, TowerInputs inputs)
    {
        _config = config;
        _data = data;
        _embedder = new ConceptEmbedder(model, tokenizer, inputs);
        int[] styles = [.. Enumerable.Range(0, data.Styles.Count).Where(IsTrained)];
        (int Concept, int Picture)[] pairs =
        [
            .. data.ConceptsOf(DataSplit.Validation)
                .Select(c => (c, styles.Select(s => data.PictureOf(c, s)).FirstOrDefault(p => p >= 0, -1)))
                .Where(p => p.Item2 >= 0),
        ];
        _concepts = [.. pairs.Select(p => p.Concept)];
        _pictures = [.. pairs.Select(p => p.Picture)];

        bool IsTrained(int style) => config.Styles is null or [] ? !data.Styles[style].Unseen : config.Styles.Contains(data.Styles[style].Name);
    }

    /// <summary>Evaluates the model as it stands.</summary>
    /// <param name="step">The step it stands at.</param>
    /// <returns>The figures; without languages where the data has no validation concepts.</returns>
    public EvaluationReport Run(int step)
    {
        bool toPictures = _config.Objective == Objective.ImageText;
        string[] english = Names("en", out int[] englishPlaces);
        EmbeddingMatrix? pool = toPictures
            ? (_pictures.Length == 0 ? null : _embedder.EmbedPictures(_data.Pictures, _pictures))
            : (english.Length == 0 ? null : _embedder.EmbedTexts(english));
        int[] poolPlaces = toPictures ? [.. Enumerable.Range(0, _pictures.Length)] : englishPlaces;
        List<LanguageRecall> languages = [];
        foreach (string language in _config.Languages)
        {
            if (pool is null || (!toPictures && language == "en"))
            {
                continue;
            }

            string[] names = Names(language, out int[] places);
            int[] both = [.. Enumerable.Range(0, names.Length).Where(i => Array.BinarySearch(poolPlaces, places[i]) >= 0)];
            if (both.Length == 0)
            {
                continue;
            }

            EmbeddingMatrix captions = _embedder.EmbedTexts([.. both.Select(i => names[i])]);
            EmbeddingMatrix targets = pool.Select([.. both.Select(i => Array.BinarySearch(poolPlaces, places[i]))]);
            languages.Add(new LanguageRecall(language, Recall(captions, targets), Recall(targets, captions)));
        }

        return new EvaluationReport(step, _concepts.Length, languages);
    }

    private static double Recall(EmbeddingMatrix queries, EmbeddingMatrix pool) =>
        RetrievalMetrics.FromRanks(Retrieval.Ranks(new ScoreRows(queries, pool, SimilarityScore.Cosine)), pool.Rows).R1;

    // The names that a language has among the validation concepts, and which concepts these are.
    private string[] Names(string language, out int[] places)
    {
        int index = _data.LanguageIndex(language);
        places = [.. Enumerable.Range(0, _concepts.Length).Where(i => _data.Concepts[_concepts[i]].CaptionsIn(index) is { HasName: true })];
        return Array.ConvertAll(places, i => _data.Concepts[_concepts[i]].CaptionsIn(index)!.Name);
    }
}
