using System.Globalization;
using CrossAlign.Kernels;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Training.Configuration;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Operations;

/// <summary>
/// The optimiser's steps on tensors from a file, as a run makes them: of <c>parameter.NAME</c> with the gradients <c>gradient.N.NAME</c> of the steps
/// N = 1, 2, ... In each step the norm over all gradients is taken and they are clipped, then weights decay, moments and weights follow, and what has a bound is cut to it.
/// Gives <c>parameter.NAME</c>, <c>exp_avg.NAME</c> and <c>exp_avg_sq.NAME</c> after the last step, and of each step <c>gradientNorm</c> (before clipping) and <c>clipFactor</c>
/// (0 where a gradient is not finite: such a step changes nothing).
/// </summary>
public sealed class AdamWOperation
{
    private const string ParameterPrefix = "parameter.";
    private const string GradientPrefix = "gradient.";
    private const string RateName = "learningRate";

    private readonly double? _learningRate;
    private readonly AdamWSettings _settings;
    private readonly double _weightDecay;
    private readonly double _clipNorm;
    private readonly string[] _noDecay;
    private readonly Dictionary<string, float> _maxima;

    /// <summary>Reads the settings: <c>learningRate</c> (1e-3), <c>beta1</c> (0.9), <c>beta2</c> (0.999), <c>eps</c> (1e-8), <c>weightDecay</c> (0: plain Adam; decoupled, times the
    /// learning rate), <c>noDecay</c> (<c>NAME,...</c>: the parameters that do not decay), <c>clipNorm</c> (none), <c>maximum</c> (<c>NAME:VALUE,...</c>: upper bounds, as of a learned multiplier).</summary>
    /// <param name="settings">The settings.</param>
    /// <exception cref="UserErrorException">A setting is unknown or out of range.</exception>
    public AdamWOperation(OperationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _learningRate = settings.Double(RateName);
        double beta1 = InRange(settings, "beta1", 0.9, v => v is >= 0 and < 1, "from 0 to less than 1");
        double beta2 = InRange(settings, "beta2", 0.999, v => v is >= 0 and < 1, "from 0 to less than 1");
        double eps = InRange(settings, "eps", 1e-8, v => v >= 0, "from 0");
        _settings = new AdamWSettings(_learningRate ?? 1e-3, 1, beta1, beta2, eps);
        _weightDecay = InRange(settings, "weightDecay", 0, v => v >= 0, "from 0");
        _clipNorm = InRange(settings, "clipNorm", double.PositiveInfinity, v => v > 0, "above 0");
        _noDecay = settings.Text("noDecay")?.Split(',', StringSplitOptions.TrimEntries) ?? [];
        _maxima = MaximaOf(settings.Text("maximum"));
        settings.RefuseOthers();
    }

    /// <summary>Makes the steps.</summary>
    /// <param name="file">The inputs: parameters, gradients of every step for every parameter in its shape, and, as wanted, <c>learningRate</c> (steps), each step's own.</param>
    /// <param name="device">Where to compute.</param>
    /// <returns>The outputs, to be saved.</returns>
    /// <exception cref="UserErrorException">A tensor is missing, has another shape, or is not read: all are listed; or a setting names a parameter that is not there.</exception>
    public SafetensorsWriter Run(SafetensorsFile file, Device device)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(device);
        string[] names = [.. file.Entries.Select(e => e.Name).Where(n => n.StartsWith(ParameterPrefix, StringComparison.Ordinal)).Select(n => n[ParameterPrefix.Length..])];
        int steps = CheckTensors(file, names);
        RequireKnown("noDecay", _noDecay, names);
        RequireKnown("maximum", _maxima.Keys, names);
        double[] rates = RatesOf(file, steps);
        using InputTensors inputs = new(file, device);
        AdamWParameter[] all = Array.ConvertAll(names, name =>
        {
            Tensor weight = inputs.Flat(ParameterPrefix + name);
            return new AdamWParameter(weight, inputs.Zeros(weight.Shape), inputs.Zeros(weight.Shape), inputs.Zeros(weight.Shape))
            {
                WeightDecay = _noDecay.Contains(name, StringComparer.Ordinal) ? 0 : _weightDecay,
                Maximum = _maxima.GetValueOrDefault(name, float.PositiveInfinity),
            };
        });
        Tensor norm = inputs.Zeros(new Shape(GradientNorm.ResultLength));
        float[] norms = new float[steps];
        float[] factors = new float[steps];
        using AdamWParameters parameters = new(device, all);
        for (int step = 1; step <= steps; step++)
        {
            for (int i = 0; i < names.Length; i++)
            {
                file.ReadSingles(GradientName(step, names[i]), all[i].Gradient);
            }

            GradientNorm.Run(parameters, _clipNorm, norm);
            AdamW.Step(parameters, _settings with { Step = step, LearningRate = rates[step - 1] }, norm);
            float[] result = norm.ToArray<float>();
            norms[step - 1] = result[0];
            factors[step - 1] = result[1];
        }

        SafetensorsWriter writer = new();
        for (int i = 0; i < names.Length; i++)
        {
            long[] shape = [.. file.Entry(ParameterPrefix + names[i]).Shape];
            writer.Add(ParameterPrefix + names[i], shape, all[i].Weight.ToArray<float>());
            writer.Add("exp_avg." + names[i], shape, all[i].FirstMoment.ToArray<float>());
            writer.Add("exp_avg_sq." + names[i], shape, all[i].SecondMoment.ToArray<float>());
        }

