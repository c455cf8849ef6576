using CrossAlign.Models.Checkpoints;

namespace CrossAlign.Cli.Tests;

/// <summary><c>compute adamw</c> against the formulas of the papers, in double precision, written out anew here.</summary>
public sealed class AdamWCommandTests : IDisposable
{
    private static readonly (string Name, long[] Shape)[] s_parameters = [("blocks.0.weight", [3, 5]), ("1.bias", [7]), ("conv", [2, 3, 2, 2]), ("logit_scale", [])];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cpu", 1, "")]
    [InlineData("cpu", 6, "learningRate=0.01 beta1=0.8 beta2=0.98 eps=1e-6")]
    [InlineData("cpu", 5, "weightDecay=0.3 noDecay=1.bias,logit_scale clipNorm=2.5 learningRate=0.05")]
    [InlineData("cpu", 5, "weightDecay=0.3 clipNorm=2.5 maximum=logit_scale:0.5,conv:0.1", true)]
    [InlineData("cpu", 3, "beta1=0 weightDecay=0.1", true)]
    [InlineData("cuda-emulated", 4, "weightDecay=0.3 noDecay=1.bias clipNorm=2.5 maximum=logit_scale:0.5", true)]
    public async Task TheStepsAreThoseOfThePapers(string device, int steps, string settings, bool ratesOfTheirOwn = false)
    {
        Problem problem = new(steps);
        SafetensorsWriter writer = problem.Writer();
        double[] rates = [.. Enumerable.Range(0, steps).Select(n => ratesOfTheirOwn ? 0.02 / (n + 1) : 0)];
        if (ratesOfTheirOwn)
        {
            writer.Add("learningRate", [steps], rates);
        }

        using SafetensorsFile output = await ComputeAsync(writer, device, settings);
        Dictionary<string, string> given = settings.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(s => s.Split('=')).ToDictionary(p => p[0], p => p[1]);
        problem.Step(
            n => ratesOfTheirOwn ? rates[n] : Number("learningRate", 1e-3),
            (Number("beta1", 0.9), Number("beta2", 0.999), Number("eps", 1e-8), Number("weightDecay", 0), Number("clipNorm", double.PositiveInfinity)),
            given.GetValueOrDefault("noDecay", "").Split(','),
            given.GetValueOrDefault("maximum", "").Split(',', StringSplitOptions.RemoveEmptyEntries).Select(t => t.Split(':')).ToDictionary(p => p[0], p => Parse(p[1])));
        Near.Assert(problem.Norms, output.ReadSingles("gradientNorm"), 1e-6);
        Near.Assert(problem.Factors, output.ReadSingles("clipFactor"), 1e-6);
        Assert.Equal(2 + (3 * s_parameters.Length), output.Entries.Count);
        foreach ((string name, long[] shape) in s_parameters)
        {
            Assert.Equal(shape, output.Entry("parameter." + name).Shape);
            Assert.Equal(shape, output.Entry("exp_avg_sq." + name).Shape);
            Near.Assert(problem.First[name], output.ReadSingles("exp_avg." + name), 1e-6);
            Near.Assert(problem.Second[name], output.ReadSingles("exp_avg_sq." + name), 1e-6);

            // What moved, not where it is: weights hide a wrong step.
            double[] start = problem.Start(name);
            Near.Assert(Less(problem.Weights[name], start), [.. Less([.. output.ReadSingles("parameter." + name).Select(v => (double)v)], start).Select(v => (float)v)], 2e-5);
        }

        double Number(string key, double standard) => given.TryGetValue(key, out string? text) ? Parse(text) : standard;

        static double Parse(string text) => double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);

