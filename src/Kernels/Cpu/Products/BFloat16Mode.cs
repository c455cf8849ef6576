namespace CrossAlign.Kernels.Cpu.Products;

/// <summary>How products of operands rounded to bfloat16 are formed.</summary>
internal enum BFloat16Mode
{
    /// <summary>As float32 products of the rounded numbers.</summary>
    None,

    /// <summary>By pairs, in C#: what the instruction does, for tests.</summary>
    Software,

    /// <summary>By pairs, by the processor's instruction.</summary>
    Native,
}
