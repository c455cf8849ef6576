namespace CrossAlign.Kernels;

/// <summary>The forms of the Gaussian error linear unit that published encoders use.</summary>
public enum GeluKind
{
    /// <summary><c>x Phi(x)</c> with the exact normal distribution function: XLM-R, BERT, ViT (<c>"gelu"</c>).</summary>
    Erf,

    /// <summary><c>x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2</c> (<c>"gelu_new"</c>, <c>"gelu_pytorch_tanh"</c>).</summary>
    Tanh,

    /// <summary><c>x sigmoid(1.702 x)</c>: CLIP (<c>"quick_gelu"</c>).</summary>
    Quick,
}