        static double[] Less(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x - y)];
    }

    [Fact]
    public async Task AStepWithAGradientThatIsNotFiniteChangesNothing()
    {
        SafetensorsWriter writer = new();
        writer.Add("parameter.w", [2], new[] { 1f, 2 });
        writer.Add("gradient.1.w", [2], new[] { 1f, float.NaN });
        using SafetensorsFile output = await ComputeAsync(writer, "cpu", "weightDecay=1");
        Assert.Equal([1, 2], output.ReadSingles("parameter.w"));
        Assert.Equal([0, 0], output.ReadSingles("exp_avg.w"));
        Assert.Equal([0], output.ReadSingles("clipFactor"));
    }

    [Fact]
    public async Task EveryTensorThatIsMissingUnexpectedOrMisShapedIsListed()
    {
        SafetensorsWriter writer = new();
        writer.Add("parameter.a", [2], new float[2]);
        writer.Add("parameter.b", [2, 1], new float[2]);
        writer.Add("gradient.1.a", [2], new float[2]);
        writer.Add("gradient.1.b", [2], new float[2]);
        writer.Add("gradient.3.a", [2], new float[2]);
        writer.Add("gradient.3.b", [2, 1], new int[2]);
        writer.Add("gradient.1.c", [2], new float[2]);
        writer.Add("gradient.01.a", [2], new float[2]);
        writer.Add("gradients.2.a", [2], new float[2]);
        Invocation run = await InvokeAsync(writer, "cpu", "");
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: the tensors of ", run.ErrorLines[0], StringComparison.Ordinal);
        Assert.Equal(
            [
                "mis-shaped: gradient.1.b is [2], must be [2, 1]", "missing: gradient.2.a", "missing: gradient.2.b", "unexpected: gradient.01.a", "unexpected: gradient.1.c",
                "unexpected: gradients.2.a", "wrong type: gradient.3.b is I32, must be floating-point",
            ],
            run.ErrorLines.Skip(1).Select(l => l.Trim()).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("beta1=1", 2, "--set beta1=1 is out of range")]
    [InlineData("beta2=-0.1", 2, "--set beta2=-0.1")]
    [InlineData("eps=-1", 2, "--set eps=-1")]
    [InlineData("weightDecay=-1", 2, "--set weightDecay=-1")]
    [InlineData("clipNorm=0", 2, "--set clipNorm=0")]
    [InlineData("learningRate=nan", 2, "no number")]
    [InlineData("wightDecay=1", 2, "the nearest is 'weightDecay'")]
    [InlineData("maximum=w", 2, "NAME:VALUE")]
    [InlineData("maximum=v:1", 1, "there is no parameter 'v' (the nearest is 'w')")]
    [InlineData("noDecay=x", 1, "there is no parameter 'x' (the nearest is 'w')")]
    [InlineData("learningRate=0.1", 1, "'learningRate', and --set learningRate gives another")]
    [InlineData("", 1, "'learningRate' is [3]; it must be a finite number a step (give the shape [1])")]
    public async Task WhatIsWrongIsNamedInOneLine(string settings, int exitCode, string named)
    {
        SafetensorsWriter writer = new();
        writer.Add("parameter.w", [1], new[] { 1f });
        writer.Add("gradient.1.w", [1], new[] { 1f });
        writer.Add("learningRate", [3], new[] { 1f, 1, 1 });
        Invocation run = await InvokeAsync(writer, "cpu", settings);
        Assert.Equal(exitCode, run.ExitCode);
        Assert.StartsWith("error: ", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
        Assert.Contains(named, run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("out.safetensors")));
    }

    private Task<Invocation> InvokeAsync(SafetensorsWriter writer, string device, string settings)
    {
        writer.Save(_folder.File("in.safetensors"));
        return Invocation.RunAsync(
            [
                "compute", "adamw", "--device", device, "--in", _folder.File("in.safetensors"), "--out", _folder.File("out.safetensors"),
                .. settings.Split(' ', StringSplitOptions.RemoveEmptyEntries).SelectMany(s => (string[])["--set", s]),
            ]);
    }

    private async Task<SafetensorsFile> ComputeAsync(SafetensorsWriter writer, string device, string settings)
    {
        Invocation run = await InvokeAsync(writer, device, settings);
        Assert.True(run.ExitCode == 0, run.Error);
        return SafetensorsFile.Open(_folder.File("out.safetensors"));
    }

    /// <summary>Weights and gradients of some steps, and where the formulas take them.</summary>
    private sealed class Problem(int steps)
    {
        public Dictionary<string, double[]> Weights { get; } = [];

        public Dictionary<string, double[]> First { get; } = [];

        public Dictionary<string, double[]> Second { get; } = [];

        public double[] Norms { get; } = new double[steps];

        public double[] Factors { get; } = new double[steps];

        public double[] Start(string name) => Numbers(name, 0);

        public SafetensorsWriter Writer()
        {
            SafetensorsWriter writer = new();
            foreach ((string name, long[] shape) in s_parameters)
            {
                writer.Add("parameter." + name, shape, Array.ConvertAll(Start(name), v => (float)v));
                for (int n = 1; n <= steps; n++)
                {
                    writer.Add($"gradient.{n}.{name}", shape, Array.ConvertAll(Numbers(name, n), v => (float)v));
                }
            }

            return writer;
        }

        public void Step(
            Func<int, double> rate, (double Beta1, double Beta2, double Eps, double Decay, double Clip) s, string[] noDecay, Dictionary<string, double> maxima)
        {
            foreach ((string name, _) in s_parameters)
            {
                Weights[name] = Start(name);
                First[name] = new double[Weights[name].Length];
                Second[name] = new double[Weights[name].Length];
            }

            for (int n = 1; n <= steps; n++)
            {
                double norm = Math.Sqrt(s_parameters.Sum(p => Numbers(p.Name, n).Sum(g => g * g)));
                double factor = Math.Min(1, s.Clip / (norm + 1e-6));
                (Norms[n - 1], Factors[n - 1]) = (norm, factor);
                foreach ((string name, _) in s_parameters)
                {
                    double[] g = Numbers(name, n);
                    for (int i = 0; i < g.Length; i++)
                    {
                        double gradient = factor * g[i];
                        ref double w = ref Weights[name][i];
                        w -= noDecay.Contains(name) ? 0 : rate(n - 1) * s.Decay * w;
                        First[name][i] = (s.Beta1 * First[name][i]) + ((1 - s.Beta1) * gradient);
                        Second[name][i] = (s.Beta2 * Second[name][i]) + ((1 - s.Beta2) * gradient * gradient);
                        double mean = First[name][i] / (1 - Math.Pow(s.Beta1, n));
                        double square = Second[name][i] / (1 - Math.Pow(s.Beta2, n));
                        w = Math.Min(w - (rate(n - 1) * mean / (Math.Sqrt(square) + s.Eps)), maxima.GetValueOrDefault(name, double.PositiveInfinity));
                    }
                }
            }
        }

        // As float32 has them, so that both begin with the same; growing from step to step, so that some are clipped and some are not.
        private static double[] Numbers(string name, int n)
        {
            (_, long[] shape) = s_parameters.Single(p => p.Name == name);
            long count = shape.Aggregate(1L, (a, b) => a * b);
            return [.. Enumerable.Range(0, (int)count).Select(i => (double)(float)((0.1 + (0.15 * n)) * (0.2 + Math.Sin((name.Length * 3.1) + (i * 1.7) + (n * n * 0.9)))))];
        }
    }
}
