namespace CrossAlign.Runtime;

/// <summary>How matrix products on a device treat operands that are stored as float32. Sums are float32 in any case.</summary>
public enum MatMulPrecision
{
    /// <summary>As they are: never TF32.</summary>
    Float32,

    /// <summary>Rounded to TF32 (10 bits of fraction) by the tensor cores of a CUDA device; the processor refuses it.</summary>
    Tf32,

    /// <summary>Rounded to bfloat16 (7 bits of fraction). On the processor their products are formed by AVX512_BF16 where it is there, else in float32.</summary>
    BFloat16,
}
