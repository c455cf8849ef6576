using System.Globalization;

namespace CrossAlign.Models.Evaluation.Report;

/// <summary>The answer in plain words, made from the figures alone: whatever they say.</summary>
internal static class ReportSummary
{
    private const string Set = "seen";
    private const string Score = "cosine";

    /// <summary>Sentences that answer the paper's question for the set-ups at hand.</summary>
    /// <param name="model">The report.</param>
    /// <returns>A verdict and what it rests on, a paragraph each; empty where nothing fits the question.</returns>
    internal static IReadOnlyList<(string Verdict, string Evidence)> Of(ReportModel model)
    {
        List<(string Verdict, string Evidence)> answer = [];
        foreach (ReportSetup[] family in Families(model))
        {
            ReportSetup? multilingual = Widest(family, withNewcomer: false);
            ReportSetup? joined = Widest(family, withNewcomer: true);
            if ((joined ?? multilingual) is { } best)
            {
                // What a published tower knew before is no merit of the pictures.
                ReportSetup? before = best.Family.Length == 0 ? null : Array.Find(family, s => s.Languages.Count == 0);
                AddMeeting(answer, model, best, before);
            }

            if (multilingual is not null && joined is not null)
            {
                foreach (string code in joined.Languages.Except(multilingual.Languages))
                {
                    AddNewcomer(answer, model, code, multilingual, joined);
                }
            }
        }

        return answer;
    }

    /// <summary>The language that joins by its captions alone, and the two set-ups that show it: for the figures at the top.</summary>
    /// <param name="model">The report.</param>
    /// <returns>The language, the set-up without and the one with it; null where the set-ups do not show this.</returns>
    internal static (ReportLanguage Language, SeedStatistics Without, SeedStatistics With)? Newcomer(ReportModel model)
    {
        foreach (ReportSetup[] family in Families(model))
        {
            if (Widest(family, withNewcomer: false) is not { } multilingual || Widest(family, withNewcomer: true) is not { } joined)
            {
                continue;
            }

            foreach (string code in joined.Languages.Except(multilingual.Languages))
            {
                if (Strict(model, multilingual, code) is { Mean: not null } without && Strict(model, joined, code) is { Mean: not null } with)
                {
                    return (Language(model, code), without, with);
                }
            }
        }

        return null;
    }

    /// <summary>A share as a percentage with one decimal.</summary>
    /// <param name="share">A fraction of 1.</param>
    /// <returns><c>88.7 %</c>, held together by a no-break space.</returns>
    internal static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.0}\u00A0%");

    private static void AddMeeting(List<(string Verdict, string Evidence)> answer, ReportModel model, ReportSetup setup, ReportSetup? untrained)
    {
        List<string> parts = [];
        int better = 0;
        int compared = 0;
        foreach (string code in setup.Languages.Where(l => l != model.Pivot))
        {
            if (Strict(model, setup, code) is { Mean: { } mean } statistics)
            {
                SeedStatistics? first = untrained is null ? null : Strict(model, untrained, code);
                string baseline = first?.Mean is { } was ? $" (before: {Percent(was)})" : statistics.Baseline is { } b ? $" (letters alone: {Percent(b)})" : string.Empty;
                parts.Add($"{Percent(mean)} of the {Language(model, code).Name} queries{baseline}");
                compared++;
                better += (first is null ? statistics.ExceedsBaseline : statistics.Interval.Low > first.Interval.High) ? 1 : 0;
            }
        }

        if (parts.Count == 0)
        {
            return;
        }

        string verdict = untrained is not null
            ? $"Tuning brought {(better == compared ? "all" : string.Create(CultureInfo.InvariantCulture, $"{better} of {compared}"))} languages closer to {Language(model, model.Pivot).Name}."
            : better == compared
            ? "The languages met."
            : better == 0
                ? "The languages did not meet: no language is found better than by comparing letters."
                : $"The languages met in part: {better} of {compared} are found better than by comparing letters.";
        string evidence =
            $"In set-up “{setup.Title}” the name of a thing seen in training finds its {Language(model, model.Pivot).Name} name first in "
            + $"{string.Join(", ", parts)}. Only strict queries are counted: the two names share no word.";
        answer.Add((verdict, evidence));
    }

    private static void AddNewcomer(List<(string Verdict, string Evidence)> answer, ReportModel model, string code, ReportSetup without, ReportSetup with)
    {
        if (Strict(model, without, code) is not { Mean: { } before } first || Strict(model, with, code) is not { Mean: { } after } second)
        {
            return;
        }

        string name = Language(model, code).Name;
        string verdict = second.Interval.Low > first.Interval.High
            ? $"{name} joins by its captions alone"
            : $"{name} does not clearly join by its captions";
        answer.Add((verdict + ".", $"{Percent(before)} without {name} captions in training, {Percent(after)} with them."));
    }

    // Set-ups that differ in their languages alone can be compared; a tower that has read the web before cannot be with one from scratch.
    private static IEnumerable<ReportSetup[]> Families(ReportModel model) => model.Setups.GroupBy(s => s.Family, (_, setups) => setups.ToArray());

    // The set-up with the most languages that learned from pictures; the newcomer's has a language more than all others.
    private static ReportSetup? Widest(ReportSetup[] family, bool withNewcomer)
    {
        ReportSetup[] wide = [.. family.Where(s => s.FromPictures && s.Languages.Count > 2).OrderBy(s => s.Languages.Count)];
        return wide.Length == 0 ? null
            : !withNewcomer ? wide[0]
            : wide[^1].Languages.Count > wide[0].Languages.Count ? wide[^1] : null;
    }

    private static SeedStatistics? Strict(ReportModel model, ReportSetup setup, string language)
    {
        FigureFilter filter = new()
        {
            Setup = setup.Name,
            Task = FigureTasks.Bitext,
            From = language,
            To = model.Pivot,
            Set = Set,
            Queries = "strict",
            Score = Score,
        };
        IReadOnlyList<SeedStatistics> found = SeedStatistics.Of(filter.Apply(model.Figures.Figures));
        return found.Count == 0 ? null : found[0];
    }

    private static ReportLanguage Language(ReportModel model, string code) =>
        model.Languages.FirstOrDefault(l => l.Code == code) ?? new ReportLanguage(code, code);
}
