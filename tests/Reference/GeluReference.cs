using System.Numerics;

namespace CrossAlign.Reference;

/// <summary>
/// Gaussian error linear units of <c>x = input + bias</c> (Hendrycks, Gimpel 2016): <c>x Phi(x)</c>, its tanh form
/// <c>x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2</c> and <c>x sigmoid(1.702 x)</c>. In double the reference; in float the naive
/// twin, with an error function that is rounded once.
/// </summary>
public static class GeluReference
{
    public static T[] Forward<T>(string kind, T[] input, T[] bias, int n, int c)
        where T : IFloatingPointIeee754<T>
    {
        T[] output = new T[n * c];
        for (int i = 0; i < output.Length; i++)
        {
            T x = input[i] + bias[i % c];
            output[i] = x * Gate(kind, x);
        }

        return output;
    }

    public static (T[] DInput, T[] DBias) Backward<T>(string kind, T[] dOutput, T[] input, T[] bias, int n, int c)
        where T : IFloatingPointIeee754<T>
    {
        T[] dInput = new T[n * c];
        T[] dBias = new T[c];
        for (int i = 0; i < dInput.Length; i++)
        {
            T x = input[i] + bias[i % c];
            dInput[i] = dOutput[i] * (Gate(kind, x) + (x * GateSlope(kind, x)));
            dBias[i % c] += dInput[i];
        }

        return (dInput, dBias);
    }

    /// <summary>The error function: a series of positive terms near zero, Lentz's continued fraction of erfc elsewhere.</summary>
    public static double Erf(double x)
    {
        double a = Math.Abs(x);
        if (double.IsNaN(x))
        {
            return x;
        }

        if (a < 2.5)
        {
            // erf(x) = 2/sqrt(pi) e^(-x^2) sum over n of 2^n x^(2n+1) / (1 3 5 ... (2n+1)).
            double term = x;
            double sum = x;
            for (int n = 1; Math.Abs(term) > 1e-18 * Math.Abs(sum); n++)
            {
                term *= 2 * x * x / ((2 * n) + 1);
                sum += term;
            }

            return 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum;
        }

        return Math.CopySign(1 - ErfcTail(a), x);
    }

    /// <summary>1 - erf(x), accurate in the upper tail.</summary>
    public static double Erfc(double x) => x < 2.5 ? 1 - Erf(x) : ErfcTail(x);

    private static double ErfcTail(double x)
    {
        // erfc(x) = e^(-x^2)/sqrt(pi) * 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))), evaluated from the inside.
        double fraction = x;
        for (int k = 200; k >= 1; k--)
        {
            fraction = x + (k / 2.0 / fraction);
        }

        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }

    private static T Gate<T>(string kind, T x)
        where T : IFloatingPointIeee754<T> => kind switch
        {
            "Erf" => typeof(T) == typeof(double)
                ? T.CreateChecked(Erfc(-double.CreateChecked(x) / Math.Sqrt(2)) / 2)
                : (T.One + T.CreateChecked(Erf(double.CreateChecked(x / T.Sqrt(T.CreateChecked(2)))))) / T.CreateChecked(2),
            "Tanh" => (T.One + T.Tanh(TanhArgument(x))) / T.CreateChecked(2),
            "Quick" => T.One / (T.One + T.Exp(-T.CreateChecked(1.702) * x)),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };

    private static T GateSlope<T>(string kind, T x)
        where T : IFloatingPointIeee754<T>
    {
        T half = T.CreateChecked(0.5);
        switch (kind)
        {
            case "Erf":
                return T.Exp(-half * x * x) / T.Sqrt(T.CreateChecked(2) * T.Pi);
            case "Tanh":
                T tanh = T.Tanh(TanhArgument(x));
                T inner = T.Sqrt(T.CreateChecked(2) / T.Pi) * (T.One + (T.CreateChecked(3 * 0.044715) * x * x));
                return half * (T.One - (tanh * tanh)) * inner;
            default:
                T s = Gate(kind, x);
                return T.CreateChecked(1.702) * s * (T.One - s);
        }
    }

    private static T TanhArgument<T>(T x)
        where T : IFloatingPointIeee754<T> =>
        T.Sqrt(T.CreateChecked(2) / T.Pi) * (x + (T.CreateChecked(0.044715) * x * x * x));
}
