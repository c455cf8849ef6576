using System.Globalization;
using System.Text.Json;
using CrossAlign.Models.Checkpoints;
using CrossAlign.Models.Encoders;
using CrossAlign.Runtime;

namespace CrossAlign.Models.Tests;

/// <summary>
/// A folder of golden values: its tensors and the tolerance of each. error = ||mine - golden|| / ||golden|| over the whole tensor,
/// against the float64 tensor where there is one; NaN and infinity fail first.
/// </summary>
internal sealed class Golden : IDisposable
{
    private readonly SafetensorsFile _cases;
    private readonly SafetensorsFile? _gradients;
    private readonly JsonDocument _meta;

    public Golden(string folder)
    {
        Folder = folder;
        _cases = SafetensorsFile.Open(Fixtures.PathOf(folder, "cases.safetensors"));
        _gradients = SafetensorsFile.Open(Fixtures.PathOf(folder, "gradients.safetensors"));
        _meta = JsonDocument.Parse(File.ReadAllBytes(Fixtures.PathOf(folder, "meta.json")));
    }

    public string Folder { get; }

    public SafetensorsFile Cases => _cases;

    public static double RelativeError(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double error = 0;
        double norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(float.IsFinite(actual[i]), string.Create(CultureInfo.InvariantCulture, $"element {i} is {actual[i]}"));
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            norm += expected[i] * expected[i];
        }

        Assert.True(norm > 0, "the golden tensor is zero: a relative error says nothing");
        return Math.Sqrt(error / norm);
    }

    /// <summary>Compares an output with its golden values within the tolerance that meta.json states.</summary>
    public void AssertOutput(string name, ReadOnlySpan<float> actual)
    {
        double tolerance = _meta.RootElement.GetProperty("outputs").GetProperty(name).GetProperty("tolerance").GetDouble();
        AssertWithin(name, Expected(name), actual, tolerance);
    }

    /// <summary>Compares a padded (S, T, C) output with packed rows: only the rows with mask 1 count.</summary>
    public void AssertPackedOutput(string name, string mask, in Tensor actual)
    {
        double tolerance = _meta.RootElement.GetProperty("outputs").GetProperty(name).GetProperty("tolerance").GetDouble();
        double[] padded = Expected(name);
        int[] real = _cases.ReadInt32s(mask);
        int c = padded.Length / real.Length;
        List<double> packed = [];
        for (int row = 0; row < real.Length; row++)
        {
            if (real[row] == 1)
            {
                packed.AddRange(padded.AsSpan(row * c, c));
            }
        }

        AssertWithin(name, packed.ToArray(), actual.ToArray<float>(), tolerance);
    }

    public void AssertWithin(string name, ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance)
    {
        double error = RelativeError(expected, actual);
        Assert.True(error <= tolerance, string.Create(CultureInfo.InvariantCulture, $"{Folder} {name}: error {error:G3}, tolerance {tolerance:G3}"));
    }

    public double[] Expected(string name) => _cases.Contains(name + "_f64") ? _cases.ReadDoubles(name + "_f64") : _cases.ReadDoubles(name);

    /// <summary>Compares every gradient by name: all golden ones must be there, those that are zero by algebra must be near zero.</summary>
    public void AssertGradients(ParameterStore store, params ReadOnlySpan<string> except) => AssertGradients(store, p => p.Name, except);

    public void AssertGradients(ParameterStore store, Func<Parameter, string> nameOf, params ReadOnlySpan<string> except)
    {
        JsonElement gradients = _meta.RootElement.GetProperty("gradients");
        string[] zero = [.. gradients.GetProperty("zero_gradient_parameters").EnumerateArray().Select(e => e.GetString()!)];
        double zeroTolerance = gradients.GetProperty("zeroGradientAbsoluteTolerance").GetDouble();
        int compared = 0;
        foreach (Parameter parameter in store.Parameters.Where(p => p.Kind != ParameterKind.Carried))
        {
            string name = nameOf(parameter);
            float[] actual = parameter.Gradient.ToArray<float>();
            if (zero.Contains(name))
            {
                Assert.All(actual, v => Assert.True(Math.Abs(v) <= zeroTolerance, name));
            }
            else if (!except.Contains(name))
            {
                double tolerance = gradients.GetProperty("tolerancePerTensor").GetProperty(name).GetDouble();
                AssertWithin("gradient of " + name, _gradients!.ReadDoubles(name), actual, tolerance);
            }

            compared++;
        }

        Assert.Equal(_gradients!.Entries.Count, compared);
    }

    public double[] ExpectedGradient(string name) => _gradients!.ReadDoubles(name);

    public void Dispose()
    {
        _cases.Dispose();
        _gradients?.Dispose();
        _meta.Dispose();
    }
}
