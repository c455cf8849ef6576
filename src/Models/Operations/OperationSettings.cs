using System.Globalization;
using CrossAlign.Models.Training.Configuration;

namespace CrossAlign.Models.Operations;

/// <summary>The <c>key=value</c> settings of one operation; a key that nothing asked for is an error.</summary>
public sealed class OperationSettings
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <summary>Takes assignments.</summary>
    /// <param name="assignments">Each <c>key=value</c>; the last of a key holds.</param>
    /// <exception cref="UserErrorException">One has no <c>=</c>.</exception>
    public OperationSettings(IEnumerable<string> assignments)
    {
        ArgumentNullException.ThrowIfNull(assignments);
        foreach (string assignment in assignments)
        {
            int at = assignment.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
            {
                throw new UserErrorException($"'{assignment}' is no setting", "write key=value");
            }

            _values[assignment[..at].Trim()] = assignment[(at + 1)..].Trim();
        }
    }

    /// <summary>One of several names.</summary>
    /// <typeparam name="T">What the names stand for.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="standard">What holds without it.</param>
    /// <param name="names">The names.</param>
    /// <returns>The value.</returns>
    /// <exception cref="UserErrorException">The name is another.</exception>
    public T Choice<T>(string key, T standard, params ReadOnlySpan<(string Name, T Value)> names)
    {
        _known.Add(key);
        if (!_values.TryGetValue(key, out string? text))
        {
            return standard;
        }

        List<string> allowed = [];
        foreach ((string name, T value) in names)
        {
            if (name == text)
            {
                return value;
            }

            allowed.Add(name);
        }

        throw new UserErrorException($"--set {key}={text}: there is no '{text}'", $"give {string.Join(", ", allowed)}");
    }

    /// <summary>True or false.</summary>
    /// <param name="key">The key.</param>
    /// <param name="standard">What holds without it.</param>
    /// <returns>The value.</returns>
    /// <exception cref="UserErrorException">The value is neither.</exception>
    public bool Flag(string key, bool standard) => Choice(key, standard, ("true", true), ("false", false));

    /// <summary>A number.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value, or null without it.</returns>
    /// <exception cref="UserErrorException">The value is no finite number.</exception>
    public float? Number(string key)
    {
        _known.Add(key);
        return !_values.TryGetValue(key, out string? text) ? null
            : float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value) ? value
            : throw new UserErrorException($"--set {key}={text}: '{text}' is no number", "give a number such as 0.1");
    }

    /// <summary>A number in double precision.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value, or null without it.</returns>
    /// <exception cref="UserErrorException">The value is no finite number.</exception>
    public double? Double(string key)
    {
        _known.Add(key);
        return !_values.TryGetValue(key, out string? text) ? null
            : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value) ? value
            : throw new UserErrorException($"--set {key}={text}: '{text}' is no number", "give a number such as 0.1");
    }

    /// <summary>A text as it stands.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value, or null without it.</returns>
    public string? Text(string key)
    {
        _known.Add(key);
        return _values.GetValueOrDefault(key);
    }

    /// <summary>Refuses keys that were not asked for; call it when all are.</summary>
    /// <exception cref="UserErrorException">There is such a key.</exception>
    public void RefuseOthers()
    {
        foreach (string key in _values.Keys)
        {
            if (!_known.Contains(key))
            {
                throw new UserErrorException($"--set {key}: there is no '{key}'", $"the nearest is '{NearestName.Find(key, _known)}'; known are {string.Join(", ", _known.Order(StringComparer.Ordinal))}");
            }
        }
    }
}
