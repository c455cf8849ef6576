namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>
/// Multiplies the lines of packed operands (see <see cref="Panels{TVector}"/>) by a factor each. A factor of 0 gives zeros whatever the line holds,
/// not-a-number too. Few products have such lines and few lines such factors: plain loops, after the packing.
/// </summary>
internal static unsafe class PanelFactors
{
    /// <summary>One factor a lane.</summary>
    /// <param name="panels">Panels of <paramref name="width"/> lanes.</param>
    /// <param name="width">Lanes of a panel.</param>
    /// <param name="lanes">How many lanes.</param>
    /// <param name="depth">How many k of each.</param>
    /// <param name="panelDepth">The depth of the panels.</param>
    /// <param name="factors">As many as lanes.</param>
    public static void MultiplyLanes(float* panels, int width, int lanes, int depth, int panelDepth, float* factors)
    {
        for (int lane = 0; lane < lanes; lane++)
        {
            float factor = factors[lane];
            float* x = panels + ((nint)(lane / width) * width * panelDepth) + (lane % width);
            for (int k = 0; factor != 1 && k < depth; k++, x += width)
            {
                *x = factor == 0 ? 0 : *x * factor;
            }
        }
    }

    /// <summary>One factor a k.</summary>
    /// <param name="panels">Panels of <paramref name="width"/> lanes.</param>
    /// <param name="width">Lanes of a panel.</param>
    /// <param name="lanes">How many lanes.</param>
    /// <param name="depth">How many k of each.</param>
    /// <param name="panelDepth">The depth of the panels.</param>
    /// <param name="factors">As many as k.</param>
    public static void MultiplyDepth(float* panels, int width, int lanes, int depth, int panelDepth, float* factors)
    {
        for (int k = 0; k < depth; k++)
        {
            float factor = factors[k];
            for (int first = 0; factor != 1 && first < lanes; first += width)
            {
                float* x = panels + ((nint)first * panelDepth) + ((nint)k * width);
                for (int lane = 0; lane < width; lane++)
                {
                    x[lane] = factor == 0 ? 0 : x[lane] * factor;
                }
            }
        }
    }
}
