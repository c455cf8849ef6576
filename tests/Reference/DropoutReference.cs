namespace CrossAlign.Reference;

/// <summary>Dropout: each element times its factor, forward and backward alike (Srivastava et al. 2014, section 4).</summary>
public static class DropoutReference
{
    public static double[] Apply(double[] values, Func<int, double> factor)
    {
        double[] result = new double[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            result[i] = values[i] * factor(i);
        }

        return result;
    }
}