        writer.Add("gradientNorm", [steps], norms);
        writer.Add("clipFactor", [steps], factors);
        return writer;
    }

    private static string GradientName(int step, string name) => string.Create(CultureInfo.InvariantCulture, $"{GradientPrefix}{step}.{name}");

    // How many steps there are, once every tensor has its place.
    private static int CheckTensors(SafetensorsFile file, string[] names)
    {
        if (names.Length == 0)
        {
            throw new UserErrorException($"'{file.Path}' has no tensor 'parameter.NAME'", "give the parameters before the first step, and gradient.1.NAME, gradient.2.NAME and so on");
        }

        List<string> wrong = [];
        HashSet<int> given = [];
        foreach (SafetensorsEntry entry in file.Entries.Where(e => !e.Name.StartsWith(ParameterPrefix, StringComparison.Ordinal) && e.Name != RateName))
        {
            if (!TryParse(entry.Name, out int step, out string name) || !names.Contains(name, StringComparer.Ordinal))
            {
                wrong.Add($"unexpected: {entry.Name}");
                continue;
            }

            given.Add(step);
            SafetensorsEntry parameter = file.Entry(ParameterPrefix + name);
            if (!entry.Shape.SequenceEqual(parameter.Shape))
            {
                wrong.Add($"mis-shaped: {entry.Name} is {entry.ShapeText}, must be {parameter.ShapeText}");
            }
        }

        // The steps that there would be: those of a file that leaves some out are as many as it has gradients of.
        foreach (int step in Enumerable.Range(1, Math.Max(1, given.Count)))
        {
            wrong.AddRange(names.Select(n => GradientName(step, n)).Where(n => !file.Contains(n)).Select(n => $"missing: {n}"));
        }

        wrong.AddRange(names.Select(n => file.Entry(ParameterPrefix + n)).Where(e => e.Count is < 1 or > int.MaxValue).Select(e => $"of no size that can be stepped: {e.Name} is {e.ShapeText}"));
        wrong.AddRange(file.Entries.Where(e => !e.DType.IsFloating()).Select(e => $"wrong type: {e.Name} is {e.DType.HeaderName()}, must be floating-point"));
        return wrong.Count == 0
            ? given.Count
            : throw new UserErrorException($"the tensors of '{file.Path}' are not those of an optimiser's steps", "give parameter.NAME, and in its shape gradient.1.NAME, gradient.2.NAME and so on, without a gap") { Details = wrong };
    }

    // gradient.STEP.NAME; a name may have dots of its own, and begin with a number.
    private static bool TryParse(string text, out int step, out string name)
    {
        step = 0;
        name = string.Empty;
        if (!text.StartsWith(GradientPrefix, StringComparison.Ordinal))
        {
            return false;
        }

        string rest = text[GradientPrefix.Length..];
        int dot = rest.IndexOf('.', StringComparison.Ordinal);
        name = dot < 0 ? string.Empty : rest[(dot + 1)..];
        return dot > 0 && rest[0] != '0' && int.TryParse(rest.AsSpan(0, dot), NumberStyles.None, CultureInfo.InvariantCulture, out step);
    }

    private static double InRange(OperationSettings settings, string key, double standard, Predicate<double> isIn, string range) =>
        settings.Double(key) is not double value ? standard
            : isIn(value) ? value
            : throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"--set {key}={value} is out of range"), $"give a number {range}");

    private static Dictionary<string, float> MaximaOf(string? text)
    {
        Dictionary<string, float> maxima = new(StringComparer.Ordinal);
        foreach (string term in text?.Split(',', StringSplitOptions.TrimEntries) ?? [])
        {
            int colon = term.LastIndexOf(':');
            if (colon < 1 || !float.TryParse(term.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out float value) || !float.IsFinite(value))
            {
                throw new UserErrorException($"--set maximum={text}: '{term}' is no bound", "write NAME:VALUE, as in maximum=logit_scale:4.60517");
            }

            maxima[term[..colon]] = value;
        }

        return maxima;
    }

    private static void RequireKnown(string key, IEnumerable<string> asked, string[] names)
    {
        if (asked.FirstOrDefault(n => !names.Contains(n, StringComparer.Ordinal)) is string unknown)
        {
            throw new UserErrorException($"--set {key}: there is no parameter '{unknown}'", $"the nearest is '{NearestName.Find(unknown, names)}'");
        }
    }

    private double[] RatesOf(SafetensorsFile file, int steps)
    {
        if (!file.TryGetEntry(RateName, out SafetensorsEntry? entry))
        {
            return [.. Enumerable.Repeat(_settings.LearningRate, steps)];
        }

        if (_learningRate is not null)
        {
            throw new UserErrorException($"'{file.Path}' has '{RateName}', and --set {RateName} gives another", "give one of them");
        }

        double[] rates = file.ReadDoubles(RateName);
        return entry.Shape.SequenceEqual([steps]) && Array.TrueForAll(rates, double.IsFinite)
            ? rates
            : throw new UserErrorException($"'{file.Path}': '{RateName}' is {entry.ShapeText}; it must be a finite number a step", string.Create(CultureInfo.InvariantCulture, $"give the shape [{steps}]"));
    }
}
